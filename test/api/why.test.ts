/** Why a task is not running, for each thing that can stand in its way, and how a limit is used meanwhile. */
import { beforeEach, expect, test } from "vitest";
import { z } from "zod";
import type { LimitUse, StoredLimit, Why } from "../../protocol/limit-bodies.ts";
import { runIdOf, taskId } from "../../protocol/ids.ts";
import { limitStateSchema } from "../../workers/api/limit-schemas.ts";
import { whySchema } from "../../workers/api/why-schemas.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectProblem } from "./answers.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
});

async function whyOf(run: string, step = 0): Promise<Why> {
  const id = taskId(run, step);
  const why = expectAnswer(await ask(world, "GET", `/tasks/${id}/why`), 200, whySchema);
  expect(why).toMatchObject({ task: id, run });
  expect(why.sentence).toMatch(/^[A-Z].*[^.]\.$/);
  return why;
}

async function registerWith(...limits: LimitUse[]): Promise<void> {
  await world.register({ name: "job", steps: [{ name: "only", limits }] });
}

test("a task that waits for a permit tells the limit, its key, who holds it and its place", async () => {
  await ask<StoredLimit>(world, "PUT", "/limits/llm", { concurrency: 1, key: "input.customer" });
  await registerWith({ limit: "llm" });
  const worker = await world.connectWorker({ actions: ["job:only"], slots: 9 });
  const acme = { customer: "acme" };
  const [, second, third] = await world.startRuns("job", [acme, acme, acme]);
  const held = await worker.receiveTask();
  expect(await whyOf(held.run)).toMatchObject({ state: "running", reason: { kind: "running" } });

  expect((await whyOf(second ?? "")).reason).toEqual({
    kind: "concurrency",
    limit: "llm",
    key: "acme",
    held: 1,
    bound: 1,
    holders: [{ run: held.run, task: held.task, attempt: 1 }],
    line: { position: 1, length: 2, isExact: true },
  });
  expect((await whyOf(third ?? "")).sentence).toBe(
    'It waits for limit "llm" with key "acme": 1 of 1 permits are held, and one must be released, or the limit raised; it is number 2 of 2 in line.',
  );

  const read = expectAnswer(await ask(world, "GET", "/limits/llm"), 200, limitStateSchema);
  expect(read).toMatchObject({
    name: "llm",
    kind: "concurrency",
    workflows: ["job"],
    keys: [{ key: "acme", held: 1, limit: 1, waiting: 2, holders: [{ run: held.run }] }],
    hasMoreKeys: false,
  });
});

test("a task that waits for units tells when there are enough", async () => {
  await registerWith({ rate: [{ units: 10, perMs: 10_000 }], units: "input.tokens" });
  const worker = await world.connectWorker({ actions: ["job:only"], slots: 9 });
  const [, second] = await world.startRuns("job", [{ tokens: 10 }, { tokens: 4 }]);
  await worker.receiveTask();
  const { reason } = await whyOf(second ?? "");
  expect(reason).toEqual({
    kind: "rate",
    limit: "job:only#1",
    key: "",
    units: 4,
    availableAt: expect.any(String),
    isPaused: false,
    line: { position: 1, length: 1, isExact: true },
  });
  if (reason.kind !== "rate") throw new Error("unreachable");
  // As soon as it says, and not before.
  await world.advance(Date.parse(reason.availableAt) - Date.now() - 1);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  await world.advance(1);
  expect((await worker.receiveTask()).run).toBe(second);
});

test("a task tells what is missing of the workers that are there", async () => {
  const steps = [
    { name: "labelled", labels: { gpu: { value: "a100", isRequired: true } } },
    { name: "large", slots: 8 },
  ];
  await world.register({ name: "job", steps });
  const { id } = await world.startRun({ workflow: "job" });
  const actions = ["job:labelled", "job:large"];
  await world.connectWorker({ actions, slots: 4 });
  await world.settled();
  expect((await whyOf(id, 0)).sentence).toContain(
    'No worker that is connected can take action "job:labelled" (none that offers it has the labels that it requires): connect one that can;',
  );
  expect((await whyOf(id, 1)).sentence).toContain(
    "(it takes 8 slots, more than any of them has): connect one that can;",
  );
});

