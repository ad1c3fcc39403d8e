/** Holding recorded runs, exports and imports against another definition; nothing is executed, nothing changes. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Run, WorkflowDefinition } from "../../protocol/http.ts";
import type { CheckReplay, ReplayCheck } from "../../protocol/replay-check-bodies.ts";
import { replayCheckSchema } from "../../workers/api/replay-check-schemas.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

const TRIP: WorkflowDefinition = {
  name: "trip",
  events: ["trip:asked"],
  steps: [
    { name: "book", retries: 1, compensate: {} },
    { name: "seat", parents: ["book"], runIf: "parents.book.seats > 1" },
    {
      name: "pay",
      parents: ["book", "seat"],
      waitFor: { any: [{ event: "paid" }, { sleepMs: 20_000 }] },
    },
    { name: "stop", parents: ["pay"], cancelIf: "input == 'stop'" },
  ],
  onFailure: {},
};
const [BOOK, SEAT, PAY, STOP] = TRIP.steps as [object, object, object, object];
const STEPS = ["book", "seat", "pay", "stop", "book:compensate", "on-failure"];

let world: World;
let worker: FakeWorker;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register(TRIP);
  worker = await world.connectWorker({ actions: STEPS.map((step) => `trip:${step}`) });
});

/** Executes what comes until the run has ended; `failing` names a step that fails. */
async function execute(id: string, { seats = 1, failing = "" } = {}): Promise<void> {
  for (let rounds = 0; rounds < 20; rounds++) {
    const isOfIt = (frame: object): boolean => "run" in frame && frame.run === id;
    while ((await worker.unreadWhenQuiet()).some(isOfIt)) {
      const task = await worker.receiveTask({ run: id });
      if (task.step === failing) worker.fail(task, "no luck");
      else worker.complete(task, { seats });
      await worker.receive("recorded");
    }
    if ((await world.readRun(id)).finishedAt !== null) return;
    await world.ping(worker);
    await world.advance(21_000);
  }
}

/** One run of each end: completed, failed and unwound, cancelled by its own condition, and from outside. */
async function finishRuns(): Promise<Run[]> {
  const ids: string[] = [];
  for (const [input, how] of [
    ["go", { seats: 2 }],
    ["go", { failing: "pay" }],
    ["stop", {}],
    ["go", { failing: "book" }],
  ] as const) {
    const { id } = await world.startRun({ workflow: "trip", input });
    await execute(id, how);
    ids.push(id);
  }
  const { body } = await world.call<{ runs: string[] }>("POST", "/events", { key: "trip:asked" });
  await worker.receiveTask({ run: body.runs[0] ?? "" });
  await world.call("POST", `/runs/${body.runs[0]}/cancel`);
  return await Promise.all([...ids, body.runs[0] ?? ""].map((id) => world.readRun(id)));
}

async function check(body: CheckReplay): Promise<ReplayCheck> {
  let answer: ReplayCheck | undefined;
  await expectNoTrace(world, async () => {
    const asked = await ask(world, "POST", "/workflows/trip/check", body);
    answer = expectAnswer(asked, 200, replayCheckSchema) as ReplayCheck;
  });
  if (answer === undefined) throw new Error("It was not answered");
  return answer;
}

const changed = (...steps: object[]): CheckReplay => ({
  definition: { ...TRIP, steps } as WorkflowDefinition,
});

test("runs of every end go the same way by the definition that they were bound to", async () => {
  const runs = await finishRuns();
  expect(runs.map(({ state }) => state)).toEqual([
    "completed",
    "failed",
    "cancelled",
    "failed",
    "cancelled",
  ]);
  expect(await check({ version: 1 })).toEqual({
    workflow: "trip",
    version: 1,
    checked: 5,
    same: 5,
    divergent: 0,
    byKind: {},
    divergences: [],
    more: 0,
    tooLarge: [],
    nextCursor: null,
  });
});

test("it is told where another one would have gone another way, with which run", async () => {
  const [fine, unpaid, stopped] = await finishRuns();
  const answer = await check(
    changed(BOOK, { ...SEAT, runIf: "parents.book.seats > 0" }, PAY, STOP),
  );
  expect(answer).toMatchObject({
    version: null,
    checked: 5,
    divergent: 2,
    byKind: { step_run: 2 },
  });
  expect(answer.divergences.map(({ run, step }) => [run, step])).toEqual([
    [stopped?.id, "seat"],
    [unpaid?.id, "seat"],
  ]);
  const without = await check(
    changed(BOOK, SEAT, { ...PAY, waitFor: undefined }, { ...STOP, cancelIf: undefined }),
  );
  expect(without.divergences.filter(({ run }) => run === fine?.id)).toMatchObject([
    { step: "pay", kind: "wait_changed", version: 1 },
  ]);
  expect(without.byKind).toEqual({ wait_changed: 3, run_not_cancelled: 1 });
  const quiet = {
    definition: { ...TRIP, events: [], onFailure: undefined },
  } as unknown as CheckReplay;
  expect((await check(quiet)).byKind).toEqual({ not_started: 1, on_failure_changed: 2 });
});

