/** Replaying a finished run: what is executed again, what is reused, and what is refused. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Run, StartedRun, WorkflowDefinition } from "../../protocol/http.ts";
import { startedRunSchema } from "../../workers/api/run-schemas.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { type Asked, ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

/** fetch → parse → store, and notify beside them. */
const FLOW: WorkflowDefinition = {
  name: "flow",
  steps: [
    { name: "fetch" },
    { name: "parse", parents: ["fetch"] },
    { name: "store", parents: ["parse"] },
    { name: "notify" },
  ],
};
const ACTIONS = ["flow:fetch", "flow:parse", "flow:store", "flow:notify", "flow:parse:compensate"];

let world: World;
let worker: FakeWorker;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register(FLOW);
  worker = await world.connectWorker({ actions: ACTIONS });
});

const replay = (run: string, body?: object): Promise<Asked<StartedRun>> =>
  ask<StartedRun>(world, "POST", `/runs/${run}/replay`, body);

/** Executes what comes until all is quiet; `failing` names the steps that fail. Returns the steps. */
async function execute(failing: string[] = [], output = "first"): Promise<string[]> {
  const executed: string[] = [];
  while ((await worker.unreadWhenQuiet()).some(({ type }) => type === "task")) {
    const task = await worker.receiveTask();
    executed.push(task.step);
    if (failing.includes(task.step)) worker.fail(task, "no luck");
    else worker.complete(task, `${task.step} ${output}`);
    await worker.receive("recorded");
  }
  return executed.toSorted();
}

/** A finished run. */
async function finish(failing: string[] = []): Promise<string> {
  const { id } = await world.startRun({ workflow: "flow", input: 1, metadata: { of: "test" } });
  await execute(failing);
  return id;
}

const outputsOf = ({ tasks }: Run): Record<string, unknown> =>
  Object.fromEntries(tasks.map(({ step, output }) => [step, output]));

test("a replay is a new run with the original's input, metadata and version", async () => {
  const original = await finish(["parse"]);
  await world.register({ ...FLOW, description: "newer" });
  const before = await world.readRun(original);
  const asked = await replay(original);
  const { id } = expectAnswer(asked, 201, startedRunSchema);
  expect(asked.headers.get("location")).toBe(`/api/v1/runs/${id}`);
  expect(await execute()).toEqual(["fetch", "notify", "parse", "store"]);
  expect(await world.readRun(id)).toMatchObject({
    state: "completed",
    version: 1,
    input: 1,
    metadata: { of: "test" },
    replayOf: original,
    eventId: null,
  });
  expect(await world.readRun(original)).toEqual(before);
});

test("a replay is as urgent as what it repeats", async () => {
  const { id } = await world.startRun({ workflow: "flow", priority: 3 });
  await world.call("POST", `/runs/${id}/cancel`);
  const { body } = await replay(id);
  const [row] = await world.sql("select priority from v1.workflow_run where id = $1", [body.id]);
  expect(row).toEqual({ priority: 3 });
});

test("a replay may have another input, also null, and the active version", async () => {
  const original = await finish();
  await world.register({ ...FLOW, description: "newer" });
  const edited = await replay(original, { input: { edited: true }, version: "active" });
  expect(await world.readRun(edited.body.id)).toMatchObject({
    version: 2,
    input: { edited: true },
    replayOf: original,
  });
  expect((await world.readRun((await replay(original, { input: null })).body.id)).input).toBeNull();
});

test("a replay can be replayed, and points to what it repeats", async () => {
  const original = await finish();
  const first = await replay(original);
  await execute();
  const second = await replay(first.body.id);
  expect((await world.readRun(second.body.id)).replayOf).toBe(first.body.id);
});

describe("from a step", () => {
  test("outputs that don't depend on it are reused, and the rest is executed", async () => {
    const original = await finish();
    const { body } = await replay(original, { fromStep: "parse" });
    expect(await execute([], "again")).toEqual(["parse", "store"]);
    const run = await world.readRun(body.id);
    expect(run.state).toBe("completed");
    expect(outputsOf(run)).toEqual({
      fetch: "fetch first",
      parse: "parse again",
      store: "store again",
      notify: "notify first",
    });
    const reused = run.tasks.find(({ step }) => step === "fetch");
    expect(reused).toMatchObject({ state: "completed", attempts: [] });
    const { body: result } = await world.call("GET", `/runs/${body.id}/result`);
    expect(result).toMatchObject({ outputs: outputsOf(run), error: null });
  });

  test("its parents' outputs reach it, together with an edited input", async () => {
    const original = await finish();
    await replay(original, { fromStep: "store", input: "edited" });
    const task = await worker.receiveTask({ step: "store", input: "edited" });
    expect(task.parents).toEqual({ parse: "parse first" });
  });

  test("what had not been completed is executed as well", async () => {
    const original = await finish(["fetch"]);
    await replay(original, { fromStep: "store" });
    expect(await execute()).toEqual(["fetch", "parse", "store"]);
  });

  test("that is not there the replay is refused, and told which there are", async () => {
    const original = await finish();
    await expectNoTrace(world, async () => {
      const { errors } = await expectProblem(
        await replay(original, { fromStep: "prase" }),
        "invalid_request",
        /fromStep is no step of version 1 of flow, which has fetch, parse, store, notify/,
      );
      expect(errors?.[0]?.path).toBe("fromStep");
    });
  });
});

