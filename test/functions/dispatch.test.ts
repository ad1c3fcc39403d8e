/**
 * What dispatch needs of Postgres beside the tasks themselves: a run's priority, the worker that had its
 * last task, and after a shard's memory is gone, who holds permits.
 */
import { describe, expect, inject, test } from "vitest";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { begun, cancelled, completed, failed, lost, outOfTime, retried, skipped } from "./rows.ts";
import { openPool, takes, TestShard, taskOf } from "./support.ts";

const PAIR = { a: [], b: ["a"] };
const LIMITED: Pick<WorkflowDefinition, "limits"> = {
  limits: [{ key: "input.customer", concurrency: 1 }],
};

describe.each(inject("databases"))("dispatch on $name", (database) => {
  const pool = openPool(database);

  test("is told the priority of a run that has its own, with each of its tasks", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", PAIR, { onFailure: {} });
    const urgent = await shard.startRun(workflow, { pr: 3, s: [[0, 0]] });
    const plain = await shard.startRun(workflow, { s: [[0, 0]] });
    const { ready: first } = await shard.commit({ take: takes({ "pair:a": 2 }) });
    expect(first?.map((row) => row.priority)).toEqual([3, undefined]);
    const results = [lost(urgent.task("a")), completed(plain.task("a"))];
    const { ready: second = [] } = await shard.commit({ results });
    expect(second).toMatchObject([{ id: urgent.task("a"), priority: 3, rescues: 0 }, {}]);
    expect(second[1]).not.toHaveProperty("priority");
    const { ready: last } = await shard.commit({ results: [failed(urgent.task("a"), 2)] });
    expect(last).toMatchObject([{ priority: 3, failed: [{ step: "a" }] }]);
  });

  test("is told who had a sticky run's last task, and nothing of other runs", async () => {
    const shard = await TestShard.create(pool);
    const steps = { a: [], b: ["a"], c: ["b"] };
    const sticky = await shard.register("sticky", steps, { sticky: "soft" });
    const loose = await shard.register("loose", steps);
    const [one, two] = [await shard.startRun(sticky, { s: [[0, 0]] }), await shard.startRun(loose)];
    const { ready: first } = await shard.commit({ take: takes({ "sticky:a": 1 }) });
    expect(first).toMatchObject([{ worker: null }]);
    const { ready: second = [] } = await shard.commit({
      results: [one, two].map(({ task }) => ({ ...completed(task("a")), w: "first", f: 1_000 })),
    });
    expect(second.map(({ worker }) => worker)).toEqual(["first", undefined]);
    const { ready: third } = await shard.commit({
      results: [{ ...completed(one.task("b")), w: "second", f: 2_000 }],
    });
    expect(third).toMatchObject([{ id: one.task("c"), worker: "second" }]);
  });

  test("is told which holders are over when a shard wakes, also those that nobody knows", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", PAIR, LIMITED);
    const [open, ended, stopped] = [
      await shard.startRun(workflow),
      await shard.startRun(workflow),
      await shard.startRun(workflow),
    ];
    await shard.commit({
      results: [completed(ended.task("a"))],
      cancels: [cancelled(stopped.run)],
    });
    await shard.commit({ results: [completed(ended.task("b"))] });
    const other = await TestShard.create(pool);
    const theirs = await other.startRun(await other.register("pair", PAIR));
    const holders = [open, ended, stopped, theirs].map(({ run }) => run);
    const reply = await shard.recover([], { holders });
    expect(reply.over).toEqual([ended, stopped, theirs].map(({ run }) => run));
    expect(reply).not.toHaveProperty("holding");
    expect(reply).not.toHaveProperty("unknownMs");
    expect((await shard.recover()).over).toEqual([]);
  });

  test("is told which runs hold permits when the shard's memory is gone, and for how long it can't know", async () => {
    const shard = await TestShard.create(pool);
    const rest = { ...LIMITED, timeoutMs: 60_000 };
    const steps = { a: { timeoutMs: 5_000 }, b: { parents: ["a"], timeoutMs: 9_000 } };
    const limited = await shard.register("limited", { ...steps, c: ["b"] }, rest);
    const free = await shard.register("free", { a: { timeoutMs: 7_000 } });
    const input = { customer: "c" };
    const starts = Array.from({ length: 7 }, () => shard.start(limited, { i: input }));
    const [
      idle = "",
      running = "",
      queued = "",
      asleep = "",
      unwound = "",
      ended = "",
      passed = "",
    ] = starts.map(({ id }) => taskOf(limited, id, "a"));
    await shard.commit({ starts: [...starts, shard.start(free)] });
    await shard.commit({
      started: [begun(running)],
      // Nobody had the one whose conditions skipped it.
      results: [completed(queued), retried(asleep, Date.now() + 60_000), skipped(passed)],
      cancels: [cancelled(ended.slice(0, 32) + "0000")],
      room: { default: 0, actions: {}, bytes: 1 },
    });
    await shard.commit({ cancels: [outOfTime(unwound.slice(0, 32) + "0000")] });
    const { holding = [], unknownMs } = await shard.recover([], { epoch: 9 });
    const held = [running, queued, asleep].map((task) => task.slice(0, 32) + "0000");
    expect(holding.map(({ r }) => r).toSorted()).toEqual(held.toSorted());
    expect(holding[0]).toEqual({ r: held[0], v: limited.version, i: input, m: {} });
    expect(unknownMs).toBe(7_000);
    expect(await shard.task(idle)).toMatchObject({ attempt: 1 });
  });

  test("is told for how long it can't know also when the life that was told before it has written nothing down", async () => {
    const shard = await TestShard.create(pool);
    await shard.startRun(await shard.register("slow", { a: { timeoutMs: 60_000 } }));
    const first = await shard.recover([], { epoch: 9 });
    expect(first.unknownMs).toBe(60_000);
    const second = await shard.recover([], { epoch: 9 });
    expect(second.unknownMs).toBeGreaterThan(50_000);
    expect(second.unknownMs).toBeLessThanOrEqual(60_000);
  });

  test("has nothing to be told when no workflow has limits and nothing was in hand", async () => {
    const shard = await TestShard.create(pool);
    await shard.startRun(await shard.register("pair", PAIR), { s: [[0, 0]] });
    const { holding, unknownMs } = await shard.recover([], { epoch: 9 });
    expect({ holding, unknownMs }).toEqual({ holding: [], unknownMs: 0 });
  });
});
