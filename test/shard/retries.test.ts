/** Attempts that fail and are tried again: when, how often, and that the shard sleeps meanwhile. */
import { expect, test } from "vitest";
import { MAX_RESCUES } from "../../protocol/limits.ts";
import { RESUME_GRACE_MS } from "../../protocol/session.ts";
import type { StepDefinition } from "../../protocol/http.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const ACTIONS = ["frail:only"];
const BACKOFF = { initialMs: 10_000, factor: 3, maxMs: 60_000, jitter: 0 };

interface Story {
  world: World;
  worker: FakeWorker;
  run: string;
}

async function begin(step: Partial<StepDefinition>): Promise<Story> {
  const world = await createWorld();
  await world.register({ name: "frail", steps: [{ name: "only", backoff: BACKOFF, ...step }] });
  const worker = await world.connectWorker({ actions: ACTIONS });
  const { id } = await world.startRun({ workflow: "frail" });
  return { world, worker, run: id };
}

test("a failed attempt is followed by another after each backoff, and the last failure stays", async () => {
  const { world, worker, run } = await begin({ retries: 2 });
  worker.fail(await worker.receiveTask({ attempt: 1 }), "first");
  await worker.receive("recorded");
  const [task] = (await world.readRun(run)).tasks;
  expect(task).toMatchObject({ state: "backoff", error: null });
  expect(Date.parse(task?.retryAt ?? "")).toBe(Date.now() + 10_000);

  await world.advance(9_999);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  await world.advance(1);
  worker.fail(await worker.receiveTask({ attempt: 2 }), "second");
  await worker.receive("recorded");
  await world.advance(30_000);
  worker.fail(await worker.receiveTask({ attempt: 3 }), "third");
  await worker.receive("recorded");
  expect(await world.readRun(run)).toMatchObject({
    state: "failed",
    tasks: [
      {
        state: "failed",
        retryAt: null,
        error: { code: "handler_error", message: "third" },
        attempts: [
          { attempt: 1, outcome: "failed", worker: "test-worker", error: { message: "first" } },
          { attempt: 2, outcome: "failed", error: { message: "second" } },
          { attempt: 3, outcome: "failed", error: { message: "third" } },
        ],
      },
    ],
  });
});

test("a shard sleeps through a backoff, and wakes for it", async () => {
  const { world, worker } = await begin({ retries: 1 });
  worker.fail(await worker.receiveTask(), "once");
  await worker.receive("recorded");
  await world.advance(9_000);
  expect(traffic.connections).toBe(0);
  await world.evictShard();
  await world.advance(1_000);
  worker.complete(await worker.receiveTask({ attempt: 2 }));
  await worker.receive("recorded");
});

test("a shard that slept while the attempt ran still knows how to try it again", async () => {
  const { world, worker } = await begin({ retries: 1 });
  const task = await worker.receiveTask();
  await world.evictShard();
  worker.fail(task, "once");
  await worker.receive("recorded");
  await world.advance(10_000);
  worker.complete(await worker.receiveTask({ attempt: 2 }));
  await worker.receive("recorded");
});

test("a shard that has forgotten everything finds the backoff in Postgres", async () => {
  const { world, worker, run } = await begin({ retries: 1 });
  worker.fail(await worker.receiveTask(), "once");
  await worker.receive("recorded");
  await world.forgetShard();
  await world.advance(10_000); // no alarm is left: the clock's nudge is
  await world.shard.nudge();
  const back = await world.connectWorker({ actions: ACTIONS });
  back.complete(await back.receiveTask({ attempt: 2 }));
  await back.receive("recorded");
  expect((await world.readRun(run)).state).toBe("completed");
});

test("an attempt that ran out of time is tried again as one that failed", async () => {
  const { world, worker, run } = await begin({ retries: 1, timeoutMs: 1_500 });
  await worker.receiveTask();
  await world.advance(1_500);
  worker.release(await worker.receive("cancel", { reason: "execution_timeout" }));
  await world.advance(10_000);
  worker.complete(await worker.receiveTask({ attempt: 2 }));
  await worker.receive("recorded");
  expect((await world.readRun(run)).tasks[0]?.attempts).toMatchObject([
    { outcome: "timed_out", error: { code: "execution_timeout" } },
    { outcome: "completed" },
  ]);
});

test("the slot of an attempt that ran out of time is apart from the next attempt's", async () => {
  const { world, worker } = await begin({
    retries: 1,
    timeoutMs: 1_500,
    backoff: { ...BACKOFF, initialMs: 1 },
  });
  const first = await worker.receiveTask({ attempt: 1 });
  await world.advance(1_501);
  const second = await worker.receiveTask({ attempt: 2 });
  worker.complete(first, "too late");
  await worker.receive("stale", { attempt: 1 });
  worker.complete(second);
  await worker.receive("recorded", { attempt: 2 });
  expect(await world.shard.workers()).toMatchObject([{ usedSlots: 0 }]);
});

test("an error may ask when to be tried again, or not to be", async () => {
  const { world, worker, run } = await begin({ retries: 5 });
  worker.fail(await worker.receiveTask(), "busy", { retryAfterMs: 2_000 });
  await worker.receive("recorded");
  await world.advance(2_000);
  worker.fail(await worker.receiveTask({ attempt: 2 }), "hopeless", { isRetryable: false });
  await worker.receive("recorded");
  expect((await world.readRun(run)).state).toBe("failed");
});

test("a condition over the error decides, and one that can't be evaluated lets it be tried", async () => {
  const { world, worker, run } = await begin({
    retries: 5,
    retryIf: 'error.name != "Fatal" && (attempt < 2 || int(error.message) > 0)',
    backoff: { ...BACKOFF, initialMs: 1 },
  });
  worker.fail(await worker.receiveTask(), "passing");
  await worker.receive("recorded");
  await world.advance(1);
  worker.fail(await worker.receiveTask({ attempt: 2 }), "no number: the condition fails");
  await worker.receive("recorded");
  await world.advance(3);
  worker.fail(await worker.receiveTask({ attempt: 3 }), "over", { name: "Fatal" });
  await worker.receive("recorded");
  expect((await world.readRun(run)).state).toBe("failed");
});

test("a wait of nothing goes on at once, in the commit that ends the attempt", async () => {
  const { world, worker } = await begin({ retries: 1 });
  worker.fail(await worker.receiveTask(), "now", { retryAfterMs: 0 });
  worker.complete(await worker.receiveTask({ attempt: 2 })); // and no time has passed
  await worker.receive("recorded", { attempt: 1 });
  await worker.receive("recorded", { attempt: 2 });
  const commits = traffic.commitsOf(world.tenant).filter(({ results }) => results);
  expect(commits).toHaveLength(2);
});

test("a task that is lost with each worker fails in the end, and its retries were not spent", async () => {
  const { world, worker, run } = await begin({ retries: 1 });
  let doomed = worker;
  for (let rescues = 0; rescues <= MAX_RESCUES; rescues++) {
    await doomed.receiveTask({ attempt: rescues + 1 });
    doomed.vanish();
    await world.settled();
    await world.advance(RESUME_GRACE_MS);
    if (rescues < MAX_RESCUES) doomed = await world.connectWorker({ actions: ACTIONS });
  }
  await world.settled();
  const read = await world.readRun(run);
  expect(read).toMatchObject({ state: "failed", tasks: [{ error: { code: "worker_lost" } }] });
  expect(read.tasks[0]?.attempts.map(({ outcome }) => outcome)).toEqual(
    Array.from({ length: MAX_RESCUES + 1 }, () => "lost"),
  );
});
