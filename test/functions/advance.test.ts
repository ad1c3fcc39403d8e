/**
 * How a run moves through its DAG: what starts ready, what becomes ready when, what can never run.
 * Each task becomes ready once and each run ends once, however its results are batched.
 */
import { describe, expect, inject, test } from "vitest";
import { completed, failed, FAILURE, lost, timedOut } from "./rows.ts";
import { idsOf, openPool, type Steps, taskOf, TestShard } from "./support.ts";

const DIAMOND: Steps = { a: [], b: ["a"], c: ["a"], d: ["b", "c"] };

describe.each(inject("databases"))("a run on $name", (database) => {
  const pool = openPool(database);

  test("starts with the tasks that have no parents, and the shard holds them", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("roots", { a: [], b: [], c: ["a"] });
    const start = shard.start(workflow, { i: { size: 3 } });
    const reply = await shard.commit({ starts: [start] });
    expect(reply).toEqual({ starts: {}, ready: [] });
    expect(await shard.states(start.id)).toEqual(["queued", "queued", "waiting"]);
    const roots = ["a", "b"].map((step) => taskOf(workflow, start.id, step));
    expect(await shard.handouts()).toEqual({ [shard.lastSeq]: roots });
    expect(await shard.queued()).toEqual([]);
  });

  test("puts the first tasks that the shard has no room for into the queue", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("roots", { a: [], b: [], c: ["b"] });
    const { task } = await shard.startRun(workflow, { s: [[1, 0]] });
    expect(await shard.queued()).toEqual([task("b")]);
    expect(await shard.handouts()).toEqual({ [shard.lastSeq]: [task("a")] });
  });

  test("goes down a chain, each step with what its parent left", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("chain", { a: [], b: ["a"], c: ["b"] });
    const { run, task } = await shard.startRun(workflow, { i: { n: 1 }, m: { team: "red" } });
    const second = await shard.commit({ at: 9_000, results: [completed(task("a"), { n: 2 })] });
    expect(second.ready).toEqual([
      {
        id: task("b"),
        run,
        version: workflow.version,
        step: 1,
        attempt: 1,
        queuedAt: 9_000,
        input: { n: 1 },
        metadata: { team: "red" },
        parents: { a: { n: 2 } },
      },
    ]);
    const third = await shard.commit({ results: [completed(task("b"), "x")] });
    expect(third.ready?.[0]).toMatchObject({ id: task("c"), parents: { b: "x" } });
    const last = await shard.commit({ results: [completed(task("c"))] });
    expect(last.finished).toEqual([{ run, state: "completed" }]);
  });

  test("readies a fan-in once when its parents end in one batch", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("diamond", DIAMOND));
    const fan = await shard.commit({ results: [completed(task("a"))] });
    expect(idsOf(fan.ready)).toEqual([task("b"), task("c")]);
    const { ready } = await shard.commit({
      results: [completed(task("c"), 3), completed(task("b"), 2)],
    });
    expect(idsOf(ready)).toEqual([task("d")]);
    expect(ready?.[0]?.parents).toEqual({ b: 2, c: 3 });
    expect(await shard.task(task("d"))).toMatchObject({ state: "queued", pending: 0 });
  });

  test("readies a fan-in once when its parents end in two batches", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("diamond", DIAMOND));
    await shard.commit({ results: [completed(task("a"))] });
    const first = await shard.commit({ results: [completed(task("c"))] });
    expect(first.ready ?? []).toEqual([]);
    expect(await shard.task(task("d"))).toMatchObject({ state: "waiting", pending: 1 });
    const second = await shard.commit({ results: [completed(task("b"))] });
    expect(idsOf(second.ready)).toEqual([task("d")]);
  });

  test("fans out to a hundred and in again, in order", async () => {
    const shard = await TestShard.create(pool);
    const middle = Array.from({ length: 100 }, (_, number) => `m${number}`);
    const steps: Steps = {
      first: [],
      ...Object.fromEntries(middle.map((name) => [name, ["first"]])),
      last: middle,
    };
    const { run, task } = await shard.startRun(await shard.register("fan", steps));
    const out = await shard.commit({ results: [completed(task("first"))] });
    expect(idsOf(out.ready)).toEqual(middle.map(task));
    const most = await shard.commit({
      results: middle.slice(1).map((name) => completed(task(name), name)),
    });
    expect(most.ready ?? []).toEqual([]);
    const { ready } = await shard.commit({ results: [completed(task("m0"), "m0")] });
    expect(idsOf(ready)).toEqual([task("last")]);
    expect(ready?.[0]?.parents).toEqual(Object.fromEntries(middle.map((name) => [name, name])));
    const { finished } = await shard.commit({ results: [completed(task("last"))] });
    expect(finished).toEqual([{ run, state: "completed" }]);
  });

  test("advances a thousand runs in one commit, each by itself", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("chain", { a: [], b: ["a"] });
    const starts = Array.from({ length: 1_000 }, (_, i) => shard.start(workflow, { i }));
    await shard.commit({ starts });
    const results = starts.map(({ id, i }) => completed(taskOf(workflow, id, "a"), i));
    const { ready } = await shard.commit({ results });
    expect(ready?.map(({ id, input, parents }) => ({ id, input, parents }))).toEqual(
      starts.map(({ id, i }) => ({ id: taskOf(workflow, id, "b"), input: i, parents: { a: i } })),
    );
  });

  test("cancels exactly what is below a failed step, and fails when the rest has ended", async () => {
    const shard = await TestShard.create(pool);
    const steps: Steps = { a: [], b: ["a"], c: ["b"], d: ["c", "x"], x: [], y: ["x"] };
    const { run, task } = await shard.startRun(await shard.register("branches", steps));
    await shard.commit({ results: [completed(task("a"))] });
    const failure = await shard.commit({ results: [failed(task("b"))] });
    expect(failure.finished).toEqual([]);
    expect(await shard.states(run)).toEqual([
      "completed",
      "failed",
      "cancelled",
      "cancelled",
      "queued",
      "waiting",
    ]);
    expect(await shard.task(task("b"))).toMatchObject({ error: FAILURE, attempt: 1 });
    expect(await shard.run(run)).toMatchObject({ state: "running", failed: 1, remaining: 2 });
    await shard.commit({ results: [completed(task("x"))] });
    expect(await shard.task(task("d"))).toMatchObject({ state: "cancelled" });
    const last = await shard.commit({ results: [completed(task("y"))] });
    expect(last.finished).toEqual([{ run, state: "failed" }]);
  });

  test("fails at once when everything left is below the failed step", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("diamond", DIAMOND));
    const { finished } = await shard.commit({ results: [failed(task("a"))] });
    expect(finished).toEqual([{ run, state: "failed" }]);
    expect(await shard.states(run)).toEqual(["failed", "cancelled", "cancelled", "cancelled"]);
    expect(await shard.run(run)).toMatchObject({ remaining: 0, state: "failed" });
  });

  test("counts a step below two failed ones once", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("diamond", DIAMOND));
    await shard.commit({ results: [completed(task("a"))] });
    const { finished } = await shard.commit({ results: [failed(task("b")), failed(task("c"))] });
    expect(finished).toEqual([{ run, state: "failed" }]);
    expect(await shard.run(run)).toMatchObject({ remaining: 0, failed: 2 });
  });

  test("cancels a step whose parents fail and complete in one batch", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("diamond", DIAMOND));
    await shard.commit({ results: [completed(task("a"))] });
    const reply = await shard.commit({ results: [failed(task("b")), completed(task("c"))] });
    expect(reply.ready ?? []).toEqual([]);
    expect(reply.finished).toEqual([{ run, state: "failed" }]);
    expect(await shard.states(run)).toEqual(["completed", "failed", "completed", "cancelled"]);
  });

  test("fails like any failure when a step times out", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("pair", { a: [], b: ["a"] }));
    const { finished } = await shard.commit({ results: [timedOut(task("a"))] });
    expect(finished).toEqual([{ run, state: "failed" }]);
    expect(await shard.states(run)).toEqual(["failed", "cancelled"]);
  });

  test("hands a lost attempt's task out again with the next attempt, and keeps the lost one", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("one", { a: [] }), { i: "in" });
    const { ready } = await shard.commit({ at: 8_000, results: [lost(task("a"), 1)] });
    expect(ready).toMatchObject([{ id: task("a"), attempt: 2, input: "in" }]);
    expect(await shard.task(task("a"))).toMatchObject({
      state: "queued",
      attempt: 1,
      worker: null,
    });
    const history =
      "select attempt, outcome, worker, finished_at from v1.task_attempt where task_id = $1";
    const attempt = { attempt: 1, outcome: "lost", worker: "worker", finished_at: new Date(8_000) };
    expect(await shard.rows(history, [task("a")])).toEqual([attempt]);
    expect(await shard.run(run)).toMatchObject({ remaining: 1, failed: 0, finished_at: null });
    const { finished } = await shard.commit({ results: [completed(task("a"), null, 2)] });
    expect(finished).toEqual([{ run, state: "completed" }]);
  });

  test("forgets who had a lost attempt that ran long", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("one", { a: [] }));
    const begunAt = {
      t: task("a"),
      r: task("a").slice(0, 32) + "0000",
      a: 1,
      w: "first",
      b: 1_000,
    };
    await shard.commit({ started: [begunAt] });
    await shard.commit({ results: [{ ...lost(task("a")), w: "first", b: 1_000 }] });
    const forgotten = { state: "queued", attempt: 1, worker: null, started_at: null };
    expect(await shard.task(task("a"))).toMatchObject(forgotten);
  });

  test("keeps each step's output once, apart from its task", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("two", { a: [], b: [] }));
    await shard.commit({
      results: [completed(task("a"), { deep: [1, null] }), completed(task("b"), null)],
    });
    await shard.commit({ results: [completed(task("a"), "again")] });
    const outputs = "select output from v1.task_output where task_id = any ($1) order by task_id";
    const rows = await shard.rows(outputs, [[task("a"), task("b")]]);
    expect(rows).toEqual([{ output: { deep: [1, null] } }, { output: null }]);
  });
});
