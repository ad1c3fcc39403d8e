/** Stored limits over the API, and why a task waits. */
import { beforeEach, expect, test } from "vitest";
import { newRunId, taskId } from "../../protocol/ids.ts";
import { MAX_STORED_LIMITS } from "../../protocol/limits.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectProblem } from "./answers.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
});

test("a limit is stored, changed, listed, read and deleted", async () => {
  const first = await world.call("PUT", "/limits/bank", { concurrency: 2, key: "input.bank" });
  expect(first).toMatchObject({ status: 201, body: { name: "bank", kind: "concurrency" } });
  const second = await world.call("PUT", "/limits/bank", { concurrency: 3, key: "input.bank" });
  expect(second).toMatchObject({ status: 200, body: { concurrency: 3 } });
  await world.call("PUT", "/limits/tokens", { rate: [{ units: 5, perMs: 1_000 }] });
  const list = await world.call<{ items: { name: string; kind: string }[] }>("GET", "/limits");
  expect(list.body.items.map(({ name, kind }) => [name, kind])).toEqual([
    ["bank", "concurrency"],
    ["tokens", "rate"],
  ]);
  const read = await world.call("GET", "/limits/bank");
  expect(read).toMatchObject({ status: 200, body: { concurrency: 3, workflows: [], keys: [] } });
  expect((await world.call("DELETE", "/limits/bank")).status).toBeLessThan(300);
  await expectProblem(await ask(world, "GET", "/limits/bank"), "limit_not_found", /./);
  await expectProblem(await ask(world, "DELETE", "/limits/bank"), "limit_not_found", /./);
});

test("another tenant's limits are not seen, and neither are its tasks", async () => {
  await world.call("PUT", "/limits/bank", { concurrency: 2 });
  await world.register({ name: "job", steps: [{ name: "only" }] });
  const { id } = await world.startRun({ workflow: "job" });
  const other = await createWorld();
  await expectProblem(await ask(other, "GET", "/limits/bank"), "limit_not_found", /./);
  await expectProblem(
    await ask(other, "GET", `/tasks/${taskId(id, 0)}/why`),
    "task_not_found",
    /./,
  );
  await expectProblem(
    await ask(world, "GET", `/tasks/${taskId(newRunId(), 0)}/why`),
    "task_not_found",
    /./,
  );
});

test("a limit that a workflow names is not deleted, until it names it no more", async () => {
  await world.call("PUT", "/limits/bank", { concurrency: 2 });
  const steps = [{ name: "only", limits: [{ limit: "bank" }] }];
  await world.register({ name: "job", steps });
  const answer = await ask(world, "DELETE", "/limits/bank");
  await expectProblem(answer, "limit_in_use", /job/);
  await world.register({ name: "job", steps: [{ name: "only" }] });
  expect((await world.call("DELETE", "/limits/bank")).status).toBeLessThan(300);
});

test("a workflow that names a limit that is not stored is refused, and nothing is stored", async () => {
  const definition = { name: "job", steps: [{ name: "only", limits: [{ limit: "none" }] }] };
  const answer = await ask(world, "PUT", "/workflows/job", definition);
  await expectProblem(answer, "invalid_workflow", /steps\[0\]\.limits\[0\]\.limit/);
  await expectProblem(await ask(world, "GET", "/workflows/job"), "workflow_not_found", /./);
});

test("there are only so many limits", async () => {
  await world.sql(
    `insert into v1."limit" (tenant_id, name, definition)
       select $1, 'limit-' || n, '{"concurrency": 1}' from generate_series(1, $2::integer) n`,
    [world.tenant, MAX_STORED_LIMITS],
  );
  const answer = await ask(world, "PUT", "/limits/more", { concurrency: 1 });
  await expectProblem(answer, "too_many_limits", /limits/);
  const known = await world.call("PUT", "/limits/limit-1", { concurrency: 2 });
  expect(known.status).toBe(200);
});

test("why a task waits for its parents, in a backoff, or is over", async () => {
  await world.register({
    name: "pair",
    steps: [
      { name: "a", retries: 1, backoff: { initialMs: 60_000, jitter: 0 } },
      { name: "b", parents: ["a"] },
    ],
  });
  const worker = await world.connectWorker({ actions: ["pair:a"] });
  const { id } = await world.startRun({ workflow: "pair" });
  const why = (step: number) => world.call("GET", `/tasks/${taskId(id, step)}/why`);
  const task = await worker.receiveTask();
  expect((await why(0)).body).toMatchObject({ reason: { kind: "running" } });
  expect((await why(1)).body).toMatchObject({
    reason: { kind: "parents", parents: ["a"] },
    sentence: expect.stringContaining("a"),
  });
  worker.fail(task, "no");
  await worker.receive("recorded");
  expect((await why(0)).body).toMatchObject({ reason: { kind: "backoff" } });
  await world.call("POST", `/runs/${id}/cancel`);
  expect((await why(0)).body).toMatchObject({ reason: { kind: "finished", state: "cancelled" } });
});

test("why a task waits when nobody has its action, and when everybody is busy", async () => {
  await world.register({ name: "job", steps: [{ name: "only" }] });
  const first = await world.startRun({ workflow: "job" });
  const why = (run: string) => world.call("GET", `/tasks/${taskId(run, 0)}/why`);
  expect((await why(first.id)).body).toMatchObject({ reason: { action: "job:only" } });
  const worker = await world.connectWorker({ actions: ["job:only"], slots: 1 });
  await worker.receiveTask();
  const second = await world.startRun({ workflow: "job" });
  expect((await why(second.id)).body).toMatchObject({
    reason: { kind: "no_free_slot", used: 1, slots: 1, line: { position: 1 } },
  });
});
