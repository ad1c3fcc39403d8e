/** Conditions of steps: what they are over, what becomes of the task, and that no crash changes it. */
import { expect, test } from "vitest";
import type { StepDefinition } from "../../protocol/http.ts";
import type { Json } from "../../protocol/json.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const CHECK: StepDefinition = { name: "check" };
const ACTIONS = ["order:check", "order:ship", "order:tell"];

async function begin(...steps: StepDefinition[]): Promise<World> {
  const world = await createWorld();
  await world.register({ name: "order", steps });
  return world;
}

const start = async (world: World, input: Json = null): Promise<string> =>
  (await world.startRun({ workflow: "order", input })).id;

/** The states of a run's tasks, in order, once nothing is under way. */
async function states(world: World, run: string): Promise<string[]> {
  await world.settled();
  return (await world.readRun(run)).tasks.map(({ state }) => state);
}

test("a step whose runIf is true runs, and comes with its parent's result: in one round trip", async () => {
  const world = await begin(CHECK, {
    name: "ship",
    parents: ["check"],
    runIf: "parents.check.amount > input.least && metadata.shop == 'x'",
  });
  const worker = await world.connectWorker({ actions: ACTIONS });
  await world.startRun({ workflow: "order", input: { least: 5 }, metadata: { shop: "x" } });
  const check = await worker.receiveTask({ step: "check" });
  const before = traffic.commitsOf(world.tenant).length;
  worker.complete(check, { amount: 6 });
  worker.complete(await worker.receiveTask({ step: "ship", attempt: 1 }));
  await world.settled();
  expect(traffic.commitsOf(world.tenant)).toHaveLength(before + 2);
});

test.each<[string, Partial<StepDefinition>, string]>([
  ["false runIf", { runIf: "parents.check.ok" }, "Its runIf is false."],
  ["true skipIf", { skipIf: "!parents.check.ok", runIf: "true" }, "Its skipIf is true."],
  [
    "true skipIf, before anything else",
    { skipIf: "true", runIf: "parents.check.nothing", cancelIf: "true" },
    "Its skipIf is true.",
  ],
])("a %s skips the task: nobody gets it, and its children go on", async (_what, step, message) => {
  const world = await begin(
    CHECK,
    { name: "ship", parents: ["check"], ...step },
    { name: "tell", parents: ["check", "ship"] },
  );
  const worker = await world.connectWorker({ actions: ["order:check", "order:tell"] });
  const run = await start(world);
  worker.complete(await worker.receiveTask(), { ok: false });
  const tell = await worker.receiveTask({ step: "tell" });
  expect(tell.parents).toEqual({ check: { ok: false } });
  worker.complete(tell, "told");
  expect(await states(world, run)).toEqual(["completed", "skipped", "completed"]);
  const { tasks, state } = await world.readRun(run);
  expect(state).toBe("completed");
  expect(tasks[1]).toMatchObject({
    error: { code: "skipped", name: "Skipped", message },
    attempts: [],
    output: null,
    startedAt: null,
    finishedAt: expect.any(String),
  });
});

test("a run of which every step is skipped completes without a worker", async () => {
  const world = await begin(
    { name: "check", runIf: "input.n > 1" },
    { name: "ship", parents: ["check"], runIf: "has(parents.check)" },
  );
  const [none = "", some = ""] = await world.startRuns("order", [{ n: 1 }, { n: 2 }]);
  expect(await states(world, none)).toEqual(["skipped", "skipped"]);
  expect((await world.readRun(none)).state).toBe("completed");
  expect(await states(world, some)).toEqual(["queued", "waiting"]);
  const worker = await world.connectWorker({ actions: ACTIONS });
  worker.complete(await worker.receiveTask({ run: some }));
  await worker.receiveTask({ run: some, step: "ship" });
});

test("a true cancelIf cancels the run, and its error says which step it was", async () => {
  const world = await begin(
    CHECK,
    { name: "ship", parents: ["check"], cancelIf: "parents.check.isFraud" },
    { name: "tell", parents: ["ship"] },
  );
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await start(world);
  worker.complete(await worker.receiveTask(), { isFraud: true });
  await world.settled();
  expect(await world.readRun(run)).toMatchObject({
    state: "cancelled",
    error: {
      code: "cancelled",
      message: 'The run was cancelled by step "ship": Its cancelIf is true.',
    },
    tasks: [{ state: "completed" }, { state: "cancelled" }, { state: "cancelled" }],
  });
  await world.advance(10_000); // until it has nothing left to do
  expect(await world.sql("select from v1.handout where tenant_id = $1", [world.tenant])).toEqual(
    [],
  );
});