describe("from what failed", () => {
  test("everything completed that is not below it is reused", async () => {
    const original = await finish(["parse"]);
    const { body } = await replay(original, { fromFailure: true });
    expect(await execute([], "again")).toEqual(["parse", "store"]);
    expect(outputsOf(await world.readRun(body.id))).toMatchObject({
      fetch: "fetch first",
      parse: "parse again",
    });
  });

  test("a replay that fails again is replayed in turn, with what it had reused", async () => {
    const original = await finish(["parse"]);
    const first = await replay(original, { fromFailure: true });
    await execute(["store"], "again");
    const second = await replay(first.body.id, { fromFailure: true });
    expect(await execute([], "at last")).toEqual(["store"]);
    expect(outputsOf(await world.readRun(second.body.id))).toEqual({
      fetch: "fetch first",
      parse: "parse again",
      store: "store at last",
      notify: "notify first",
    });
  });

  test("a cancelled run goes on where it was", async () => {
    const { id } = await world.startRun({ workflow: "flow" });
    worker.complete(await worker.receiveTask({ step: "fetch" }), "fetch first");
    await worker.receive("recorded");
    await ask(world, "POST", `/runs/${id}/cancel`);
    await world.settled();
    const other = await world.connectWorker({ actions: ACTIONS });
    const { body } = await replay(id, { fromFailure: true });
    const tasks = [await other.receiveTask(), await other.receiveTask()];
    expect(tasks.map(({ run }) => run)).toEqual([body.id, body.id]);
    expect(tasks.map(({ step }) => step).toSorted()).toEqual(["notify", "parse"]);
  });

  test("steps that were undone are executed again", async () => {
    const steps = [
      { name: "fetch" },
      { name: "parse", parents: ["fetch"], compensate: {} },
      { name: "store", parents: ["parse"] },
      { name: "notify" },
    ];
    await world.register({ ...FLOW, steps });
    const original = await finish(["store"]);
    const { tasks } = await world.readRun(original);
    expect(tasks.find(({ kind }) => kind === "compensate")?.state).toBe("completed");
    await replay(original, { fromFailure: true });
    expect(await execute()).toEqual(["parse", "store"]);
  });

  test("a run that has completed is not replayed", async () => {
    const original = await finish();
    await expectNoTrace(world, async () => {
      const asked = await replay(original, { fromFailure: true });
      await expectProblem(asked, "invalid_request", /fromFailure has no place .* has completed/);
    });
  });
});

test("an idempotency key makes one replay of two calls", async () => {
  const original = await finish();
  const first = expectAnswer(
    await replay(original, { idempotencyKey: "k" }),
    201,
    startedRunSchema,
  );
  const again = expectAnswer(
    await replay(original, { idempotencyKey: "k" }),
    200,
    startedRunSchema,
  );
  expect(again).toEqual({ id: first.id, created: false });
});

test("a replay of a paused workflow is held, or refused", async () => {
  const original = await finish();
  await ask(world, "PUT", "/workflows/flow/pause", { mode: "hold" });
  const held = await replay(original, { fromStep: "store" });
  expect(await execute()).toEqual([]);
  await ask(world, "PUT", "/workflows/flow/pause", { mode: "drop" });
  await expectProblem(await replay(original), "workflow_paused", /"flow" is paused/);
  await ask(world, "DELETE", "/workflows/flow/pause");
  await worker.receiveTask({ step: "store", run: held.body.id });
});

test("a run that has not finished is not replayed, and the answer says what to do", async () => {
  const { id } = await world.startRun({ workflow: "flow" });
  await expectProblem(
    await replay(id),
    "run_not_finished",
    /is (queued|running)\. Wait until it has finished, or cancel it first with POST/,
  );
});

test.each([
  [
    { fromStep: "parse", fromFailure: true },
    "fromFailure",
    /can't be given together with fromStep/,
  ],
  [{ fromStep: "parse", version: "active" }, "version", /must be original, or left out/],
  [{ fromFailure: true, version: "active" }, "version", /must be original, or left out/],
  [{ version: "newest" }, "version", /must be one of original, active/],
  [{ from: "parse" }, "from", /from is not a field/],
])("a replay is refused with %j", async (body, path, detail) => {
  const original = await finish();
  const { errors } = await expectProblem(await replay(original, body), "invalid_request", detail);
  expect(errors?.[0]?.path).toBe(path);
});

test("a run that is not there is not found", async () => {
  const asked = await replay("0199f3a2-7c1e-7000-8a4b-5d6e7f800000", {});
  await expectProblem(asked, "run_not_found", /There is no run 0199f3a2/);
});