test("which runs is said by ids, state, version, time and number", async () => {
  const [fine, unpaid, stopped, unbooked, cancelled] = await finishRuns();
  await world.register({ ...TRIP, description: "second" });
  const later = await world.startRun({ workflow: "trip", input: "go" });
  await execute(later.id);
  const added = changed(BOOK, SEAT, PAY, STOP, { name: "more" });
  const idsOf = async (runs: CheckReplay["runs"] & object): Promise<string[]> => {
    const { divergences } = await check({ ...added, runs });
    return [...new Set(divergences.filter(({ step }) => step === "more").map(({ run }) => run))];
  };
  expect(await idsOf({ ids: [fine?.id ?? "", unbooked?.id ?? ""] })).toEqual([
    unbooked?.id,
    fine?.id,
  ]);
  expect(await idsOf({ state: "failed" })).toEqual([unbooked?.id, unpaid?.id]);
  expect(await idsOf({ version: 2 })).toEqual([later.id]);
  expect(await idsOf({ last: 1 })).toEqual([later.id]);
  expect(await idsOf({ until: unpaid?.createdAt ?? "" })).toEqual([fine?.id]);
  expect((await check({ ...added, runs: { since: cancelled?.createdAt ?? "" } })).checked).toBe(2);
  expect(stopped?.error?.message).toContain("cancelled by step");
});

test("exports and imports are checked, also where the workflow is not registered", async () => {
  const [fine] = await finishRuns();
  const { body: document } = await world.call<never>("GET", `/runs/${fine?.id}/export`);
  world = await createWorld();
  const { body: imported } = await world.call<{ id: string }>("POST", "/imports", document);
  const same = { definition: TRIP };
  expect(await check({ ...same, documents: [document] })).toMatchObject({ checked: 1, same: 1 });
  const both = await check({
    ...changed(BOOK, { ...SEAT, runIf: "false" }, PAY, STOP),
    documents: [document],
    imports: [imported.id],
  });
  expect(both).toMatchObject({ checked: 2, divergent: 2, byKind: { step_skipped: 2 } });
});

test("what is too large is named, what is too much is gone on with by the cursor", async () => {
  await finishRuns();
  const runs = await world.sql(
    "select id from v1.workflow_run where tenant_id = $1 order by id desc",
    [world.tenant],
  );
  const ids = runs.map(({ id }) => String(id));
  const fill = (id: string | undefined, length: number) =>
    world.sql("update v1.workflow_run set input = to_jsonb(repeat('x', $2)) where id = $1", [
      id,
      length,
    ]);
  await fill(ids[0], 9_000_000);
  for (const id of ids.slice(1)) await fill(id, 8_388_000);
  const first = await check({ version: 1 });
  expect(first).toMatchObject({
    checked: 3,
    tooLarge: [ids[0]],
    nextCursor: expect.any(String),
  });
  const second = await check({ version: 1, cursor: first.nextCursor ?? "" });
  expect(second).toMatchObject({ checked: 1, tooLarge: [], nextCursor: null });
});

test("it counts the divergences that it doesn't list", async () => {
  const { id } = await world.startRun({ workflow: "trip", input: "go" });
  await execute(id);
  const many = Array.from({ length: 400 }, (_, index) => ({ name: `n${index}` }));
  const { body: document } = await world.call<never>("GET", `/runs/${id}/export`);
  const answer = await check({
    ...changed(BOOK, SEAT, PAY, STOP, ...many),
    documents: [document, document, document],
  });
  expect(answer).toMatchObject({ byKind: { step_added: 1_200 }, more: 200 });
  expect(answer.divergences).toHaveLength(1_000);
});

describe("it refuses", () => {
  const refuse = async (
    body: object,
    code: Parameters<typeof expectProblem>[1],
    detail: RegExp,
  ) => {
    const asked = await ask(world, "POST", "/workflows/trip/check", body);
    return await expectProblem(asked, code, detail);
  };

  test("a definition that is none, with the place", async () => {
    const broken = changed({ ...BOOK }, { ...SEAT, parents: ["gone"] });
    const { errors } = await refuse(broken, "invalid_workflow", /definition\.steps\[1\]/);
    expect(errors?.[0]?.path).toBe("definition.steps[1].parents[0]");
    await refuse(
      { definition: { ...TRIP, name: "other" } },
      "invalid_request",
      /Make them the same/,
    );
  });

  test("neither, both, or a version that is not there", async () => {
    await refuse({}, "invalid_request", /definition or version/);
    await refuse({ definition: TRIP, version: 1 }, "invalid_request", /one of the two/);
    await refuse({ version: 9 }, "version_not_found", /has no version 9/);
    const path = "/workflows/none/check";
    await expectProblem(
      await ask(world, "POST", path, { version: 1 }),
      "workflow_not_found",
      /No workflow/,
    );
  });

  test("runs that are not there, go on, or are of another workflow, and a cursor of something else", async () => {
    const { id } = await world.startRun({ workflow: "trip" });
    await refuse({ version: 1, runs: { ids: [id] } }, "run_not_finished", /is (queued|running)/);
    const unknown = `${id.slice(0, 28)}00000000`;
    await refuse({ version: 1, runs: { ids: [unknown] } }, "run_not_found", /There is no run/);
    await world.register({ ...TRIP, name: "other", events: [] });
    const other = await world.startRun({ workflow: "other" });
    await world.call("POST", `/runs/${other.id}/cancel`);
    await refuse(
      { version: 1, runs: { ids: [other.id] } },
      "invalid_request",
      /is of workflow "other"/,
    );
    await refuse({ version: 1, imports: [id] }, "import_not_found", /There is no import/);
    await refuse({ version: 1, cursor: "x" }, "invalid_request", /is not a cursor/);
    await refuse({ version: 1, runs: { ids: [id], last: 1 } }, "invalid_request", /nothing else/);
    for (const last of [0, 1_001])
      await refuse({ version: 1, runs: { last } }, "invalid_request", /last/);
  });
});
