/** Steps that wait: what ends the wait, what the handler is told, and that waiting holds nothing. */
import { expect, test } from "vitest";
import { LOOK_PAGE, MATCH_PAGE } from "../../durable-objects/dispatcher/limits.ts";
import type { Why } from "../../protocol/limit-bodies.ts";
import { traffic } from "../support/traffic.ts";
import { useVirtualTime } from "../support/world.ts";
import {
  ACTIONS,
  begin,
  BY_ID,
  expectNothingOpen,
  MINUTE,
  pay,
  ship,
  start,
} from "./step-waits.ts";

useVirtualTime();

test("the event that it waits for gives the task to a worker, with the event", async () => {
  const world = await begin(BY_ID);
  const worker = await world.connectWorker({ actions: ACTIONS });
  const [run, other] = [await start(world, 7), await start(world, 8)];
  expect(await ship(world, run)).toMatchObject({
    state: "waiting",
    queuedAt: null,
    waited: { since: expect.any(String), timesOutAt: null, endedAt: null, isMet: null, met: [] },
  });
  const id = await pay(world);
  const event = { id, key: "order:paid", payload: { id: 7 }, metadata: { by: "card" } };
  const waited = { isMet: true, met: [{ condition: 0, at: Date.now(), event }] };
  const task = await worker.receiveTask({ run, step: "ship", attempt: 1 });
  expect(task.waited).toEqual(waited);
  worker.complete(task);
  expect((await worker.receiveTask({ run, step: "tell" })).waited).toBeUndefined();
  expect((await ship(world, run)).waited).toMatchObject({
    endedAt: expect.any(String),
    ...waited,
  });
  expect((await ship(world, other)).state).toBe("waiting");
});

test("a retry is told the same, and waits for nothing again", async () => {
  const world = await begin(BY_ID, { retries: 1, backoff: { initialMs: 1, jitter: 0 } });
  const worker = await world.connectWorker({ actions: ACTIONS });
  await start(world);
  await pay(world);
  const first = await worker.receiveTask();
  worker.fail(first, "not now");
  await world.settled();
  await world.advance(1);
  const second = await worker.receiveTask({ attempt: 2 });
  expect(second.waited).toEqual(first.waited);
});

test("tasks that wait hold nothing: no slot, no alarm, no memory; and why says what for", async () => {
  const world = await begin(BY_ID);
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 1 });
  const runs = await world.startRuns(
    "order",
    Array.from({ length: 200 }, (_, id) => ({ id })),
  );
  await world.settled();
  worker.vanish();
  await world.advance(30_000);
  traffic.forget();
  await world.advance(10 * MINUTE);
  expect([await world.alarmAt(), traffic.statements]).toEqual([null, []]);
  expect(await world.sql("select from v1.handout where tenant_id = $1", [world.tenant])).toEqual(
    [],
  );
  const { body } = await world.call<Why[]>("GET", `/runs/${runs[5]}/why`);
  expect(body[0]).toMatchObject({
    state: "waiting",
    reason: {
      kind: "wait",
      until: null,
      anyOf: [[{ event: "order:paid", if: "event.payload.id == input.id" }]],
    },
    sentence: expect.stringMatching(
      /^It has waited since .* for an event "order:paid" with event.payload.id == input.id\.$/,
    ),
  });
  await pay(world, 5);
  expect((await ship(world, runs[5] ?? "")).state).toBe("queued");
  expect((await ship(world, runs[6] ?? "")).state).toBe("waiting");
});

test("an event that many wait for readies them all, page by page", async () => {
  const world = await begin({ event: "shop:open" });
  const count = 2 * MATCH_PAGE + 3;
  await world.startRuns(
    "order",
    Array.from({ length: count }, (_, id) => ({ id })),
  );
  await world.settled();
  await pay(world, 0, "shop:open");
  const states = await world.sql(
    "select state, count(*)::integer from v1.task where v1.run_id(id) in (select id from v1.workflow_run where tenant_id = $1) group by 1 order by 1",
    [world.tenant],
  );
  expect(states).toEqual([
    { state: "waiting", count },
    { state: "queued", count },
  ]);
  await expectNothingOpen(world);
});

test("a sleep is over at its moment, in whatever life of the shard", async () => {
  const world = await begin({ sleepMs: 10 * MINUTE });
  const run = await start(world);
  await world.advance(5 * MINUTE);
  await world.evictShard();
  await world.advance(5 * MINUTE - 1);
  expect((await ship(world, run)).state).toBe("waiting");
  await world.advance(1);
  expect(await ship(world, run)).toMatchObject({ state: "queued", waited: { isMet: true } });
  await expectNothingOpen(world);
});

test.each([
  ["fail", undefined, "failed", "failed", { code: "wait_timeout", name: "WaitTimeout" }],
  ["skip", "skip", "skipped", "running", { code: "skipped" }],
  ["continue", "continue", "queued", "running", null],
] as const)("when its time is over it is to %s", async (_what, onTimeout, state, ofRun, error) => {
  const world = await begin({ ...BY_ID, timeoutMs: MINUTE, ...(onTimeout && { onTimeout }) });
  const run = await start(world);
  await world.advance(MINUTE - 1);
  expect((await ship(world, run)).state).toBe("waiting");
  await world.advance(1);
  const task = await ship(world, run);
  expect(task).toMatchObject({ state, waited: { isMet: false, met: [] } });
  expect(task.error).toEqual(error && expect.objectContaining(error));
  expect(task.attempts).toEqual([]);
  if (state === "queued") {
    const worker = await world.connectWorker({ actions: ACTIONS });
    const given = await worker.receiveTask({ run, step: "ship" });
    expect(given.waited).toEqual({ isMet: false, met: [] });
    worker.complete(given);
    await worker.receiveTask({ step: "tell" });
  }
  await world.settled();
  expect((await world.readRun(run)).state).toBe(ofRun);
  await pay(world); // too late
  await expectNothingOpen(world);
});

