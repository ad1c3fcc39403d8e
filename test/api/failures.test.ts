/** What a run shows of what went wrong in it: retries, losses, timeouts, what was undone, children. */
import { beforeEach, expect, test } from "vitest";
import type { Run, WorkflowDefinition } from "../../protocol/http.ts";
import { runResultSchema, runSchema } from "../../workers/api/run-schemas.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer } from "./answers.ts";

let world: World;
let worker: FakeWorker;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
});

async function begin(definition: WorkflowDefinition, actions: string[]): Promise<string> {
  await world.register(definition);
  worker = await world.connectWorker({ actions, worker: "north" });
  return (await world.startRun({ workflow: definition.name })).id;
}

async function readRun(id: string): Promise<Run> {
  return expectAnswer(await ask(world, "GET", `/runs/${id}`), 200, runSchema) as Run;
}

async function fail(step: string): Promise<void> {
  worker.fail(await worker.receiveTask({ step }), `${step} has failed`);
  await worker.receive("recorded");
}

async function complete(step: string): Promise<void> {
  worker.complete(await worker.receiveTask({ step }), `${step} is done`);
  await worker.receive("recorded");
}

const error = (step: string) => ({ code: "handler_error", message: `${step} has failed` });

test("a task in backoff shows its attempts, and when it is tried again", async () => {
  const backoff = { initialMs: 5_000, jitter: 0 };
  const id = await begin({ name: "frail", steps: [{ name: "a", retries: 1, backoff }] }, [
    "frail:a",
  ]);
  await fail("a");
  const due = new Date(Date.now() + 5_000).toISOString();
  expect((await readRun(id)).tasks).toMatchObject([
    {
      state: "backoff",
      retryAt: due,
      error: null,
      finishedAt: null,
      attempts: [{ attempt: 1, outcome: "failed", worker: "north", error: error("a") }],
    },
  ]);
  await world.advance(5_000);
  await fail("a");
  expect((await readRun(id)).tasks).toMatchObject([
    {
      state: "failed",
      retryAt: null,
      error: error("a"),
      attempts: [
        { attempt: 1, outcome: "failed" },
        { attempt: 2, outcome: "failed", worker: "north", error: error("a") },
      ],
    },
  ]);
});

test("a task that was queued for too long shows no attempt", async () => {
  const id = await begin({ name: "hasty", steps: [{ name: "a", scheduleTimeoutMs: 1_000 }] }, []);
  await world.advance(1_000);
  await world.settled();
  expect(await readRun(id)).toMatchObject({
    state: "failed",
    tasks: [{ state: "failed", attempts: [], error: { code: "schedule_timeout" } }],
  });
});

test("an attempt that ran out of time shows as that", async () => {
  const id = await begin({ name: "slow", steps: [{ name: "a", timeoutMs: 1_000 }] }, ["slow:a"]);
  await worker.receiveTask();
  await world.advance(1_000);
  await world.settled();
  expect((await readRun(id)).tasks).toMatchObject([
    { state: "failed", attempts: [{ outcome: "timed_out", error: { code: "execution_timeout" } }] },
  ]);
});

test("what undoes steps and sees to the failure is shown with the names of what it is given", async () => {
  const id = await begin(
    {
      name: "trip",
      onFailure: {},
      steps: [
        { name: "plan" },
        { name: "book", parents: ["plan"], compensate: {} },
        { name: "pay", parents: ["book"] },
      ],
    },
    ["trip:plan", "trip:book", "trip:pay", "trip:book:compensate", "trip:on-failure"],
  );
  await complete("plan");
  await complete("book");
  await fail("pay");
  expect((await readRun(id)).state).toBe("running"); // it unwinds
  const halfway = expectAnswer(await ask(world, "GET", `/runs/${id}/result`), 200, runResultSchema);
  expect(halfway.error).toBeNull();
  await complete("book:compensate");
  await complete("on-failure");
  const run = await readRun(id);
  expect(run.state).toBe("failed");
  expect(run.tasks.map(({ step, kind, parents, state }) => [step, kind, parents, state])).toEqual([
    ["plan", "step", [], "completed"],
    ["book", "step", ["plan"], "completed"],
    ["pay", "step", ["book"], "failed"],
    ["book:compensate", "compensate", ["book", "plan"], "completed"],
    ["on-failure", "on_failure", [], "completed"],
  ]);
  const result = expectAnswer(await ask(world, "GET", `/runs/${id}/result`), 200, runResultSchema);
  expect(result).toMatchObject({
    state: "failed",
    outputs: { plan: "plan is done", book: "book is done" },
    error: { ...error("pay"), step: "pay" },
  });
  expect(Object.keys(result.outputs)).toEqual(["plan", "book"]);
});

test("a failing compensation is not taken for why the run failed", async () => {
  const id = await begin(
    {
      name: "trip",
      steps: [
        { name: "book", compensate: {} },
        { name: "pay", parents: ["book"] },
      ],
    },
    ["trip:book", "trip:pay", "trip:book:compensate"],
  );
  await complete("book");
  await fail("pay");
  await fail("book:compensate");
  const { body } = await ask(world, "GET", `/runs/${id}/result`);
  expect(body).toMatchObject({ state: "failed", error: { ...error("pay"), step: "pay" } });
});

test("a run that took too long says so itself, no step does", async () => {
  const id = await begin(
    { name: "long", timeoutMs: 10_000, steps: [{ name: "a" }, { name: "b", parents: ["a"] }] },
    ["long:a", "long:b"],
  );
  await complete("a");
  await worker.receiveTask({ step: "b" });
  await world.advance(10_000);
  await world.settled();
  const run = await readRun(id);
  expect(run).toMatchObject({
    state: "failed",
    error: { code: "run_timeout" },
    tasks: [
      { state: "completed" },
      { state: "cancelled", attempts: [{ outcome: "cancelled", error: { code: "run_timeout" } }] },
    ],
  });
  const { body } = await ask(world, "GET", `/runs/${id}/result`);
  expect(body).toMatchObject({
    outputs: { a: "a is done" },
    error: { code: "run_timeout", step: null },
  });
});

test("a child knows its parent, and the parent's task its children", async () => {
  const id = await begin({ name: "parent", steps: [{ name: "a" }] }, ["parent:a"]);
  await world.register({ name: "child", steps: [{ name: "b" }] });
  const { task, attempt } = await worker.receiveTask();
  const child = { workflow: "child", input: 1, metadata: { of: "test" } };
  const children = [
    { ...child, key: "1" },
    { ...child, key: "2", isDetached: true },
  ];
  worker.say({ type: "spawn", task, attempt, children });
  const [first, second] = [await worker.receive("spawned"), await worker.receive("spawned")];
  expect((await readRun(id)).tasks[0]?.children).toEqual([
    { key: "1", run: first.run, isDetached: false },
    { key: "2", run: second.run, isDetached: true },
  ]);
  expect(await readRun(first.run ?? "")).toMatchObject({
    parent: { run: id, task },
    workflow: "child",
    input: 1,
    metadata: { of: "test" },
    replayOf: null,
  });
  expect(await readRun(id)).toMatchObject({ parent: null });
});
