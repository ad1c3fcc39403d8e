/**
 * Runs that are cancelled, by a caller, by their parent or by time: whatever has not finished ends at
 * once, wherever it was, and what has finished stays as it is.
 */
import { describe, expect, inject, test } from "vitest";
import {
  begun,
  cancelled,
  child,
  completed,
  error,
  failed,
  lost,
  outOfTime,
  released,
  retried,
  spawned,
  woken,
} from "./rows.ts";
import { openPool, type StartedRun, type Steps, TestShard } from "./support.ts";

const AT = 1_800_000_000_000;
/** One step in each state that a task can be in, and what waits for it. */
const ALL: Steps = {
  done: [],
  failed: [],
  below: ["failed"],
  held: [],
  begun: [],
  leased: [],
  asleep: [],
  last: ["done", "held"],
};

describe.each(inject("databases"))("a cancelled run on $name", (database) => {
  const pool = openPool(database);

  async function everyState(shard: TestShard): Promise<StartedRun> {
    const run = await shard.startRun(await shard.register("all", ALL));
    const { task } = run;
    await shard.commit({
      at: AT,
      results: [completed(task("done")), failed(task("failed")), retried(task("asleep"), AT + 500)],
      started: [begun(task("begun")), begun(task("leased"))],
    });
    return run;
  }

  test("is over at once, whatever its tasks were doing", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await everyState(shard);
    const done = await shard.task(task("done"));
    const lease = { t: task("leased"), a: 1, w: "worker-7", b: 4_000 };
    const reply = await shard.commit({ at: AT + 100, cancels: [cancelled(run, [lease])] });
    expect(reply).toMatchObject({
      cancelled: [run],
      finished: [{ run, state: "cancelled" }],
      ready: [],
    });
    expect(await shard.run(run)).toMatchObject({
      state: "cancelled",
      remaining: 0,
      error: error("cancelled"),
      finished_at: new Date(AT + 100),
    });
    expect(await shard.states(run)).toEqual([
      "completed",
      "failed",
      "cancelled",
      "cancelled",
      "cancelled",
      "cancelled",
      "cancelled",
      "cancelled",
    ]);
    expect(await shard.task(task("done"))).toEqual(done);
    for (const step of ["held", "begun", "leased", "asleep"]) {
      const { error: stored, finished_at: at } = await shard.task(task(step));
      expect({ step, stored, at }).toEqual({
        step,
        stored: error("cancelled"),
        at: new Date(AT + 100),
      });
    }
    expect(await shard.task(task("last"))).toMatchObject({ error: null, attempt: 0 });
    expect(await shard.timers()).toEqual([]);
  });

  test("keeps who had its attempts: those that are leased, and no others", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await everyState(shard);
    const leases = [
      { t: task("leased"), a: 1, w: "worker-7", b: 4_000 },
      { t: task("held"), a: 2, w: "worker-8", b: 4_000 }, // not its attempt
      { t: task("done"), a: 2, w: "worker-9", b: 4_000 },
    ];
    await shard.commit({ cancels: [cancelled(run, leases)] });
    const ofWorker = async (step: string): Promise<unknown> => {
      const { attempt, worker, started_at: at } = await shard.task(task(step));
      return [attempt, worker, at];
    };
    expect(await ofWorker("leased")).toEqual([1, "worker-7", new Date(4_000)]);
    expect(await ofWorker("begun")).toEqual([0, null, null]);
    expect(await ofWorker("held")).toEqual([0, null, null]);
    expect(await ofWorker("asleep")).toEqual([1, null, null]);
    const { results } = await shard.commit({ results: [completed(task("leased"))] });
    expect(results).toEqual({ [task("leased")]: "stale" });
  });

  test("leaves the queue, and never wakes, starts or is handed out again", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", { a: [], b: [] });
    const { run, task } = await shard.startRun(workflow, { s: [[0, 0]] });
    const other = await shard.startRun(workflow, { s: [[0, 0]] });
    await shard.commit({ cancels: [cancelled(run)] });
    expect(await shard.queued()).toEqual([other.task("a")]);
    const before = await shard.picture();
    const reply = await shard.commit({
      results: [completed(task("a")), lost(task("b"))],
      wakes: [woken(task("a"))],
      releases: [released(run)],
      started: [begun(task("b"))],
    });
    expect(reply.ready).toEqual([]);
    expect(await shard.picture()).toEqual(before);
    // A shard that wakes finds it in an old handout, and leaves it there.
    await shard.recover();
    expect(await shard.queued()).toEqual([other.task("a"), other.task("b")]);
  });

  test("is cancelled once, however often it is asked for and however the answer is lost", async () => {
    const shard = await TestShard.create(pool);
    const { run } = await everyState(shard);
    const request = shard.request({ at: AT, cancels: [cancelled(run), cancelled(run)] });
    const first = await shard.send(request);
    const before = await shard.picture();
    const again = await shard.send(request);
    const later = await shard.commit({ at: AT + 5, cancels: [cancelled(run)] });
    expect(await shard.picture()).toEqual(before);
    for (const { cancelled: runs, finished } of [first, again, later]) {
      expect(new Set(runs)).toEqual(new Set([run]));
      expect(finished).toContainEqual({ run, state: "cancelled" });
    }
  });

  test.each(["completed", "failed"] as const)("that had %s before stays so", async (state) => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("one", { a: [] }));
    await shard.commit({
      results: [state === "failed" ? failed(task("a")) : completed(task("a"))],
    });
    const before = await shard.picture();
    const reply = await shard.commit({ cancels: [cancelled(run), outOfTime(run)] });
    expect(reply.finished).toContainEqual({ run, state });
    expect(await shard.picture()).toEqual(before);
  });

  test("takes its children along in time, but neither detached nor finished ones", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const parent = await shard.startRun(workflow);
    const kept = child("kept", "one", { isDetached: true });
    const [open, over] = [child("open", "one"), child("over", "one")];
    const spawns = [spawned(parent.task("a"), [open, kept, over])];
    await shard.commit({ spawns });
    await shard.commit({ results: [completed(over.id.replace(/0000$/, "0001"))] });
    const request = shard.request({ at: AT, cancels: [cancelled(parent.run)] });
    const timer = { id: open.id, k: "cancel", d: AT };
    expect((await shard.send(request)).timers).toEqual([timer]);
    expect((await shard.send(request)).timers).toEqual([timer]);
    expect((await shard.commit({ agenda: 5 })).agenda).toEqual([timer]);
    expect(await shard.run(open.id)).toMatchObject({ state: "queued" });

    const reply = await shard.commit({ cancels: [cancelled(open.id)] });
    expect(reply.finished).toMatchObject([{ run: open.id, parent: parent.task("a"), key: "open" }]);
    expect(await shard.timers()).toEqual([]);
    expect(await shard.run(kept.id)).toMatchObject({ state: "queued" });
    expect(await shard.run(over.id)).toMatchObject({ state: "completed" });
  });

  test("that ended while its parent was cancelled loses the timer", async () => {
    const shard = await TestShard.create(pool);
    const parent = await shard.startRun(await shard.register("one", { a: [] }));
    const open = child("open", "one");
    await shard.commit({ spawns: [spawned(parent.task("a"), [open])] });
    await shard.commit({ cancels: [cancelled(parent.run)] });
    await shard.commit({ results: [completed(open.id.replace(/0000$/, "0001"))] });
    expect(await shard.timers()).toHaveLength(1);
    await shard.commit({ cancels: [cancelled(open.id)] });
    expect(await shard.timers()).toEqual([]);
    expect(await shard.run(open.id)).toMatchObject({ state: "completed" });
  });

  test("is one of many in a commit", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", { a: [], b: ["a"] });
    const starts = Array.from({ length: 200 }, () => shard.start(workflow, { s: [[0, 0]] }));
    await shard.commit({ starts });
    const runs = starts.map(({ id }) => id);
    const reply = await shard.commit({ cancels: runs.map((run) => cancelled(run)) });
    expect(reply.cancelled?.toSorted()).toEqual(runs);
    expect(await shard.queued()).toEqual([]);
  });
});

