/** Runs that begin later than they are started: their shard's alarm has them begin, whatever dies meanwhile. */
import { beforeEach, describe, expect, test } from "vitest";
import { MAX_DELAY_MS } from "../../protocol/limits.ts";
import type { Why } from "../../protocol/limit-bodies.ts";
import { ask, expectNoTrace, expectProblem } from "../api/answers.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const MINUTE = 60_000;
const ACTIONS = ["simple:only"];
const iso = (ms: number): string => new Date(ms).toISOString();

let world: World;
beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "simple", timeoutMs: MINUTE, steps: [{ name: "only" }] });
});

describe("a run that is delayed", () => {
  test.each(["delayMs", "startAt"] as const)("by %s begins then", async (how) => {
    const startsAt = Date.now() + 5 * MINUTE;
    const delay = how === "delayMs" ? { delayMs: 5 * MINUTE } : { startAt: iso(startsAt) };
    const { id } = await world.startRun({ workflow: "simple", input: 1, ...delay });
    expect(await world.readRun(id)).toMatchObject({ state: "queued", startsAt: iso(startsAt) });
    expect(await world.alarmAt()).toBeLessThanOrEqual(startsAt);
    await world.advance(5 * MINUTE - 1);
    const worker = await world.connectWorker({ actions: ACTIONS });
    expect(await worker.unreadWhenQuiet()).toEqual([]);
    await world.advance(1);
    worker.complete(await worker.receiveTask({ input: 1, run: id }));
    await worker.receive("recorded");
    expect(await world.readRun(id)).toMatchObject({ state: "completed", startsAt: iso(startsAt) });
  });

  test("says why it does not run", async () => {
    const { id } = await world.startRun({ workflow: "simple", delayMs: 5 * MINUTE });
    const { body } = await world.call<Why[]>("GET", `/runs/${id}/why`);
    const until = iso(Date.now() + 5 * MINUTE);
    expect(body).toMatchObject([
      { reason: { kind: "delayed", until }, sentence: expect.stringContaining(until) },
    ]);
  });

  test("is found in Postgres by a shard that has lost its memory", async () => {
    const { id } = await world.startRun({ workflow: "simple", delayMs: 5 * MINUTE });
    await world.forgetShard();
    const worker = await world.connectWorker({ actions: ACTIONS });
    expect(await worker.unreadWhenQuiet()).toEqual([]);
    expect(await world.alarmAt()).not.toBeNull();
    worker.vanish();
    await world.advance(5 * MINUTE);
    await (await world.connectWorker({ actions: ACTIONS })).receiveTask({ run: id });
  });

  test("has its timeout from then on", async () => {
    const { id } = await world.startRun({ workflow: "simple", delayMs: 5 * MINUTE });
    await world.advance(6 * MINUTE - 1);
    expect(await world.readRun(id)).toMatchObject({ state: "queued" });
    await world.advance(1);
    expect(await world.readRun(id)).toMatchObject({
      state: "failed",
      error: { code: "run_timeout" },
    });
  });

  test("can be cancelled before, and never begins", async () => {
    const worker = await world.connectWorker({ actions: ACTIONS });
    const { id } = await world.startRun({ workflow: "simple", delayMs: 1_000 });
    await world.call("POST", `/runs/${id}/cancel`, {});
    await world.advance(2_000);
    expect(await worker.unreadWhenQuiet()).toEqual([]);
    expect(await world.readRun(id)).toMatchObject({ state: "cancelled" });
  });

  test("whose workflow is paused by then begins when that is resumed", async () => {
    const { id } = await world.startRun({ workflow: "simple", delayMs: 5 * MINUTE });
    await world.call("PUT", "/workflows/simple/pause", { mode: "hold" });
    await world.advance(10 * MINUTE);
    const { body } = await world.call<Why[]>("GET", `/runs/${id}/why`);
    expect(body).toMatchObject([{ reason: { kind: "paused" } }]);
    const worker = await world.connectWorker({ actions: ACTIONS });
    expect(await worker.unreadWhenQuiet()).toEqual([]);
    await world.call("DELETE", "/workflows/simple/pause");
    await worker.receiveTask({ run: id });
  });

  test("is one run for its idempotency key", async () => {
    const start = { workflow: "simple", delayMs: MINUTE, idempotencyKey: "one" };
    const { id } = await world.startRun(start);
    expect(await world.startRun(start)).toEqual({ id, created: false });
  });

  test("stands beside others in one call, each with a delay of its own", async () => {
    const runs = [{}, { delayMs: MINUTE }, { delayMs: 0 }, { startAt: "2020-01-01T00:00:00Z" }];
    const { body } = await world.call<{ runs: { id: string }[] }>("POST", "/runs/bulk", {
      runs: runs.map((delay) => ({ workflow: "simple", ...delay })),
    });
    const found = await Promise.all(body.runs.map(({ id }) => world.readRun(id)));
    const delayed = iso(Date.now() + MINUTE);
    expect(found.map(({ startsAt }) => startsAt)).toEqual([null, delayed, null, null]);
    const worker = await world.connectWorker({ actions: ACTIONS, slots: 10 });
    for (const _ of [1, 2, 3]) await worker.receiveTask();
    expect(await worker.unreadWhenQuiet()).toEqual([]);
  });
});