test("a condition that can't be evaluated fails the task, and says why", async () => {
  const retries = { retries: 3, backoff: { initialMs: 1 } };
  const world = await begin(CHECK, {
    name: "ship",
    parents: ["check"],
    runIf: "parents.check.ok",
    ...retries,
  });
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await start(world);
  worker.complete(await worker.receiveTask(), { fine: true });
  expect(await states(world, run)).toEqual(["completed", "failed"]);
  const { state, tasks } = await world.readRun(run);
  expect(state).toBe("failed");
  expect(tasks[1]).toMatchObject({
    attempts: [],
    error: {
      code: "condition_failed",
      name: "ConditionFailed",
      message: expect.stringMatching(/^Its runIf could not be evaluated \(no_such_key\): The data/),
    },
  });
});

test("a retry is not judged again, and waits behind nothing else", async () => {
  const world = await begin({
    name: "check",
    runIf: "true",
    retries: 1,
    backoff: { initialMs: 1, jitter: 0 },
  });
  const worker = await world.connectWorker({ actions: ACTIONS });
  await start(world);
  worker.fail(await worker.receiveTask(), "not now");
  await world.settled();
  await world.advance(1);
  await worker.receiveTask({ attempt: 2 });
});

test("tasks that pass are queued like others while no worker takes them, or all are busy", async () => {
  const world = await begin({ name: "check", runIf: "input.n >= 0" });
  const inputs = Array.from({ length: 30 }, (_, n) => ({ n: n - 10 }));
  const runs = await world.startRuns("order", inputs);
  await world.settled();
  const queued = await world.sql(
    "select action, count(*)::integer as tasks from v1.queue_item where tenant_id = $1 group by 1",
    [world.tenant],
  );
  expect(queued).toEqual([{ action: "order:check", tasks: 20 }]);
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 5 });
  for (let n = 0; n < 20; n++) worker.complete(await worker.receiveTask());
  await world.settled();
  const skipped = await Promise.all(runs.slice(0, 10).map((run) => states(world, run)));
  expect(skipped.flat()).toEqual(Array.from({ length: 10 }, () => "skipped"));
  expect(await states(world, runs[29] ?? "")).toEqual(["completed"]);
});

test.each([
  ["before it has heard of the task", 0],
  ["once it has sent what it says of it", 1],
])("a shard that dies %s judges it again, and skips it once", async (_when, after) => {
  const world = await begin(
    CHECK,
    { name: "ship", parents: ["check"], skipIf: "true" },
    { name: "tell", parents: ["ship"] },
  );
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await start(world);
  const check = await worker.receiveTask();
  traffic.loseAnswers(1, { after });
  worker.complete(check);
  await traffic.sent("commit", 2 + after);
  expect(await states(world, run)).toEqual([
    "completed",
    ...(after === 0 ? ["queued", "waiting"] : ["skipped", "queued"]),
  ]);
  await world.crashShard();
  await world.shard.nudge();
  expect(await states(world, run)).toEqual(["completed", "skipped", "queued"]);
  const back = await world.connectWorker({ actions: ACTIONS });
  back.complete(await back.receiveTask({ step: "tell" }));
  await world.settled();
  expect((await world.readRun(run)).state).toBe("completed");
});

test("an answer that was lost changes nothing: the same commit is sent again", async () => {
  const world = await begin(
    { name: "check", skipIf: "true" },
    { name: "tell", parents: ["check"] },
  );
  traffic.loseAnswers(1, { after: 1 });
  const run = await start(world);
  await traffic.sent("commit", 2);
  await world.advance(1_000);
  const worker = await world.connectWorker({ actions: ACTIONS });
  worker.complete(await worker.receiveTask({ run, step: "tell" }));
  await world.settled();
  expect((await world.readRun(run)).state).toBe("completed");
});

test("a shard that has lost everything judges what was handed out, without a worker", async () => {
  const world = await begin({ name: "check", skipIf: "input.n > 1" });
  const [first = "", second = ""] = await world.startRuns("order", [{ n: 1 }, { n: 2 }]);
  await world.settled();
  // As if the second had been handed out and not judged.
  await world.sql(
    "update v1.task set state = 'queued', finished_at = null, error = null where v1.run_id(id) = $1",
    [second],
  );
  await world.sql(
    "update v1.workflow_run set state = 'queued', remaining = 1, finished_at = null where id = $1",
    [second],
  );
  await world.sql(
    "insert into v1.handout values ($1, 0, 999, array(select id from v1.task where v1.run_id(id) = $2))",
    [world.tenant, second],
  );
  await world.forgetShard();
  await world.shard.nudge();
  expect(await states(world, second)).toEqual(["skipped"]);
  expect(await states(world, first)).toEqual(["queued"]);
});
