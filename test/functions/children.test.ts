/**
 * Children: runs that a task starts, each once by its key over all of the task's attempts, whose end
 * is told with whose they are.
 */
import { randomBytes } from "node:crypto";
import { describe, expect, inject, test } from "vitest";
import type { SpawnRow } from "../../database/rows.ts";
import { pauseWorkflow } from "../../database/workflow-changes.ts";
import { MAX_PUSHED_BYTES } from "../../protocol/limits.ts";
import { taskId } from "../../protocol/ids.ts";
import { cancelled, child, completed, error, failed, FAILURE, lost, spawned } from "./rows.ts";
import { idsOf, openPool, queryOf, type StartedRun, TestShard, WIDE_ROOM } from "./support.ts";

const AT = 1_800_000_000_000;

describe.each(inject("databases"))("children on $name", (database) => {
  const pool = openPool(database);

  async function parent(): Promise<{ shard: TestShard; task: string } & Pick<StartedRun, "run">> {
    const shard = await TestShard.create(pool);
    await shard.register("sub", { x: [], y: ["x"] });
    const { run, task } = await shard.startRun(await shard.register("main", { a: [] }));
    return { shard, run, task: task("a") };
  }

  /** Completes both steps of a child. */
  async function complete(shard: TestShard, run: string): Promise<unknown> {
    await shard.commit({ results: [completed(taskId(run, 0), 1)] });
    return await shard.commit({ results: [completed(taskId(run, 1), 2)] });
  }

  test("start with the workflow's active version, and their first tasks come with the reply", async () => {
    const { shard, task } = await parent();
    const [one, two] = [child("one", "sub", { input: { n: 1 } }), child("two", "sub")];
    const reply = await shard.commit({ spawns: [spawned(task, [one, two])] });
    expect(reply.spawned).toEqual([
      { t: task, k: "one", run: one.id },
      { t: task, k: "two", run: two.id },
    ]);
    expect(idsOf(reply.ready)).toEqual([taskId(one.id, 0), taskId(two.id, 0)]);
    expect(reply.ready?.[0]).toMatchObject({ run: one.id, input: { n: 1 }, attempt: 1 });
    expect(await shard.run(one.id)).toMatchObject({
      state: "queued",
      remaining: 2,
      parent_id: task,
      parent_key: "one",
    });
    expect((await shard.handouts())[shard.lastSeq]).toEqual(idsOf(reply.ready));
  });

  test("say which runs they belong to, up to one that was started detached", async () => {
    const { shard, run, task } = await parent();
    const one = child("one", "sub");
    const first = await shard.commit({ spawns: [spawned(task, [one])] });
    expect(first.ready).toMatchObject([{ ancestors: [run] }]);
    const two = child("two", "sub", { isDetached: true });
    const second = await shard.commit({ spawns: [spawned(taskId(one.id, 0), [two])] });
    expect(second.ready).toMatchObject([{ ancestors: [] }]);
    const three = child("three", "sub");
    const third = await shard.commit({ spawns: [spawned(taskId(one.id, 0), [three])] });
    expect(third.ready).toMatchObject([{ ancestors: [one.id, run] }]);
    const four = child("four", "sub");
    const fourth = await shard.commit({ spawns: [spawned(taskId(two.id, 0), [four])] });
    expect(fourth.ready).toMatchObject([{ ancestors: [two.id] }]);
  });

  test("tell their parent's task how they ended, with their outputs", async () => {
    const { shard, task } = await parent();
    const one = child("one", "sub");
    await shard.commit({ spawns: [spawned(task, [one])] });
    const told = { run: one.id, parent: task, key: "one" };
    expect(await complete(shard, one.id)).toMatchObject({
      finished: [{ ...told, state: "completed", outputs: { x: 1, y: 2 }, error: null }],
    });
    const two = child("two", "sub");
    await shard.commit({ spawns: [spawned(task, [two])] });
    const { finished } = await shard.commit({ results: [failed(taskId(two.id, 0))] });
    const failure = { ...FAILURE, step: "x" };
    expect(finished).toMatchObject([{ key: "two", state: "failed", outputs: {}, error: failure }]);
    const three = child("three", "sub");
    await shard.commit({ spawns: [spawned(task, [three])] });
    const reply = await shard.commit({ cancels: [cancelled(three.id)] });
    expect(reply.finished).toMatchObject([
      { key: "three", state: "cancelled", error: { ...error("cancelled"), step: null } },
    ]);
  });

  test("tell of no outputs that are too large to be pushed", async () => {
    const { shard, task } = await parent();
    const one = child("one", "sub");
    await shard.commit({ spawns: [spawned(task, [one])] });
    const half = randomBytes(MAX_PUSHED_BYTES / 2)
      .toString("latin1")
      .replaceAll(/\W/g, "x");
    await shard.commit({ results: [completed(taskId(one.id, 0), half)] });
    const { finished } = await shard.commit({ results: [completed(taskId(one.id, 1), half)] });
    expect(finished).toMatchObject([
      { key: "one", state: "completed", outputs: null, error: null },
    ]);
  });

  test("start once by their key, whichever attempt asks and whatever else it says", async () => {
    const { shard, task } = await parent();
    const first = child("one", "sub");
    await shard.commit({ spawns: [spawned(task, [first])] });
    await shard.commit({ results: [lost(task)] });
    const before = await shard.picture();
    const again = child("one", "other", { input: "else" });
    for (const attempt of [2, 1]) {
      const { spawned: answer, ready } = await shard.commit({
        spawns: [spawned(task, [again], attempt)],
      });
      expect(answer).toEqual([{ t: task, k: "one", run: first.id }]);
      expect(ready).toEqual([]);
    }
    expect(await shard.picture()).toEqual(before);
  });

  test("start once when one commit asks twice", async () => {
    const { shard, task } = await parent();
    const [one, same] = [child("one", "sub"), child("one", "sub")];
    const spawns = [spawned(task, [one, same]), spawned(task, [same])];
    const reply = await shard.commit({ spawns });
    expect(new Set(reply.spawned?.map(({ run }) => run))).toEqual(new Set([one.id]));
    expect(await shard.hasRun(same.id)).toBe(false);
  });

  test("are told with what came of them, when they had ended before they were asked for again", async () => {
    const { shard, task } = await parent();
    const one = child("one", "sub");
    await shard.commit({ spawns: [spawned(task, [one])] });
    await complete(shard, one.id);
    const reply = await shard.commit({ spawns: [spawned(task, [one])] });
    expect(reply.spawned).toMatchObject([
      { t: task, k: "one", run: one.id, finished: { state: "completed", outputs: { x: 1, y: 2 } } },
    ]);
  });

  test("don't start for an attempt that is over, or that nobody was given", async () => {
    const { shard, run, task } = await parent();
    await shard.commit({ results: [lost(task)] });
    const stale = [
      spawned(task, [child("past", "sub")], 1),
      spawned(task, [child("future", "sub")], 3),
      {
        ...spawned(task, [child("foreign", "sub")], 2),
        r: taskId(run, 3).replace(/....$/, "0000"),
      },
    ];
    stale[2] = { ...spawned(task, [child("foreign", "sub")], 2), r: child("", "").id };
    const before = await shard.picture();
    const reply = await shard.commit({ spawns: stale });
    expect(reply.spawned).toEqual(
      ["past", "future", "foreign"].map((k) => ({ t: task, k, refused: "stale" })),
    );
    expect(await shard.picture()).toEqual(before);
    await shard.commit({ results: [completed(task, null, 2)] });
    const late = await shard.commit({ spawns: [spawned(task, [child("late", "sub")], 3)] });
    expect(late.spawned).toEqual([{ t: task, k: "late", refused: "stale" }]);
  });

  test("of no such workflow, or of a paused one that takes no runs, are refused alone", async () => {
    const { shard, task } = await parent();
    await shard.register("dropped", { a: [] });
    await pauseWorkflow(queryOf(pool), shard.change("dropped"), "drop");
    const fine = child("fine", "sub");
    const children = [child("none", "nowhere"), child("dropped", "dropped"), fine];
    const reply = await shard.commit({ spawns: [spawned(task, children)] });
    expect(reply.spawned).toEqual([
      { t: task, k: "none", refused: "workflow_not_found" },
      { t: task, k: "dropped", refused: "workflow_paused" },
      { t: task, k: "fine", run: fine.id },
    ]);
  });

  test("of a paused workflow that holds its runs wait, and then have their timeout", async () => {
    const { shard, task } = await parent();
    await shard.register("held", { a: [] }, { timeoutMs: 3_000 });
    await pauseWorkflow(queryOf(pool), shard.change("held"), "hold");
    const one = child("one", "held");
    const reply = await shard.commit({ spawns: [spawned(task, [one])] });
    expect(reply).toMatchObject({ ready: [], timers: [], spawned: [{ run: one.id }] });
    const { timers, ready } = await shard.commit({ at: AT, releases: [{ r: one.id }] });
    expect(idsOf(ready)).toEqual([taskId(one.id, 0)]);
    expect(timers).toEqual([{ id: one.id, k: "timeout", d: AT + 3_000 }]);
  });

  test("have their workflow's timeout", async () => {
    const { shard, task } = await parent();
    await shard.register("limited", { a: [] }, { timeoutMs: 3_000 });
    const one = child("one", "limited");
    const request = shard.request({ at: AT, spawns: [spawned(task, [one])] });
    const timers = [{ id: one.id, k: "timeout", d: AT + 3_000 }];
    const first = await shard.send(request);
    expect(first).toMatchObject({ timers });
    const before = await shard.picture();
    const again = await shard.send(request);
    expect(again).toEqual({ ...first, repeated: true });
    expect(await shard.picture()).toEqual(before);
  });

  test("that an attempt asks for in the commit that ends it start all the same", async () => {
    const { shard, run, task } = await parent();
    const one = child("one", "sub", { isDetached: true });
    const reply = await shard.commit({
      spawns: [spawned(task, [one])],
      results: [completed(task)],
    });
    expect(reply).toMatchObject({ spawned: [{ run: one.id }], finished: [{ run }] });
  });

  test("go to the queue when there is no room for their first tasks", async () => {
    const { shard, task } = await parent();
    const one = child("one", "sub");
    const room = { ...WIDE_ROOM, default: 0 };
    const { spilled } = await shard.commit({ spawns: [spawned(task, [one])], room });
    expect(spilled).toEqual(["sub:x"]);
    expect(await shard.queued()).toEqual([taskId(one.id, 0)]);
  });

  test("under an id that a run has already are refused, and nothing is linked to that run", async () => {
    const { shard, task } = await parent();
    const other = await shard.startRun(await shard.register("other", { a: [] }));
    const reply = await shard.commit({
      spawns: [spawned(task, [child("taken", "sub", { id: other.run })])],
    });
    expect(reply.spawned).toEqual([{ t: task, k: "taken", refused: "stale" }]);
    expect(await shard.run(other.run)).toMatchObject({ parent_id: null });
  });

  test("are a thousand in a commit, and end in one", async () => {
    const { shard, task } = await parent();
    await shard.register("leaf", { a: [] });
    const children: SpawnRow["c"] = Array.from({ length: 1_000 }, (_, n) => child(`${n}`, "leaf"));
    const { ready } = await shard.commit({ spawns: [spawned(task, children)] });
    expect(ready).toHaveLength(1_000);
    const results = children.map(({ id }) => completed(taskId(id, 0), "done"));
    const { finished } = await shard.commit({ results });
    const told = finished?.map(({ key, outputs }) => ({ key, outputs }));
    const every = children.map(({ k }) => ({ key: k, outputs: { a: "done" } }));
    expect(told).toHaveLength(1_000);
    expect(told).toEqual(expect.arrayContaining(every.slice(0, 20)));
  });
});
