/**
 * Runs that have failed: what their completed steps did is undone, the last first and one at a time;
 * then one step sees to the failure; then they have failed for good.
 */
import { describe, expect, inject, test } from "vitest";
import { cancelled, completed, error, failed, FAILURE, lost, outOfTime, retried } from "./rows.ts";
import { idsOf, openPool, type Steps, TestShard, WIDE_ROOM, takes } from "./support.ts";

const UNDONE = { compensate: {} };
const TRIP: Steps = {
  flight: UNDONE,
  hotel: { parents: ["flight"], ...UNDONE },
  car: UNDONE,
  note: [],
  pay: ["hotel", "car", "note"],
};

describe.each(inject("databases"))("a run that has failed on $name", (database) => {
  const pool = openPool(database);

  async function failedTrip(onFailure = true): Promise<{
    shard: TestShard;
    run: string;
    task(step: string): string;
    ready: unknown;
  }> {
    const shard = await TestShard.create(pool);
    const rest = onFailure ? { onFailure: {} } : {};
    const started = await shard.startRun(await shard.register("trip", TRIP, rest), { i: { n: 1 } });
    const { task } = started;
    const results = ["car", "flight", "note"].map((step, at) => ({
      ...completed(task(step), `${step} booked`),
      f: 1_000 + at,
    }));
    await shard.commit({ results });
    await shard.commit({ results: [{ ...completed(task("hotel"), "hotel booked"), f: 5_000 }] });
    const { ready, finished } = await shard.commit({ results: [failed(task("pay"))] });
    expect(finished).toEqual([]);
    return { shard, ...started, ready };
  }

  test("undoes its completed steps one at a time, the last to finish first", async () => {
    const { shard, run, task, ready } = await failedTrip();
    const order = ["hotel:compensate", "flight:compensate", "car:compensate", "on-failure"];
    expect(ready).toMatchObject([{ id: task(order[0] ?? ""), attempt: 1, input: { n: 1 } }]);
    for (const [number, step] of order.entries()) {
      expect(await shard.run(run)).toMatchObject({ state: "running", remaining: 1 });
      expect(await shard.task(task(step))).toMatchObject({ state: "queued" });
      const reply = await shard.commit({ results: [completed(task(step))] });
      const next = order[number + 1];
      expect(idsOf(reply.ready)).toEqual(next === undefined ? [] : [task(next)]);
      expect(reply.finished).toEqual(next === undefined ? [{ run, state: "failed" }] : []);
    }
    expect(await shard.run(run)).toMatchObject({ state: "failed", remaining: 0, failed: 1 });
  });

  test("gives what undoes a step the outputs of that step and of its parents", async () => {
    const { ready } = await failedTrip();
    expect(ready).toMatchObject([{ parents: { hotel: "hotel booked", flight: "flight booked" } }]);
    expect(ready).not.toMatchObject([{ failed: expect.anything() }]);
  });

  test("goes on when undoing one step fails, and tells the last step of everything", async () => {
    const { shard, run, task } = await failedTrip();
    await shard.commit({ results: [failed(task("hotel:compensate"))] });
    await shard.commit({ results: [completed(task("flight:compensate"))] });
    const { ready } = await shard.commit({ results: [completed(task("car:compensate"))] });
    expect(ready).toEqual([
      expect.objectContaining({
        id: task("on-failure"),
        failures: 0,
        rescues: 0,
        parents: {},
        failed: [
          { step: "pay", error: FAILURE },
          { step: "hotel:compensate", error: FAILURE },
        ],
      }),
    ]);
    const { finished } = await shard.commit({ results: [failed(task("on-failure"))] });
    expect(finished).toEqual([{ run, state: "failed" }]);
  });

  test("ends after its compensations when nothing else is to see to it", async () => {
    const { shard, run, task } = await failedTrip(false);
    for (const step of ["hotel", "flight"]) {
      await shard.commit({ results: [completed(task(`${step}:compensate`))] });
    }
    const { finished } = await shard.commit({ results: [completed(task("car:compensate"))] });
    expect(finished).toEqual([{ run, state: "failed" }]);
  });

  test("tries what undoes a step again, as any task", async () => {
    const { shard, task } = await failedTrip();
    const undo = task("hotel:compensate");
    await shard.commit({ results: [retried(undo, Date.now() + 60_000)] });
    expect(await shard.task(undo)).toMatchObject({ state: "backoff" });
    await shard.commit({ wakes: [{ t: undo, r: undo.slice(0, 32) + "0000" }] });
    await shard.commit({ results: [{ ...lost(undo, 2), e: error("worker_lost") }] });
    const { ready } = await shard.commit({ results: [completed(undo, null, 3)] });
    expect(idsOf(ready)).toEqual([task("flight:compensate")]);
  });

  test("waits until branches that go on have finished", async () => {
    const shard = await TestShard.create(pool);
    const steps = { a: UNDONE, b: [], c: [] };
    const { run, task } = await shard.startRun(await shard.register("branches", steps));
    await shard.commit({ results: [completed(task("a"))] });
    const first = await shard.commit({ results: [failed(task("b"))] });
    expect(first.ready).toEqual([]);
    const second = await shard.commit({ results: [completed(task("c"))] });
    expect(idsOf(second.ready)).toEqual([task("a:compensate")]);
    expect(await shard.run(run)).toMatchObject({ state: "running", remaining: 1 });
  });

  test("has its own error told when it took too long", async () => {
    const shard = await TestShard.create(pool);
    const rest = { timeoutMs: 1_000, onFailure: {} };
    const { run, task } = await shard.startRun(await shard.register("slow", { a: [] }, rest));
    const { ready } = await shard.commit({ cancels: [outOfTime(run)] });
    expect(ready).toMatchObject([{ failed: [{ step: null, error: error("run_timeout") }] }]);
    const { finished } = await shard.commit({ results: [completed(task("on-failure"))] });
    expect(finished).toEqual([{ run, state: "failed" }]);
  });

  test("that is cancelled meanwhile undoes nothing more", async () => {
    const { shard, run, task } = await failedTrip();
    const { finished, ready } = await shard.commit({ cancels: [cancelled(run)] });
    expect({ finished, ready }).toEqual({ finished: [{ run, state: "cancelled" }], ready: [] });
    expect(await shard.task(task("hotel:compensate"))).toMatchObject({ state: "cancelled" });
  });

  test("has its next step spilled when there is no room, and again when told again", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(
      await shard.register("one", { a: [] }, { onFailure: {} }),
    );
    const room = { ...WIDE_ROOM, default: 0 };
    const request = shard.request({ results: [failed(task("a"))], room, settled: [1] });
    const { spilled } = await shard.send(request);
    expect(spilled).toEqual(["one:on-failure"]);
    const before = await shard.picture();
    const again = await shard.send(request);
    expect(again.results).toEqual({ [task("a")]: "recorded" });
    expect(again.finished).toEqual([]);
    expect(await shard.picture()).toEqual(before);
    const { ready } = await shard.commit({ take: takes({ "one:on-failure": 1 }) });
    expect(ready).toMatchObject([{ failed: [{ step: "a", error: FAILURE }] }]);
  });

  test("and is reported again is told to have ended, as the first time", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [one, two] = [await shard.startRun(workflow), await shard.startRun(workflow)];
    const results = [failed(one.task("a")), completed(two.task("a"))];
    const request = shard.request({ results });
    const first = await shard.send(request);
    const again = await shard.send(request);
    expect(first.finished).toHaveLength(2);
    expect(again.finished).toEqual(expect.arrayContaining(first.finished ?? []));
  });
});