test("a task of a run that is held tells since when its workflow is paused", async () => {
  await registerWith();
  await ask(world, "PUT", "/workflows/job/pause", { mode: "hold" });
  const { id } = await world.startRun({ workflow: "job" });
  const why = await whyOf(id);
  expect(why).toMatchObject({ state: "waiting", reason: { kind: "paused" } });
  expect(why.sentence).toMatch(/begins when the workflow is resumed\.$/);
});

test("a task in the queue tells what its lane waits for, and that its place is a lower bound", async () => {
  await registerWith({ key: "input.customer", concurrency: 1 });
  const worker = await world.connectWorker({ actions: ["job:only"], slots: 9 });
  const inputs = Array.from({ length: 60 }, () => ({ customer: "acme" }));
  const runs = await world.startRuns("job", inputs);
  await worker.receiveTask();
  await world.settled();
  const [row] = await world.sql(
    "select max(task_id::text) as last, count(*)::integer as queued from v1.queue_item where tenant_id = $1",
    [world.tenant],
  );
  const last = runIdOf(String(row?.["last"]));
  expect(runs).toContain(last);
  const { reason } = await whyOf(last);
  expect(reason).toMatchObject({
    kind: "concurrency",
    limit: "job:only#1",
    key: "acme",
    held: 1,
    bound: 1,
    line: { isExact: false },
  });
  if (!("line" in reason)) throw new Error("unreachable");
  expect(reason.line.position).toBeGreaterThan(Number(row?.["queued"]));
  expect(reason.line.position).toBeLessThanOrEqual(reason.line.length);
  expect(reason.line.length).toBeLessThanOrEqual(59);
});

test("a run tells why each of its tasks that is not over is not running", async () => {
  const steps = [
    { name: "done" },
    { name: "busy" },
    { name: "full", limits: [{ concurrency: 1 }] },
    { name: "after", parents: ["busy", "full"] },
  ];
  await world.register({ name: "job", steps });
  const actions = ["job:done", "job:busy", "job:full"];
  const worker = await world.connectWorker({ actions, slots: 9 });
  const [first = ""] = await world.startRuns("job", [1]);
  await worker.receiveTasks(3);
  const [second = ""] = await world.startRuns("job", [2]);
  worker.complete(await worker.receiveTask({ run: second, step: "done" }));
  await worker.receive("recorded");

  const whyAll = async (run: string): Promise<Why[]> =>
    expectAnswer(await ask(world, "GET", `/runs/${run}/why`), 200, z.array(whySchema));
  expect(await whyAll(second)).toMatchObject([
    { step: "busy", state: "running", reason: { kind: "running" } },
    { step: "full", state: "queued", reason: { kind: "concurrency", holders: [{ run: first }] } },
    { step: "after", state: "waiting", reason: { kind: "parents", parents: ["busy", "full"] } },
  ]);
  await world.call("POST", `/runs/${second}/cancel`);
  expect(await whyAll(second)).toEqual([]);
});

test("a task that failed, or was cancelled with what it needed, says so", async () => {
  const steps = [{ name: "a" }, { name: "b", parents: ["a"] }];
  await world.register({ name: "job", steps });
  const worker = await world.connectWorker({ actions: ["job:a"] });
  const { id } = await world.startRun({ workflow: "job" });
  worker.fail(await worker.receiveTask(), "no");
  await worker.receive("recorded");
  expect(await whyOf(id, 0)).toMatchObject({ reason: { kind: "finished", state: "failed" } });
  expect(await whyOf(id, 1)).toMatchObject({ reason: { kind: "finished", state: "cancelled" } });
});

test("a run's id is not a task's", async () => {
  await registerWith();
  const { id } = await world.startRun({ workflow: "job" });
  const asked = await ask(world, "GET", `/tasks/${id}/why`);
  await expectProblem(asked, "invalid_request", /is not a task's id/);
});
