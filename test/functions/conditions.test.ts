/** Tasks under conditions: where they are until they are judged, and what a skip does to the run. */
import { describe, expect, inject, test } from "vitest";
import type { CommitRequest } from "../../database/rows.ts";
import { child, completed, failed, released, retried, skipped, spawned, woken } from "./rows.ts";
import { idsOf, openPool, type Steps, TestShard, takes } from "./support.ts";

const NO_ROOM: CommitRequest["room"] = { default: 0, actions: {}, bytes: 2 ** 40 };

const STEPS: Steps = {
  a: { skipIf: "input.n == 1" },
  b: { parents: ["a"], runIf: "has(parents.a)" },
  c: ["a", "b"],
};

describe.each(inject("databases"))("conditions on $name", (database) => {
  const pool = openPool(database);

  async function begin(): Promise<{
    shard: TestShard;
    run: string;
    a: string;
    b: string;
    c: string;
  }> {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("flow", STEPS));
    return { shard, run, a: task("a"), b: task("b"), c: task("c") };
  }

  /** The queue's actions and their tasks. */
  async function queue(shard: TestShard): Promise<unknown> {
    const rows = await shard.rows<{ action: string; task_id: string }>(
      "select action, task_id from v1.queue_item where tenant_id = $1 order by task_id",
      [shard.tenant],
    );
    return rows.map(({ action, task_id: task }) => [action, task]);
  }

  test("the shard is given them with what they are judged by, also the first ones", async () => {
    const shard = await TestShard.create(pool);
    const start = shard.start(await shard.register("flow", STEPS), { i: { n: 2 } });
    const [ready] = (await shard.commit({ starts: [start] })).ready ?? [];
    expect(ready).toMatchObject({ step: 0, attempt: 1, input: { n: 2 }, parents: {} });
    const { ready: next } = await shard.commit({ results: [completed(ready?.id ?? "", "x")] });
    expect(next).toMatchObject([{ step: 1, parents: { a: "x" } }]);
  });

  test("a skip readies the children, which are not given an output, and leaves no attempt", async () => {
    const { shard, run, a, b, c } = await begin();
    expect(idsOf((await shard.commit({ results: [skipped(a)] })).ready)).toEqual([b]);
    const { ready } = await shard.commit({ results: [skipped(b)] });
    expect(ready).toMatchObject([{ id: c, parents: {} }]);
    expect(await shard.task(b)).toMatchObject({ state: "skipped", attempt: 0, worker: null });
    expect(await shard.history(b)).toEqual([]);
    const { finished } = await shard.commit({ results: [completed(c)] });
    expect(finished).toEqual([{ run, state: "completed" }]);
    expect(await shard.states(run)).toEqual(["skipped", "skipped", "completed"]);
  });

  test("a skip that ends the run ends it once, and is told again when it is repeated", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(
      await shard.register("one", { a: { runIf: "false" } }),
    );
    const request = shard.request({ results: [skipped(task("a"))] });
    const { finished } = await shard.send(request);
    expect(finished).toEqual([{ run, state: "completed" }]);
    const picture = await shard.picture();
    expect((await shard.send(request)).finished).toEqual([{ run, state: "completed" }]);
    await shard.commit({ results: [skipped(task("a")), skipped(task("a"))].slice(0, 1) });
    expect(await shard.picture()).toEqual(picture);
  });

  test("a skip that comes again readies its children again, and only by the same commit", async () => {
    const { shard, a, b } = await begin();
    const request = shard.request({ results: [skipped(a)] });
    await shard.send(request);
    expect(idsOf((await shard.send(request)).ready)).toEqual([b]);
    expect((await shard.commit({ results: [skipped(a)] })).ready).toEqual([]);
  });

  test("a task that has run, or fails in another branch's run, is as it would be without", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(
      await shard.register("two", {
        a: { compensate: {} },
        b: { runIf: "false", compensate: {} },
        c: ["b"],
      }),
    );
    await shard.commit({ results: [completed(task("a")), skipped(task("b"))] });
    const { ready } = await shard.commit({ results: [failed(task("c"))] });
    expect(idsOf(ready)).toEqual([task("a:compensate")]);
    expect((await shard.run(run)).state).toBe("running");
    await shard.commit({ results: [skipped(task("a"))] });
    expect((await shard.task(task("a"))).state).toBe("completed");
  });

  test("those that find no room wait where the shard looks, whatever workers there are", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("flow", STEPS);
    const start = shard.start(workflow);
    const reply = await shard.commit({ starts: [start], room: NO_ROOM });
    const [task = ""] = await shard.queued();
    expect([reply.ready, reply.spilled]).toEqual([[], [""]]);
    expect(await queue(shard)).toEqual([["", task]]);
    const taken = await shard.commit({ take: takes({ "": 5, "flow:a": 5 }) });
    expect(idsOf(taken.ready)).toEqual([task]);
    await shard.recover();
    expect(await queue(shard)).toEqual([["", task]]);
    await shard.commit({ take: takes({ "": 5 }) });
    await shard.recover([], { epoch: -1 });
    expect(await queue(shard)).toEqual([["", task]]);
    expect((await shard.commit({ take: takes({ "": 5 }) })).ready).toMatchObject([{ attempt: 2 }]);
  });

  test("room for what is to be judged is room of its own; a retry takes its action's", async () => {
    const { shard, a, b } = await begin();
    const room = { ...NO_ROOM, actions: { "": 1 } };
    expect(idsOf((await shard.commit({ results: [completed(a)], room })).ready)).toEqual([b]);
    await shard.commit({ results: [retried(b, Date.now() + 60_000)] });
    expect((await shard.commit({ wakes: [woken(b)], room })).spilled).toEqual(["flow:b"]);
  });

  test("children, held runs and replays are judged as other runs are", async () => {
    const shard = await TestShard.create(pool);
    const parent = await shard.startRun(await shard.register("parent", { a: [] }));
    const workflow = await shard.register("flow", STEPS);
    const one = child("one", "flow");
    const { ready } = await shard.commit({
      spawns: [spawned(parent.task("a"), [one])],
      room: NO_ROOM,
    });
    expect(ready).toEqual([]);
    expect(await queue(shard)).toMatchObject([["", expect.any(String)]]);
    const held = await shard.startRun(workflow, { h: true });
    const release = await shard.commit({ releases: [released(held.run)] });
    expect(idsOf(release.ready)).toEqual([held.task("a")]);
    await shard.commit({ results: [skipped(held.task("a"))] });
    await shard.commit({ results: [completed(held.task("b"))] });
    await shard.commit({ results: [failed(held.task("c"))] });
    // What was skipped is reused as it was, or what is below it would run twice.
    const replay = shard.start(workflow, { ro: held.run, ru: [0, 1], n: 1 });
    const reply = await shard.commit({ starts: [replay] });
    expect(reply).toMatchObject({ starts: {}, ready: [{ step: 2 }] });
    expect(await shard.states(replay.id)).toEqual(["skipped", "completed", "queued"]);
  });
});