test("groups: all that it takes, in any order, and what has come so far is seen", async () => {
  const world = await begin({
    any: [
      { all: [BY_ID, { event: "order:packed" }, { sleepMs: MINUTE }] },
      { event: "order:forced" },
    ],
  });
  const [run, forced] = [await start(world, 7), await start(world, 8)];
  await pay(world, 0, "order:packed");
  await world.advance(MINUTE);
  expect(await ship(world, run)).toMatchObject({ state: "waiting", waited: { isMet: null } });
  const { body } = await world.call<Why[]>("GET", `/runs/${run}/why`);
  expect(body[0]?.reason).toMatchObject({
    kind: "wait",
    anyOf: [[{ event: "order:paid" }], [{ event: "order:forced", if: "true" }]],
  });
  await pay(world);
  const { waited, state } = await ship(world, run);
  expect(state).toBe("queued");
  expect(waited?.met.map(({ condition, event }) => [condition, event?.key])).toEqual([
    [1, "order:packed"],
    [2, undefined],
    [0, "order:paid"],
  ]);
  await pay(world, 8, "order:forced");
  expect((await ship(world, forced)).waited?.met.at(-1)).toMatchObject({ condition: 3 });
});

test("what its parents have given is part of the condition; conditions come first", async () => {
  const world = await begin(BY_ID);
  await world.register({
    name: "order",
    steps: [
      { name: "pay" },
      {
        name: "ship",
        parents: ["pay"],
        runIf: "parents.pay.id != ''",
        waitFor: { event: "order:paid", if: "event.payload.id == parents.pay.id" },
      },
    ],
  });
  const worker = await world.connectWorker({ actions: ["order:pay", ...ACTIONS] });
  const [run, skipped] = [await start(world), await start(world)];
  for (const id of ["charge-1", ""]) worker.complete(await worker.receiveTask(), { id });
  await world.settled();
  const states = async (of: string) => (await world.readRun(of)).tasks.map(({ state }) => state);
  expect(await states(skipped)).toEqual(["completed", "skipped"]);
  expect(await states(run)).toEqual(["completed", "waiting"]);
  await pay(world, "charge-1");
  expect((await worker.receiveTask({ step: "ship" })).parents).toEqual({ pay: { id: "charge-1" } });
});

test("a condition that can't be evaluated is not met", async () => {
  const world = await begin({ event: "order:paid", if: "event.payload.none == input.id" });
  const loose = await begin({ event: "order:paid", if: "int(event.payload.id) > 3" });
  const [run, other] = [await start(world), await start(loose)];
  await pay(world);
  await pay(loose, "no number");
  expect((await ship(world, run)).state).toBe("waiting");
  expect((await ship(loose, other)).state).toBe("waiting");
  await pay(loose, "4");
  expect((await ship(loose, other)).state).toBe("queued");
});

test("an event from before is found if the wait looks back so far, the latest that is meant", async () => {
  const world = await begin({ ...BY_ID, withinMs: 10 * MINUTE });
  await world.advance(600 * MINUTE); // ids never go back, whatever the tests before have made of the time
  await pay(world, 7);
  await world.advance(9 * MINUTE);
  const [meant] = [await pay(world, 7), await pay(world, 8)];
  await world.advance(MINUTE);
  const run = await start(world, 7);
  const { state, waited } = await ship(world, run);
  expect([state, waited?.met]).toMatchObject(["queued", [{ event: { id: meant } }]]);
  await world.advance(10 * MINUTE);
  const late = await start(world, 7);
  expect((await ship(world, late)).state).toBe("waiting");
  await pay(world, 7);
  expect((await ship(world, late)).state).toBe("queued");
  await expectNothingOpen(world);
});

test("without a look back an event from before counts for nothing", async () => {
  const world = await begin(BY_ID);
  await pay(world);
  const run = await start(world);
  expect((await ship(world, run)).state).toBe("waiting");
});

test("a look back goes through page after page", async () => {
  const world = await begin({ event: "order:paid", if: "event.payload.id == 0", withinMs: MINUTE });
  const events = Array.from({ length: 2 * LOOK_PAGE + 1 }, (_, id) => ({
    key: "order:paid",
    payload: { id },
  }));
  await world.call("POST", "/events/bulk", { events });
  await world.settled();
  traffic.forget();
  const run = await start(world);
  expect((await ship(world, run)).state).toBe("queued");
  expect(traffic.commitsOf(world.tenant).flatMap(({ looks = [] }) => looks)).toHaveLength(3);
});

test("a run that is cancelled waits no more, also by the very event that its task waits for", async () => {
  const world = await begin({ event: "order:paid", timeoutMs: 5 * MINUTE });
  await world.register({
    name: "order",
    cancelOn: [{ event: "order:paid", if: "event.payload.id == input.id" }],
    steps: [{ name: "ship", waitFor: { event: "order:paid", timeoutMs: 5 * MINUTE } }],
  });
  const [one, two, three] = [await start(world, 1), await start(world, 2), await start(world, 3)];
  await world.call("POST", `/runs/${one}/cancel`);
  await pay(world, 2);
  const states = [];
  for (const run of [one, two, three]) states.push((await ship(world, run)).state);
  expect(states).toEqual(["cancelled", "cancelled", "queued"]);
  expect((await ship(world, one)).waited).toMatchObject({ isMet: null });
  await world.call("POST", `/runs/${three}/cancel`);
  await expectNothingOpen(world);
});
