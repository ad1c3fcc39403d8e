/** Workflows that are paused: what becomes of their new runs, and that all is as before afterwards. */
import { beforeEach, expect, test } from "vitest";
import type { PublishedEvent, StartedRun, Workflow } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { pageOf } from "../../workers/api/fields.ts";
import { startedRunsSchema } from "../../workers/api/run-schemas.ts";
import { workflowSchema } from "../../workers/api/workflow-schemas.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "job", events: ["job:*"], steps: [{ name: "only" }] });
});

const resume = () => ask<Workflow>(world, "DELETE", "/workflows/job/pause");
const pause = (mode: string) => ask<Workflow>(world, "PUT", "/workflows/job/pause", { mode });

test("a paused workflow says since when and how, until it is resumed", async () => {
  const paused = expectAnswer(await pause("hold"), 200, workflowSchema);
  expect(paused.paused).toEqual({ at: expect.any(String), mode: "hold" });
  const read = await ask(world, "GET", "/workflows/job");
  expect(expectAnswer(read, 200, workflowSchema)).toEqual(paused);
  const listed = await ask(world, "GET", "/workflows");
  expect(expectAnswer(listed, 200, pageOf(workflowSchema)).items).toEqual([paused]);

  const changed = expectAnswer(await pause("drop"), 200, workflowSchema);
  expect(changed.paused).toEqual({ at: paused.paused?.at, mode: "drop" });

  const resumed = expectAnswer(await resume(), 200, workflowSchema);
  expect(resumed).toEqual({ ...paused, paused: null });
  expect(expectAnswer(await resume(), 200, workflowSchema)).toEqual(resumed);
});

test("registering the same again leaves it paused", async () => {
  await pause("hold");
  const definition = { name: "job", events: ["job:*"], steps: [{ name: "only" }] };
  const asked = await ask<Workflow>(world, "PUT", "/workflows/job", definition);
  expect(asked.body.paused).toMatchObject({ mode: "hold" });
});

test("with hold, runs are started and wait; resumed, they begin at once", async () => {
  const worker = await world.connectWorker({ actions: ["job:only"] });
  const before = await world.startRun({ workflow: "job" });
  await worker.receiveTask({ run: before.id });
  await pause("hold");
  const { id } = await world.startRun({ workflow: "job", input: 1 });
  const { body: event } = await ask<PublishedEvent>(world, "POST", "/events", { key: "job:x" });
  expect(event.runs).toHaveLength(1);
  await world.advance(1_000);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  for (const run of [id, ...event.runs]) {
    expect(await world.readRun(run)).toMatchObject({
      state: "queued",
      tasks: [{ state: "waiting", queuedAt: null }],
    });
  }
  await resume();
  const held = await worker.receiveTasks(2);
  expect(held.map(({ run }) => run).toSorted()).toEqual([id, ...event.runs].toSorted());
});

test("a held run's timeout counts from when it begins", async () => {
  const definition = { name: "short", timeoutMs: 10_000, steps: [{ name: "only" }] };
  await world.register(definition);
  await ask(world, "PUT", "/workflows/short/pause", { mode: "hold" });
  const { id } = await world.startRun({ workflow: "short" });
  await world.advance(60_000);
  expect((await world.readRun(id)).state).toBe("queued");
  await ask(world, "DELETE", "/workflows/short/pause");
  await world.settled();
  await world.advance(9_999);
  expect((await world.readRun(id)).state).toBe("queued");
  await world.advance(1);
  await world.settled();
  expect(await world.readRun(id)).toMatchObject({
    state: "failed",
    error: { code: "run_timeout" },
  });
});

test("a held run can be cancelled, and doesn't begin afterwards", async () => {
  await pause("hold");
  const { id } = await world.startRun({ workflow: "job" });
  expect((await ask(world, "POST", `/runs/${id}/cancel`)).body).toMatchObject({ cancelled: true });
  const worker = await world.connectWorker({ actions: ["job:only"] });
  await resume();
  await world.advance(1_000);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
});

test("with drop, calls are refused whole and say which workflow is paused", async () => {
  await world.register({ name: "other", steps: [{ name: "only" }] });
  await pause("drop");
  await expectNoTrace(world, async () => {
    const one = await ask(world, "POST", "/runs", { workflow: "job" });
    await expectProblem(
      one,
      "workflow_paused",
      /"job" is paused .* DELETE \/api\/v1\/workflows\/job\/pause/,
    );
    const runs = [{ workflow: "other" }, { workflow: "job" }];
    const many = await ask(world, "POST", "/runs/bulk", { runs });
    await expectProblem(many, "workflow_paused", /runs\[1\]: The workflow "job" is paused/);
  });
  await resume();
  expect((await world.startRun({ workflow: "job" })).created).toBe(true);
});

test("with drop, an event is stored and starts the others that listen", async () => {
  await world.register({ name: "other", events: ["job:done"], steps: [{ name: "only" }] });
  await pause("drop");
  const { body } = await ask<PublishedEvent>(world, "POST", "/events", { key: "job:done" });
  expect(body.created).toBe(true);
  const started = await Promise.all(body.runs.map((run) => world.readRun(run)));
  expect(started.map(({ workflow }) => workflow)).toEqual(["other"]);
  const rows = await world.sql("select key from v1.event where id = $1", [body.id]);
  expect(rows).toEqual([{ key: "job:done" }]);
});

test("a pause made elsewhere is in force at the very next call, and so is its end", async () => {
  await world.startRun({ workflow: "job" }); // this isolate has read the definitions
  await world.sql("select v1.pause_workflow($1, 'job', 'drop', $2, 'test')", [
    world.tenant,
    newId(),
  ]);
  const refused = await ask(world, "POST", "/runs", { workflow: "job" });
  await expectProblem(refused, "workflow_paused", /"job" is paused/);
  await world.sql("select v1.resume_workflow($1, 'job', $2, 'test')", [world.tenant, newId()]);
  const asked = await ask<StartedRun>(world, "POST", "/runs", { workflow: "job" });
  expect(asked.status).toBe(201);
  await world.sql("select v1.pause_workflow($1, 'job', 'hold', $2, 'test')", [
    world.tenant,
    newId(),
  ]);
  const { id } = await world.startRun({ workflow: "job" });
  expect((await world.readRun(id)).tasks[0]?.state).toBe("waiting");
});

test("runs held by the hundred begin together", async () => {
  await pause("hold");
  const runs = Array.from({ length: 300 }, () => ({ workflow: "job" }));
  const started = await ask(world, "POST", "/runs/bulk", { runs });
  expect(expectAnswer(started, 201, startedRunsSchema).runs).toHaveLength(300);
  const worker = await world.connectWorker({ actions: ["job:only"], slots: 300 });
  await resume();
  await worker.receiveTasks(300);
});

test.each([
  [{ mode: "stop" }, /mode must be one of hold, drop, not "stop"/],
  [{}, /mode is missing: it must be one of hold, drop/],
])("a pause is refused with %j", async (body, detail) => {
  const asked = await ask(world, "PUT", "/workflows/job/pause", body);
  await expectProblem(asked, "invalid_request", detail);
});

test("a workflow that is not registered can't be paused or resumed", async () => {
  const paused = await ask(world, "PUT", "/workflows/nobody/pause", { mode: "hold" });
  await expectProblem(paused, "workflow_not_found", /No workflow "nobody" is registered/);
  const resumed = await ask(world, "DELETE", "/workflows/nobody/pause");
  await expectProblem(resumed, "workflow_not_found", /No workflow "nobody" is registered/);
});
