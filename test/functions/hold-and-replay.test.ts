/**
 * Runs that begin otherwise: held until their paused workflow is resumed, or repeating another run
 * with some of its outputs.
 */
import { describe, expect, inject, test } from "vitest";
import { readDefinitions } from "../../database/functions.ts";
import { pauseWorkflow, resumeWorkflow } from "../../database/workflow-changes.ts";
import type { StartRow } from "../../database/rows.ts";
import { newRunId } from "../../protocol/ids.ts";
import { cancelled, completed, failed, released } from "./rows.ts";
import {
  idsOf,
  openPool,
  queryOf,
  type Registered,
  type StartedRun,
  taskOf,
  TestShard,
} from "./support.ts";

const AT = 1_800_000_000_000;
const INFINITY = Infinity;

describe.each(inject("databases"))("a paused workflow on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  async function heldRun(): Promise<{ shard: TestShard; workflow: Registered } & StartedRun> {
    const shard = await TestShard.create(pool);
    const rest = { timeoutMs: 3_000 };
    const workflow = await shard.register("pair", { a: [], b: ["a"], c: [] }, rest);
    await pauseWorkflow(query, shard.change("pair"), "hold");
    await shard.readDefinitions();
    return { shard, workflow, ...(await shard.startRun(workflow, { h: true })) };
  }

  test("is known as paused, and its definitions have changed", async () => {
    const shard = await TestShard.create(pool);
    await shard.register("pair", { a: [] });
    const before = shard.definitions;
    const paused = await pauseWorkflow(query, shard.change("pair"), "hold");
    expect(paused?.paused).toMatchObject({ mode: "hold" });
    const definitions = await readDefinitions(query, shard.tenant);
    expect(definitions).toMatchObject({ version: before + 1, workflows: [{ paused: "hold" }] });
    const dropped = await pauseWorkflow(query, shard.change("pair"), "drop");
    expect(dropped?.paused).toEqual({ at: paused?.paused?.at, mode: "drop" });
    await pauseWorkflow(query, shard.change("pair"), "drop");
    expect(await resumeWorkflow(query, shard.change("pair"))).toMatchObject({
      paused: null,
    });
    await resumeWorkflow(query, shard.change("pair"));
    expect((await readDefinitions(query, shard.tenant))?.version).toBe(before + 3);
    expect((await readDefinitions(query, shard.tenant))?.workflows[0]).not.toHaveProperty("paused");
  });

  test("that is not there can't be paused or resumed, nor another tenant's", async () => {
    const [shard, other] = [await TestShard.create(pool), await TestShard.create(pool)];
    await other.register("theirs", { a: [] });
    for (const name of ["none", "theirs"]) {
      expect(await pauseWorkflow(query, shard.change(name), "hold")).toBeUndefined();
      expect(await resumeWorkflow(query, shard.change(name))).toBeUndefined();
    }
  });

  test("holds its runs: nothing is ready, and no time counts", async () => {
    const { shard, run, task } = await heldRun();
    expect(await shard.states(run)).toEqual(["waiting", "waiting", "waiting"]);
    expect(await shard.timers()).toEqual([{ id: run, kind: "release", due: INFINITY }]);
    expect([await shard.queued(), await shard.handouts()]).toEqual([[], {}]);
    expect((await shard.commit({ agenda: 5 })).agenda).toEqual([]);
    const before = await shard.picture();
    await shard.commit({ results: [completed(task("a"))] });
    expect(await shard.picture()).toEqual(before);
  });

  test("that is resumed has its runs released, each once", async () => {
    const { shard, workflow, run, task } = await heldRun();
    const other = await shard.register("other", { a: [] });
    await pauseWorkflow(query, shard.change("other"), "hold");
    await shard.readDefinitions();
    const still = await shard.startRun(other, { h: true });
    for (const _ of [1, 2]) {
      const resumed = await resumeWorkflow(query, shard.change(workflow.name));
      expect(resumed?.shards).toEqual([0]);
    }
    const { agenda } = await shard.commit({ agenda: 5 });
    expect(agenda).toMatchObject([{ id: run, k: "release" }]);
    const request = shard.request({ at: AT, releases: [released(run)] });
    const first = await shard.send(request);
    expect(idsOf(first.ready)).toEqual([task("a"), task("c")]);
    expect(first.timers).toEqual([{ id: run, k: "timeout", d: AT + 3_000 }]);
    expect(first.ready?.[0]?.queuedAt).toBe(AT);
    const before = await shard.picture();
    expect(await shard.send(request)).toEqual({ ...first, repeated: true });
    expect((await shard.commit({ releases: [released(run)] })).ready).toEqual([]);
    expect(await shard.picture()).toEqual(before);
    expect(await shard.states(still.run)).toEqual(["waiting"]);
    expect(await shard.task(task("b"))).toMatchObject({ state: "waiting", pending: 1 });
    await shard.commit({ results: [completed(task("a")), completed(task("c"))] });
    const { finished } = await shard.commit({ results: [completed(task("b"))] });
    expect(finished).toEqual([{ run, state: "completed" }]);
  });

  test("has held runs cancelled, and they are never released", async () => {
    const { shard, run } = await heldRun();
    await shard.commit({ cancels: [cancelled(run)] });
    expect(await shard.timers()).toEqual([]);
    const before = await shard.picture();
    await resumeWorkflow(query, shard.change("pair"));
    await shard.commit({ releases: [released(run)] });
    expect(await shard.picture()).toEqual(before);
  });

  test("refuses a start that was resolved before it was paused", async () => {
    const shard = await TestShard.create(pool);
    const start = shard.start(await shard.register("pair", { a: [] }));
    await pauseWorkflow(query, shard.change("pair"), "drop");
    expect((await shard.commit({ starts: [start] })).starts).toEqual({ [start.id]: "stale" });
  });
});