test.each([
  [{ delayMs: MAX_DELAY_MS + 1 }, "delayMs", /more than 30 days ahead: make it a schedule/],
  [{ startAt: "2100-01-01T00:00:00Z" }, "startAt", /more than 30 days ahead: make it a schedule/],
  [{ delayMs: 1, startAt: "2100-01-01T00:00:00Z" }, "startAt", /together with delayMs/],
  [{ delayMs: -1 }, "delayMs", /./],
  [{ startAt: "tomorrow" }, "startAt", /ISO 8601/],
])("a delay of %j is refused", async (delay, path, message) => {
  await expectNoTrace(world, async () => {
    const start = { workflow: "simple", ...delay };
    const asked = await ask<{ errors: unknown[] }>(world, "POST", "/runs", start);
    await expectProblem(asked, "invalid_request", message);
    expect(asked.body.errors).toMatchObject([{ path }]);
    const many = await ask(world, "POST", "/runs/bulk", { runs: [start] });
    await expectProblem(many, "invalid_request", RegExp(`runs\\[0\\]\\.${path}`));
  });
});

describe("a child that is delayed", () => {
  const child = { key: "one", workflow: "simple", input: null, metadata: {} };

  test("begins then, by its shard's clock", async () => {
    await world.register({ name: "parent", steps: [{ name: "spawn", timeoutMs: 3_600_000 }] });
    const worker = await world.connectWorker({ actions: ["parent:spawn", ...ACTIONS], slots: 2 });
    await world.startRun({ workflow: "parent" });
    const { task, attempt } = await worker.receiveTask();
    worker.say({ type: "spawn", task, attempt, children: [{ ...child, delayMs: 10_000 }] });
    const { run = "" } = await worker.receive("spawned", { key: "one" });
    expect(await worker.unreadWhenQuiet()).toEqual([]);
    expect(await world.readRun(run)).toMatchObject({ startsAt: iso(Date.now() + 10_000) });
    await world.advance(10_000);
    await worker.receiveTask({ run });
  });

  test("for too long is refused alone", async () => {
    await world.register({ name: "parent", steps: [{ name: "spawn" }] });
    const worker = await world.connectWorker({ actions: ["parent:spawn"], slots: 2 });
    await world.startRun({ workflow: "parent" });
    const { task, attempt } = await worker.receiveTask();
    const startAt = Date.now() + MAX_DELAY_MS + 1;
    const children = [
      { ...child, startAt },
      { ...child, key: "two", startAt: 1 },
    ];
    worker.say({ type: "spawn", task, attempt, children });
    await worker.receive("spawned", { key: "one", refusal: { code: "invalid_request" } });
    const { run } = await worker.receive("spawned", { key: "two" });
    expect(run).toBeDefined();
  });
});
