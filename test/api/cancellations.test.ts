/** Cancelling runs over the API: one, or those that a filter means. */
import { beforeEach, describe, expect, test } from "vitest";
import type { CancelledRuns, PublishedEvent, Run } from "../../protocol/http.ts";
import { cancelledRunSchema, cancelledRunsSchema } from "../../workers/api/change-schemas.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "only" }] });
});

const cancel = (run: string, body?: object) => ask(world, "POST", `/runs/${run}/cancel`, body);

async function cancelMany(filter: object): Promise<CancelledRuns> {
  return expectAnswer(await ask(world, "POST", "/runs/cancel", filter), 200, cancelledRunsSchema);
}

async function statesOf(runs: string[]): Promise<Run["state"][]> {
  return await Promise.all(runs.map(async (run) => (await world.readRun(run)).state));
}

test("a cancelled run is over at once, and says that it was cancelled and why", async () => {
  const { id } = await world.startRun({ workflow: "job" });
  const asked = await cancel(id, { reason: "ordered twice" });
  expect(expectAnswer(asked, 200, cancelledRunSchema)).toEqual({
    id,
    state: "cancelled",
    cancelled: true,
  });
  const error = {
    code: "cancelled",
    name: "Cancelled",
    message: "The run was cancelled: ordered twice",
  };
  const run = await world.readRun(id);
  expect(run).toMatchObject({ state: "cancelled", error, finishedAt: expect.any(String) });
  expect(run.tasks).toMatchObject([{ state: "cancelled", error, attempts: [] }]);
  const { body } = await world.call("GET", `/runs/${id}/result`);
  expect(body).toEqual({ id, state: "cancelled", outputs: {}, error: { ...error, step: null } });
});

test("a task that a worker had shows the attempt that was cancelled", async () => {
  const worker = await world.connectWorker({ actions: ["job:only"], worker: "north" });
  const { id } = await world.startRun({ workflow: "job" });
  await worker.receiveTask();
  await cancel(id);
  await worker.receive("cancel", { attempt: 1, reason: "cancelled" });
  const { tasks } = await world.readRun(id);
  expect(tasks).toMatchObject([
    {
      state: "cancelled",
      attempts: [
        {
          attempt: 1,
          outcome: "cancelled",
          worker: "north",
          startedAt: expect.any(String),
          error: { code: "cancelled", message: "The run was cancelled." },
        },
      ],
    },
  ]);
});

test("cancelling again changes nothing and says what the run is", async () => {
  const { id } = await world.startRun({ workflow: "job" });
  await cancel(id, { reason: "first" });
  const again = expectAnswer(await cancel(id, { reason: "second" }), 200, cancelledRunSchema);
  expect(again).toEqual({ id, state: "cancelled", cancelled: false });
  expect((await world.readRun(id)).error?.message).toContain("first");
});

test("a run that has finished by itself stays as it is", async () => {
  const worker = await world.connectWorker({ actions: ["job:only"] });
  const { id } = await world.startRun({ workflow: "job" });
  worker.complete(await worker.receiveTask(), 7);
  await worker.receive("recorded");
  await expectNoTrace(world, async () => {
    const answer = expectAnswer(await cancel(id), 200, cancelledRunSchema);
    expect(answer).toEqual({ id, state: "completed", cancelled: false });
  });
});

test("a run that many cancel at once is cancelled for all of them", async () => {
  const { id } = await world.startRun({ workflow: "job" });
  const answers = await Promise.all(Array.from({ length: 5 }, () => cancel(id)));
  for (const each of answers) {
    expect(expectAnswer(each, 200, cancelledRunSchema).state).toBe("cancelled");
  }
});