describe.each(inject("databases"))("a replay on $name", (database) => {
  const pool = openPool(database);

  /** a → b → d, and c beside them; d has failed. */
  async function failedRun(): Promise<{ shard: TestShard; workflow: Registered } & StartedRun> {
    const shard = await TestShard.create(pool);
    const steps = { a: [], b: ["a"], c: [], d: ["b", "c"] };
    const workflow = await shard.register("diamond", steps);
    const started = await shard.startRun(workflow, { i: { n: 1 } });
    const { task } = started;
    await shard.commit({
      results: [{ ...completed(task("a"), "A"), w: "first", b: 1_000, f: 2_000 }],
    });
    await shard.commit({ results: [completed(task("b"), "B"), completed(task("c"), "C")] });
    await shard.commit({ results: [failed(task("d"))] });
    return { shard, workflow, ...started };
  }

  function replay(
    { shard, workflow, run }: { shard: TestShard; workflow: Registered; run: string },
    parts: Partial<StartRow> = {},
  ): StartRow {
    return shard.start(workflow, { ro: run, ...parts });
  }

  test("reuses outputs: only the others are executed, with what they need", async () => {
    const original = await failedRun();
    const { shard, workflow } = original;
    const start = replay(original, { ru: [0, 1, 2], n: 1, i: { n: 2 } });
    const { ready, starts } = await shard.commit({ at: AT, starts: [start] });
    expect(starts).toEqual({});
    const last = taskOf(workflow, start.id, "d");
    expect(ready).toMatchObject([
      { id: last, input: { n: 2 }, parents: { b: "B", c: "C" }, attempt: 1, queuedAt: AT },
    ]);
    expect(await shard.states(start.id)).toEqual(["completed", "completed", "completed", "queued"]);
    expect(await shard.task(taskOf(workflow, start.id, "a"))).toMatchObject({
      worker: "first",
      attempt: 1,
      started_at: new Date(1_000),
      finished_at: new Date(2_000),
    });
    expect(await shard.run(start.id)).toMatchObject({
      remaining: 1,
      failed: 0,
      replay_of: original.run,
      reused: [0, 1, 2],
    });
    expect((await shard.handouts())[shard.lastSeq]).toEqual([last]);
    const { finished } = await shard.commit({ results: [completed(last)] });
    expect(finished).toEqual([{ run: start.id, state: "completed" }]);
  });

  test("from a step on waits for those of its parents that are not reused", async () => {
    const original = await failedRun();
    const { shard, workflow } = original;
    const start = replay(original, { ru: [0, 2], n: 2 });
    const { ready } = await shard.commit({ starts: [start] });
    const [b, d] = ["b", "d"].map((step) => taskOf(workflow, start.id, step));
    expect(ready).toMatchObject([{ id: b, parents: { a: "A" } }]);
    expect(await shard.task(d ?? "")).toMatchObject({ state: "waiting", pending: 1 });
    const next = await shard.commit({ results: [completed(b ?? "", "B2")] });
    expect(next.ready).toMatchObject([{ id: d, parents: { b: "B2", c: "C" } }]);
  });

  test("of everything reuses nothing, and never touches the original", async () => {
    const original = await failedRun();
    const { shard, workflow, run } = original;
    const before = await shard.rows("select * from v1.task where v1.run_id(id) = $1", [run]);
    const start = replay(original);
    const { ready } = await shard.commit({ starts: [start] });
    expect(idsOf(ready)).toEqual(["a", "c"].map((step) => taskOf(workflow, start.id, step)));
    expect(await shard.rows("select * from v1.task where v1.run_id(id) = $1", [run])).toEqual(
      before,
    );
  });

  test("that is sent again starts nothing twice, and hands out the same", async () => {
    const original = await failedRun();
    const { shard } = original;
    const start = replay(original, { ru: [0, 1, 2], n: 1 });
    const request = shard.request({ starts: [start] });
    const first = await shard.send(request);
    const before = await shard.picture();
    const again = await shard.send(request);
    expect(again).toEqual({ ...first, known: [start.id], repeated: true });
    expect(await shard.picture()).toEqual(before);
  });

  test("of a replay reuses what that one reused", async () => {
    const original = await failedRun();
    const { shard, workflow } = original;
    const first = replay(original, { ru: [0, 1, 2], n: 1 });
    await shard.commit({ starts: [first] });
    await shard.commit({ results: [failed(taskOf(workflow, first.id, "d"))] });
    const second = replay({ ...original, run: first.id }, { ru: [0, 1, 2], n: 1 });
    const { ready } = await shard.commit({ starts: [second] });
    expect(ready).toMatchObject([{ parents: { b: "B", c: "C" } }]);
  });

  test("is refused alone when there is nothing that it could repeat", async () => {
    const original = await failedRun();
    const { shard, workflow } = original;
    const unfinished = await shard.startRun(workflow);
    const other = await failedRun();
    const changed = await shard.register("diamond", { a: [], b: ["a"] });
    const fine = shard.start(changed, { k: "key" });
    const refused = [
      replay({ ...original, run: unfinished.run }),
      replay({ ...original, run: newRunId() }),
      replay({ ...original, run: other.run }), // another tenant's
      replay(original, { ru: [0, 3], n: 2 }), // d has failed
      replay({ ...original, workflow: changed }, { ru: [0], n: 1 }), // by another version
      replay(original, { ru: [0, 1, 2, 3], n: 0 }),
      replay(original, { ru: [0, 40], n: 3, k: "refused" }),
    ];
    const { starts, ready } = await shard.commit({ starts: [...refused, fine] });
    expect(starts).toEqual(Object.fromEntries(refused.map(({ id }) => [id, "stale"])));
    expect(ready).toEqual([]);
    expect(await shard.hasRun(fine.id)).toBe(true);
    // A refused one leaves its key to the next.
    const next = shard.start(changed, { k: "refused" });
    expect((await shard.commit({ starts: [next] })).starts).toEqual({});
  });

  test("that is held is released to what it has to execute", async () => {
    const original = await failedRun();
    const { shard, workflow } = original;
    const start = replay(original, { ru: [0, 2], n: 2, h: true });
    const held = await shard.commit({ starts: [start] });
    expect(held.ready).toEqual([]);
    const { ready } = await shard.commit({ releases: [released(start.id)] });
    expect(idsOf(ready)).toEqual([taskOf(workflow, start.id, "b")]);
    expect(await shard.task(taskOf(workflow, start.id, "d"))).toMatchObject({ pending: 1 });
  });

  test("that fails undoes its own steps, not those that it reused", async () => {
    const shard = await TestShard.create(pool);
    const steps = {
      a: { compensate: {} },
      b: { parents: ["a"], compensate: {} },
      c: ["b"],
    };
    const workflow = await shard.register("trip", steps);
    const { run, task } = await shard.startRun(workflow);
    await shard.commit({ results: [completed(task("a"))] });
    await shard.commit({ cancels: [cancelled(run)] });
    const start = shard.start(workflow, { ro: run, ru: [0], n: 2 });
    await shard.commit({ starts: [start] });
    await shard.commit({ results: [completed(taskOf(workflow, start.id, "b"))] });
    const { ready } = await shard.commit({ results: [failed(taskOf(workflow, start.id, "c"))] });
    const undo = taskOf(workflow, start.id, "b:compensate");
    expect(idsOf(ready)).toEqual([undo]);
    const { finished } = await shard.commit({ results: [completed(undo)] });
    expect(finished).toEqual([{ run: start.id, state: "failed" }]);
  });
});
