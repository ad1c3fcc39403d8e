/** Replaying the finished runs that a filter means: each once, oldest first, safely again. */
import { beforeEach, describe, expect, test } from "vitest";
import type { ReplayedRuns } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { replayedRunsSchema } from "../../workers/api/change-schemas.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;
let worker: FakeWorker;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "a" }, { name: "b", parents: ["a"] }] });
  worker = await world.connectWorker({ actions: ["job:a", "job:b"], slots: 1_000 });
});

async function replayMany(body: object): Promise<ReplayedRuns> {
  return expectAnswer(await ask(world, "POST", "/runs/replay", body), 201, replayedRunsSchema);
}

/** Starts runs of which each finishes as its input says: `a` or `b` fails, or nothing. */
async function finish(inputs: string[]): Promise<string[]> {
  const runs = await world.startRuns("job", inputs);
  await execute();
  return runs;
}

/** Executes what comes until all is quiet; says which steps of which runs. */
async function execute(): Promise<string[]> {
  const executed: string[] = [];
  while ((await worker.unreadWhenQuiet()).some(({ type }) => type === "task")) {
    const task = await worker.receiveTask();
    executed.push(`${String(task.input)}/${task.step}`);
    if (task.input === task.step) worker.fail(task, "no luck");
    else worker.complete(task, task.step);
    await worker.receive("recorded");
  }
  return executed.toSorted();
}

test("the runs that fit are replayed, oldest first, and the others are not", async () => {
  const runs = await finish(["fine", "a", "b"]);
  const { id: unfinished } = await world.startRun({ workflow: "job", input: "later" });
  const { runs: replayed, nextCursor } = await replayMany({ filter: { state: "failed" } });
  expect(replayed.map(({ replayOf }) => replayOf)).toEqual([runs[1], runs[2]]);
  expect(nextCursor).toBeNull();
  for (const { id, replayOf } of replayed) {
    expect(await world.readRun(id)).toMatchObject({ replayOf, workflow: "job" });
  }
  const all = await replayMany({ filter: { workflow: "job" } });
  expect(all.runs.map(({ replayOf }) => replayOf)).toEqual(runs);
  expect(all.runs.map(({ replayOf }) => replayOf)).not.toContain(unfinished);
});

test("from what failed, completed runs are left out and completed steps reused", async () => {
  const runs = await finish(["fine", "a", "b"]);
  const replayed = await replayMany({ filter: { workflow: "job" }, fromFailure: true });
  expect(replayed.runs.map(({ replayOf }) => replayOf)).toEqual([runs[1], runs[2]]);
  expect(await execute()).toEqual(["a/a", "b/b"]);
});

test("with the active version, all of them have it", async () => {
  await finish(["a"]);
  await world.register({ name: "job", steps: [{ name: "a" }] });
  const { runs } = await replayMany({ filter: { state: "failed" }, version: "active" });
  expect(await world.readRun(runs[0]?.id ?? "")).toMatchObject({
    version: 2,
    tasks: [{ step: "a" }],
  });
});

test("no page holds a replay that an earlier one has made, however it ended", async () => {
  const runs = await finish(["a", "a", "a"]);
  const before = newId(); // of the first call, as every cursor that follows it says
  const first = await replayMany({ filter: { state: "failed" } });
  expect(first.runs).toHaveLength(3);
  await execute(); // the replays have failed as well
  const next = await replayMany({ filter: { state: "failed" }, cursor: `${runs[0]}/${before}` });
  expect(next.runs.map(({ replayOf }) => replayOf)).toEqual([runs[1], runs[2]]);
});

describe("with an idempotency key", () => {
  test("a repeated call answers with the same replays and makes none", async () => {
    await finish(["a", "b"]);
    const call = { filter: { state: "failed" }, idempotencyKey: "again" };
    const first = await replayMany(call);
    await execute(); // the replays fail, and fit the filter themselves
    await expectNoTrace(world, async () => {
      expect(await replayMany(call)).toEqual(first);
    });
  });

  test("another key makes other replays", async () => {
    await finish(["a"]);
    const first = await replayMany({ filter: { state: "failed" }, idempotencyKey: "one" });
    const second = await replayMany({ filter: { state: "failed" }, idempotencyKey: "two" });
    expect(second.runs[0]?.replayOf).toBe(first.runs[0]?.replayOf);
    expect(second.runs[0]?.id).not.toBe(first.runs[0]?.id);
  });
});

test("runs beyond what one call may carry come with the next ones", async () => {
  await world.register({ name: "big", steps: [{ name: "a" }] });
  const input = "x".repeat(1024 * 1024 - 10);
  const runs: string[] = [];
  for (let calls = 0; calls < 2; calls++) {
    runs.push(
      ...(await world.startRuns(
        "big",
        Array.from({ length: 9 }, () => input),
      )),
    );
  }
  await ask(world, "POST", "/runs/cancel", { workflow: "big" });
  const first = await replayMany({ filter: { workflow: "big", state: "cancelled" } });
  expect(first.runs.length).toBeLessThan(18);
  const rest = await replayMany({
    filter: { workflow: "big", state: "cancelled" },
    cursor: first.nextCursor,
  });
  expect(rest.nextCursor).toBeNull();
  expect([...first.runs, ...rest.runs].map(({ replayOf }) => replayOf)).toEqual(runs);
});

test("a filter that fits nothing replays nothing", async () => {
  const nothing = await replayMany({ filter: { workflow: "nobody" } });
  expect(nothing).toEqual({ runs: [], nextCursor: null });
});

test("a call that would start a run of a workflow that is dropped starts none", async () => {
  await finish(["a"]);
  await ask(world, "PUT", "/workflows/job/pause", { mode: "drop" });
  await expectNoTrace(world, async () => {
    const asked = await ask(world, "POST", "/runs/replay", { filter: { state: "failed" } });
    await expectProblem(asked, "workflow_paused", /"job" is paused/);
  });
});

test.each([
  [{}, "filter", /filter is missing/],
  [{ filter: {} }, "filter", /filter must have at least one of workflow, state/],
  [{ filter: { state: "running" } }, "filter.state", /must be one of completed, failed, cancelled/],
  [{ filter: { workflow: "job" }, fromStep: "a" }, "fromStep", /is not a field/],
  [{ filter: { workflow: "job" }, cursor: "next" }, "cursor", /is not a cursor of this list/],
  [
    { filter: { workflow: "job" }, idempotencyKey: "k".repeat(219) },
    "idempotencyKey",
    /at most 218/,
  ],
  [
    { filter: { workflow: "job" }, fromFailure: true, version: "active" },
    "version",
    /must be original, or left out/,
  ],
])("a replay by filter is refused with %j", async (body, path, detail) => {
  const asked = await ask(world, "POST", "/runs/replay", body);
  const { errors } = await expectProblem(asked, "invalid_request", detail);
  expect(errors?.[0]?.path).toBe(path);
});