test("a run that is not there is not found", async () => {
  await expectProblem(
    await cancel("0199f3a2-7c1e-7000-8a4b-5d6e7f800000"),
    "run_not_found",
    /There is no run 0199f3a2/,
  );
  await expectProblem(await cancel("7"), "invalid_request", /id is not a run's id/);
});

test.each([
  [{ reason: "" }, /reason must not be empty/],
  [{ reason: "x".repeat(1_001) }, /reason must have at most 1000 characters/],
  [{ why: "no" }, /why is not a field/],
])("a cancellation is refused with %j", async (body, detail) => {
  const { id } = await world.startRun({ workflow: "job" });
  await expectProblem(await cancel(id, body), "invalid_request", detail);
  expect((await world.readRun(id)).state).toBe("queued");
});

describe("by filter, the runs are cancelled", () => {
  test("of one workflow", async () => {
    await world.register({ name: "other", steps: [{ name: "only" }] });
    const runs = await world.startRuns("job", [1, 2]);
    const { id } = await world.startRun({ workflow: "other" });
    expect(await cancelMany({ workflow: "job" })).toEqual({ cancelled: 2, hasMore: false });
    expect(await statesOf([...runs, id])).toEqual(["cancelled", "cancelled", "queued"]);
    expect(await cancelMany({ workflow: "job" })).toEqual({ cancelled: 0, hasMore: false });
  });

  test("with metadata, created in a time, in a state", async () => {
    const start = async (customer: string): Promise<string> => {
      await world.advance(1_000);
      return (await world.startRun({ workflow: "job", metadata: { customer } })).id;
    };
    const runs = [await start("acme"), await start("acme"), await start("other")];
    const second = (await world.readRun(runs[1] ?? "")).createdAt;
    expect((await cancelMany({ state: "running" })).cancelled).toBe(0);
    expect((await cancelMany({ metadata: { customer: "acme" }, until: second })).cancelled).toBe(1);
    expect(await statesOf(runs)).toEqual(["cancelled", "queued", "queued"]);
    expect((await cancelMany({ state: "queued", since: second })).cancelled).toBe(2);
  });

  test("that an event has started", async () => {
    await world.register({ name: "heard", events: ["order:*"], steps: [{ name: "only" }] });
    const publish = async (): Promise<PublishedEvent> =>
      (await world.call<PublishedEvent>("POST", "/events", { key: "order:placed" })).body;
    const [first, second] = [await publish(), await publish()];
    expect((await cancelMany({ eventId: first.id })).cancelled).toBe(1);
    expect(await statesOf([...first.runs, ...second.runs])).toEqual(["cancelled", "queued"]);
  });

  test("but not those that have finished", async () => {
    const worker = await world.connectWorker({ actions: ["job:only"], slots: 1 });
    const [done = "", running = "", queued = ""] = await world.startRuns("job", [1, 2, 3]);
    worker.complete(await worker.receiveTask({ run: done }));
    await worker.receive("recorded");
    expect((await cancelMany({ workflow: "job" })).cancelled).toBe(2);
    expect(await statesOf([done, running, queued])).toEqual([
      "completed",
      "cancelled",
      "cancelled",
    ]);
  });

  test("a thousand a call, oldest first, until there are no more", async () => {
    for (let calls = 0; calls < 3; calls++) {
      await world.startRuns(
        "job",
        Array.from({ length: 401 }, () => null),
      );
    }
    expect(await cancelMany({ workflow: "job" })).toEqual({ cancelled: 1_000, hasMore: true });
    expect(await cancelMany({ workflow: "job" })).toEqual({ cancelled: 203, hasMore: false });
  });
});

test.each([
  [{}, /must have at least one of workflow, state, since/],
  [{ metadata: {} }, /metadata must have at least one label/],
  [{ state: "completed" }, /state must be one of queued, running, not "completed"/],
  [{ since: "yesterday" }, /since is not an ISO 8601 time/],
  [{ eventId: "7" }, /eventId is not an id/],
  [{ runs: ["7"] }, /runs is not a field/],
])("a cancellation by filter is refused with %j, and cancels nothing", async (filter, detail) => {
  await world.startRun({ workflow: "job" });
  await expectNoTrace(world, async () => {
    const asked = await ask(world, "POST", "/runs/cancel", filter);
    await expectProblem(asked, "invalid_request", detail);
  });
});

test("a run that waits for an event, however long, is cancelled by a filter as well", async () => {
  await world.register({ name: "patient", steps: [{ name: "only", waitFor: { event: "never" } }] });
  const { id } = await world.startRun({ workflow: "patient" });
  await world.settled();
  const { body } = await world.call("POST", "/runs/cancel", { workflow: "patient" });
  expect(body).toEqual({ cancelled: 1, hasMore: false });
  expect(await world.readRun(id)).toMatchObject({ state: "cancelled" });
});