describe.each(inject("databases"))("a run's timeout on $name", (database) => {
  const pool = openPool(database);

  async function limited(steps: Steps): Promise<{ shard: TestShard } & StartedRun> {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("limited", steps, { timeoutMs: 3_000 });
    const start = shard.start(workflow);
    const { timers } = await shard.commit({ at: AT, starts: [start] });
    expect(timers).toEqual([{ id: start.id, k: "timeout", d: AT + 3_000 }]);
    return { shard, run: start.id, task: (step) => taskIn(start.id, workflow.steps, step) };
  }

  test("ends what has not finished, and the run has failed", async () => {
    const { shard, run, task } = await limited({ a: [], b: ["a"], c: [] });
    await shard.commit({ results: [completed(task("a"))] });
    const lease = { t: task("b"), a: 1, w: "worker", b: 2 };
    const reply = await shard.commit({ cancels: [outOfTime(run, [lease])] });
    expect(reply).toMatchObject({ cancelled: [run], finished: [{ run, state: "failed" }] });
    expect(await shard.states(run)).toEqual(["completed", "cancelled", "cancelled"]);
    expect(await shard.task(task("b"))).toMatchObject({ error: error("run_timeout"), attempt: 1 });
    const ended = { state: "failed", remaining: 0, failed: 1, error: error("run_timeout") };
    expect(await shard.run(run)).toMatchObject(ended);
    expect(await shard.timers()).toEqual([]);
  });

  test.each([completed, failed])("goes with the run's last step", async (ending) => {
    const { shard, run, task } = await limited({ a: [] });
    await shard.commit({ results: [ending(task("a"))] });
    expect(await shard.timers()).toEqual([]);
    const before = await shard.picture();
    await shard.commit({ cancels: [outOfTime(run)] });
    expect(await shard.picture()).toEqual(before);
  });

  test("does not count for what follows when a run has failed", async () => {
    const { shard, run, task } = await limited({ a: { compensate: {} }, b: ["a"] });
    await shard.commit({ results: [completed(task("a"))] });
    await shard.commit({ results: [failed(task("b"))] });
    const before = await shard.picture();
    const reply = await shard.commit({ cancels: [outOfTime(run)] });
    expect(reply.cancelled).toEqual([]);
    expect(await shard.picture()).toEqual(before);
    expect(await shard.task(task("a:compensate"))).toMatchObject({ state: "queued" });
  });

  test("that is told again changes nothing, and tells the same", async () => {
    const { shard, run, task } = await limited({ a: { compensate: {} }, b: ["a"] });
    await shard.commit({ results: [completed(task("a"))], settled: [1] });
    const request = shard.request({ cancels: [outOfTime(run)] });
    const first = await shard.send(request);
    expect(first).toMatchObject({ cancelled: [run], ready: [{ id: task("a:compensate") }] });
    const before = await shard.picture();
    expect(await shard.send(request)).toEqual({ ...first, repeated: true });
    expect(await shard.picture()).toEqual(before);
  });

  test("takes away the timer of a task in backoff, whose run goes on to unwind", async () => {
    const { shard, run, task } = await limited({ a: { compensate: {} }, b: { retries: 1 } });
    await shard.commit({ results: [completed(task("a")), retried(task("b"), AT + 500)], at: AT });
    await shard.commit({ cancels: [outOfTime(run)] });
    expect(await shard.timers()).toEqual([]);
    expect(await shard.states(run)).toEqual(["completed", "cancelled", "queued"]);
  });
});

function taskIn(run: string, steps: string[], step: string): string {
  return run.slice(0, 32) + (steps.indexOf(step) + 1).toString(16).padStart(4, "0");
}
