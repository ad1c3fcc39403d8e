/**
 * Attempts that are followed by another: at once, after a backoff that a timer ends, or never,
 * because the worker was lost once too often or the task was queued for too long.
 */
import { describe, expect, inject, test } from "vitest";
import {
  abandoned,
  begun,
  completed,
  error,
  expired,
  failed,
  FAILURE,
  lost,
  retried,
  timedOut,
  woken,
} from "./rows.ts";
import { idsOf, openPool, taskOf, TestShard, WIDE_ROOM } from "./support.ts";

const AT = 1_800_000_000_000;

describe.each(inject("databases"))("an attempt on $name", (database) => {
  const pool = openPool(database);

  async function oneTask(): Promise<{ shard: TestShard; run: string; task: string }> {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("one", { a: [] }));
    return { shard, run, task: task("a") };
  }

  test("that failed is followed by another when its backoff is over", async () => {
    const { shard, run, task } = await oneTask();
    await shard.commit({ started: [begun(task, 1, 5_000)] });
    const result = { ...retried(task, AT + 500), b: 5_000, f: 6_000 };
    const reply = await shard.commit({ at: AT, results: [result], settled: [1] });
    expect(reply).toMatchObject({ ready: [], finished: [], timers: [timer(task, AT + 500)] });
    expect(await shard.task(task)).toMatchObject({
      state: "backoff",
      attempt: 1,
      failures: 1,
      rescues: 0,
      worker: null,
      error: null,
      started_at: null,
      finished_at: null,
    });
    expect(await shard.run(run)).toMatchObject({ state: "running", remaining: 1, failed: 0 });
    expect([await shard.queued(), await shard.handouts()]).toEqual([[], {}]);
    const ended = { attempt: 1, outcome: "failed", worker: "worker", error: FAILURE };
    const times = { started_at: new Date(5_000), finished_at: new Date(6_000) };
    expect(await shard.history(task)).toEqual([{ task_id: task, ...ended, ...times }]);

    const { ready } = await shard.commit({ at: AT + 500, wakes: [woken(task)] });
    expect(ready).toMatchObject([
      { id: task, attempt: 2, failures: 1, rescues: 0, queuedAt: AT + 500 },
    ]);
    expect(await shard.timers()).toEqual([]);
    expect(await shard.handouts()).toEqual({ [shard.lastSeq]: [task] });
    const last = await shard.commit({ results: [completed(task, 1, 2)] });
    expect(last.finished).toEqual([{ run, state: "completed" }]);
  });

  test("that ran out of time is followed by another at once, when there is no backoff", async () => {
    const { shard, task } = await oneTask();
    const reply = await shard.commit({ at: AT, results: [{ ...timedOut(task), d: AT }] });
    expect(reply.ready).toMatchObject([{ id: task, attempt: 2, failures: 1, queuedAt: AT }]);
    expect(reply).not.toHaveProperty("timers");
    expect(await shard.task(task)).toMatchObject({ state: "queued", attempt: 1 });
    expect(await shard.history(task)).toMatchObject([{ attempt: 1, outcome: "timed_out" }]);
  });

  test("without a due time is the last, and its failures are counted", async () => {
    const { shard, run, task } = await oneTask();
    await shard.commit({ at: AT, results: [retried(task, AT)] });
    const { finished } = await shard.commit({ results: [failed(task, 2)] });
    expect(finished).toEqual([{ run, state: "failed" }]);
    expect(await shard.task(task)).toMatchObject({ state: "failed", attempt: 2, failures: 2 });
  });

  test("of a task in backoff is reported in vain: another number is next", async () => {
    const { shard, task } = await oneTask();
    await shard.commit({ at: AT, results: [retried(task, AT + 500)] });
    const before = await shard.picture();
    for (const attempt of [1, 2]) {
      await shard.commit({ results: [completed(task, "late", attempt)], wakes: [] });
    }
    expect(await shard.picture()).toEqual(before);
  });

  test("that was lost is a rescue, unless the worker never confirmed the task", async () => {
    const { shard, task } = await oneTask();
    const first = { ...lost(task), e: error("not_received") };
    const { ready } = await shard.commit({ results: [first] });
    expect(ready?.[0]).not.toHaveProperty("rescues");
    const second = { ...lost(task, 2), e: error("worker_lost") };
    const reply = await shard.commit({ results: [second] });
    expect(reply.ready).toMatchObject([{ id: task, attempt: 3, failures: 0, rescues: 1 }]);
    expect(await shard.history(task)).toMatchObject([
      { attempt: 1, outcome: "lost", error: error("not_received") },
      { attempt: 2, outcome: "lost", error: error("worker_lost") },
    ]);
  });

  test("that was lost once too often is the last", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("pair", { a: [], b: ["a"] }));
    const { finished } = await shard.commit({ results: [abandoned(task("a"))] });
    expect(finished).toEqual([{ run, state: "failed" }]);
    const { state, rescues, error: stored } = await shard.task(task("a"));
    expect({ state, rescues, stored }).toEqual({
      state: "failed",
      rescues: 1,
      stored: error("worker_lost"),
    });
    expect(await shard.states(run)).toEqual(["failed", "cancelled"]);
    // What that worker still reports was not used.
    const late = await shard.commit({ results: [completed(task("a"))] });
    expect(late.results).toEqual({ [task("a")]: "stale" });
  });

  test("that failed and is reported again is recorded, and gets the same timer", async () => {
    const { shard, task } = await oneTask();
    const results = [retried(task, AT + 500)];
    const request = shard.request({ at: AT, results, settled: [1] });
    await shard.send(request);
    const before = await shard.picture();
    const again = await shard.send(request);
    expect(again.results).toEqual({ [task]: "recorded" });
    expect(again.timers).toEqual([timer(task, AT + 500)]);
    expect(await shard.picture()).toEqual(before);
  });

  test("that is woken again is handed out again, once", async () => {
    const { shard, task } = await oneTask();
    await shard.commit({ at: AT, results: [retried(task, AT + 500)], settled: [1] });
    const request = shard.request({ wakes: [woken(task)] });
    const first = await shard.send(request);
    const before = await shard.picture();
    expect((await shard.send(request)).ready).toEqual(first.ready);
    const { ready } = await shard.commit({ wakes: [woken(task)] });
    expect(ready).toEqual([]);
    expect(await shard.picture()).toEqual(before);
  });

  test("that is woken without room for it goes to the queue", async () => {
    const { shard, task } = await oneTask();
    await shard.commit({ at: AT, results: [retried(task, AT + 500)], settled: [1] });
    const room = { ...WIDE_ROOM, default: 0 };
    const { ready, spilled } = await shard.commit({ wakes: [woken(task)], room });
    expect({ ready, spilled }).toEqual({ ready: [], spilled: ["one:a"] });
    expect(await shard.queued()).toEqual([task]);
  });

  test("of many tasks at once moves each by itself", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", { a: [], b: ["a"] });
    const starts = Array.from({ length: 300 }, () => shard.start(workflow));
    await shard.commit({ starts });
    const tasks = starts.map(({ id }) => taskOf(workflow, id, "a"));
    const results = tasks.map((task, number) =>
      number % 3 === 0 ? completed(task) : retried(task, number % 3 === 1 ? AT : AT + number, 1),
    );
    const { ready, timers } = await shard.commit({ at: AT, results, settled: [1] });
    const children = starts.map(({ id }) => taskOf(workflow, id, "b"));
    const expected = tasks.flatMap((task, number) => [
      ...(number % 3 === 0 ? [children[number]] : []),
      ...(number % 3 === 1 ? [task] : []),
    ]);
    expect(idsOf(ready)).toEqual(expected);
    const asleep = tasks.flatMap((id, number) =>
      number % 3 === 2 ? [timer(id, AT + number)] : [],
    );
    expect(timers?.toSorted((left, right) => left.d - right.d)).toEqual(asleep);
  });

  test("that nobody took in time fails its task, once the queue has given it up", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("slow", { a: { scheduleTimeoutMs: 1_000 }, b: [] });
    const [first, second] = [shard.start(workflow), shard.start(workflow)];
    for (const [at, start] of [
      [AT, first],
      [AT + 10, second],
    ] as const) {
      const { expiry } = await shard.commit({
        at,
        starts: [
          {
            ...start,
            s: [
              [0, 0],
              [1, 0],
            ],
          },
        ],
      });
      expect(expiry).toBe(AT + 1_000);
    }
    const early = await shard.commit({ at: AT + 999, expired: 10 });
    expect(early).toMatchObject({ ready: [], expiry: AT + 1_000 });
    const task = taskOf(workflow, first.id, "a");
    const reply = await shard.commit({ at: AT + 1_000, expired: 10 });
    expect(idsOf(reply.ready)).toEqual([task]);
    expect(reply.expiry).toBe(AT + 1_010);
    expect((await shard.handouts())[shard.lastSeq]).toEqual([task]);
    await shard.commit({ results: [expired(task)] });
    expect(await shard.task(task)).toMatchObject({ state: "failed", worker: null });

    const rest = await shard.commit({ at: AT + 2_000, expired: 10 });
    expect(idsOf(rest.ready)).toEqual([taskOf(workflow, second.id, "a")]);
    expect(rest).not.toHaveProperty("expiry");
    expect(await shard.queued()).toHaveLength(2);
  });

  test("that was begun can't have been queued for too long", async () => {
    const { shard, task } = await oneTask();
    await shard.commit({ started: [begun(task)] });
    const { results } = await shard.commit({ results: [expired(task)] });
    expect(results).toEqual({ [task]: "stale" });
    expect(await shard.task(task)).toMatchObject({ state: "running", attempt: 0 });
  });

  test("waits in the queue anew each time: its time begins with each queuing", async () => {
    const shard = await TestShard.create(pool);
    const steps = { a: { scheduleTimeoutMs: 1_000, retries: 1 } };
    const { task } = await shard.startRun(await shard.register("slow", steps));
    const room = { ...WIDE_ROOM, default: 0 };
    const results = [retried(task("a"), AT)];
    const first = await shard.commit({ at: AT, results, settled: [1], room });
    expect(first).toMatchObject({ spilled: ["slow:a"], expiry: AT + 1_000 });
  });
});

function timer(id: string, due: number): { id: string; k: string; d: number } {
  return { id, k: "retry", d: due };
}
