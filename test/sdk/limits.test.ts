/** Limits, labels and priorities as they are written, and what handlers say of the limits they met. */
import { expect, test } from "vitest";
import { MAX_LIMIT_USES, MAX_RATE_PAUSE_MS, MAX_RATE_UNITS } from "../../protocol/limits.ts";
import {
  DefinitionError,
  type Duration,
  type LimitOptions,
  RateLimitedError,
  TaskAbortedError,
  workflow,
} from "../../sdk/index.ts";
import { refusal, registered, run } from "./registering.ts";
import { task } from "./fake-shard.ts";
import { createWorld, signalOf } from "./world.ts";

const A_MINUTE = { units: 1, per: "1m" };

test("limits of a step are registered in milliseconds", () => {
  const limits: LimitOptions[] = [
    { key: "input.customer", concurrency: 5, strategy: "cancel-newest", fallbackKey: "none" },
    { rate: { units: 20, per: "1s" }, units: "input.size" },
    { limit: "tokens", units: 7, weight: 2 },
  ];
  expect(registered({ limits })).toEqual({
    name: "charge",
    limits: [
      { key: "input.customer", concurrency: 5, strategy: "cancel-newest", fallbackKey: "none" },
      { rate: [{ units: 20, perMs: 1_000 }], units: "input.size" },
      { limit: "tokens", units: 7, weight: 2 },
    ],
  });
});

test("a workflow's limits, priority and stickiness are registered", () => {
  const order = workflow({
    name: "order",
    limits: [{ concurrency: 1 }],
    priority: 3,
    sticky: "soft",
  });
  order.step("charge", { run, slots: 2, labels: { gpu: "yes", memory: { value: 8 } } });
  expect(order.definition()).toEqual({
    name: "order",
    limits: [{ concurrency: 1 }],
    priority: 3,
    sticky: "soft",
    steps: [
      {
        name: "charge",
        slots: 2,
        labels: { gpu: { value: "yes", isRequired: true }, memory: { value: 8 } },
      },
    ],
  });
});

test.each<[string, object, RegExp]>([
  ["no bound and no key", {}, /bounds nothing/],
  ["two bounds", { concurrency: 1, limit: "a" }, /several bounds/],
  ["a concurrency of 0", { concurrency: 0 }, /whole number from 1/],
  ["half a permit", { concurrency: 1.5 }, /whole number from 1/],
  ["a rate of nothing", { rate: { units: 0, per: "1s" } }, /more than 0/],
  ["a rate without windows", { rate: [] }, /from 1 to 4/],
  ["two windows of one length", { rate: [A_MINUTE, A_MINUTE] }, /two windows of 60000 ms/],
  ["units of a concurrency", { concurrency: 1, units: 2 }, /give it a rate/],
  ["units of a key alone", { key: "input.a", units: 2 }, /give it a rate/],
  ["a strategy of a rate", { rate: A_MINUTE, strategy: "queue" }, /only a concurrency has/],
  ["a strategy of a key alone", { key: "input.a", strategy: "queue" }, /only a concurrency has/],
  ["a fallback of no key", { concurrency: 1, fallbackKey: "a" }, /fallbackKey and no key/],
  ["an empty fallback", { limit: "a", fallbackKey: "" }, /1 to 200 characters/],
  ["a weight below 0", { key: "input.a", weight: -1 }, /at least 0.001/],
  ["a weight next to nothing", { key: "input.a", weight: 0.0001 }, /at least 0.001/],
  ["a weight beyond all", { key: "input.a", weight: 1_001 }, /at most 1000/],
  ["an empty key", { key: " ", concurrency: 1 }, /is not CEL/],
])("%s is refused where it is written", (_what, limit, message) => {
  expect(refusal({ limits: [limit] })).toMatch(message);
});

test("too many limits, slots and priorities that are none are refused", () => {
  const many = Array.from({ length: MAX_LIMIT_USES + 1 }, () => ({ concurrency: 1 }));
  expect(refusal({ limits: many })).toMatch(/at most 5/);
  expect(refusal({ slots: 0 })).toMatch(/whole number/);
  expect(() => workflow({ name: "order", priority: 4 })).toThrow(DefinitionError);
});

const LIMITED = { limits: [{ limit: "tokens", key: "", units: 100 }] };

test("a handler settles what it has used, once, of a limit that it is under", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task(LIMITED));
  const { ctx, finish } = await calls.next("a call");
  expect(() => ctx.settle("requests", 1)).toThrow(/there is "tokens"/);
  for (const used of [-1, Number.NaN, MAX_RATE_UNITS + 1]) {
    expect(() => ctx.settle("tokens", used)).toThrow(/give a number from 0 to/);
  }
  ctx.settle("tokens", 42);
  expect(await session.next("settle")).toEqual({
    type: "settle",
    task: "task-1",
    attempt: 1,
    limit: "tokens",
    used: 42,
  });
  expect(() => ctx.settle("tokens", 42)).toThrow(/twice/);
  expect(() => ctx.settle("tokens", 42)).toThrow(DefinitionError);
  finish();
  await session.next("completed");
});

test("a step under no rate limit has none to settle, and is told so", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const { ctx } = await calls.next("a call");
  expect(() => ctx.settle("tokens", 1)).toThrow(/there is none/);
  expect(() => ctx.rateLimited("tokens", { retryAfter: "1s" })).toThrow(/there is none/);
});

test("what was used while there was no connection is said on the next, before the result", async () => {
  const { connect, calls, shard } = await createWorld();
  const { session } = await connect();
  session.send(task(LIMITED));
  const { ctx, finish } = await calls.next("a call");
  session.vanish();
  const back = await shard.session();
  ctx.settle("tokens", 42); // Between hello and welcome nothing can be said.
  finish("done");
  await Promise.resolve();
  back.welcome();
  await back.next("completed");
  const frames = back.messages.flatMap((message) => message.frames.map(({ type }) => type));
  expect(frames.filter((type) => type === "settle" || type === "completed")).toEqual([
    "settle",
    "completed",
  ]);
});

test("an attempt that is over settles nothing", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task(LIMITED));
  const { ctx } = await calls.next("a call");
  session.send({ type: "cancel", task: "task-1", attempt: 1, reason: "cancelled" });
  await signalOf(ctx.signal);
  expect(() => ctx.settle("tokens", 1)).toThrow(TaskAbortedError);
  await session.settled();
  expect(session.count("settle")).toBe(0);
});

/** What a call that never returns has thrown. */
function thrownBy(call: () => never): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

test("a handler that meets a rate limit gives its task back, and says so until it is heard", async () => {
  const { connect, calls, shard } = await createWorld();
  const { session, worker: made } = await connect();
  session.send(task(LIMITED));
  const { ctx, fail } = await calls.next("a call");
  const error = thrownBy(() => ctx.rateLimited("tokens", { retryAfter: "20s" }));
  expect(error).toBeInstanceOf(RateLimitedError);
  fail(error);
  const said = await session.next("rate_limited");
  expect(said).toMatchObject({ limit: "tokens", retryAfterMs: 20_000, shard: 0 });
  session.vanish();
  const second = (await shard.session()).welcome();
  expect(await second.hello).toMatchObject({ running: [{ task: "task-1", attempt: 1 }] });
  expect(await second.next("rate_limited")).toEqual(said);
  second.send({ type: "recorded", task: "task-1", attempt: 1 });
  await second.settled();
  second.vanish();
  const third = (await shard.session()).welcome();
  expect(await third.hello).toMatchObject({ running: [] });
  await third.settled();
  expect(third.count("rate_limited")).toBe(0);
  await made.stop();
});

test("a time that a provider gives is held to what there may be, and without a name means all", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  const given: [retryAfter: Duration, heldMs: number][] = [
    [-5, 0],
    [1.2, 2],
    ["2d", MAX_RATE_PAUSE_MS],
    [Number.POSITIVE_INFINITY, MAX_RATE_PAUSE_MS],
  ];
  for (const [index, [retryAfter, heldMs]] of given.entries()) {
    session.send(task({ ...LIMITED, task: `task-${index}` }));
    const { ctx, fail } = await calls.next("a call");
    fail(thrownBy(() => ctx.rateLimited({ retryAfter })));
    const said = await session.next("rate_limited");
    expect(said.retryAfterMs).toBe(heldMs);
    expect(said).not.toHaveProperty("limit");
  }
});

test("a time that can't be read fails the attempt for good", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task(LIMITED));
  const { ctx, fail } = await calls.next("a call");
  fail(thrownBy(() => ctx.rateLimited("tokens", { retryAfter: Number("soon") })));
  const { error } = await session.next("failed");
  expect(error).toMatchObject({ name: "DefinitionError", isRetryable: false });
  expect(error.message).toContain('The retryAfter of step "charge" is "NaN"');
});

test("a task of several slots waits until it has them all", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect({ slots: 2 });
  const id = (n: number) => `00000000-0000-7000-8000-00000000000${n}`;
  session.send(task({ task: id(1) }), task({ task: id(2), slots: 2 }), task({ task: id(3) }));
  const first = await calls.next("a call");
  await session.settled();
  expect(calls.size).toBe(0);
  first.finish();
  const second = await calls.next("a call");
  expect(second.ctx.taskId).toBe(id(2));
  await session.settled();
  expect(calls.size).toBe(0);
  second.finish();
  expect((await calls.next("a call")).ctx.taskId).toBe(id(3));
});

test("a task that takes more slots than there are begins alone", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect({ slots: 2 });
  session.send(task({ slots: 5 }), task({ task: "task-2" }));
  const first = await calls.next("a call");
  await session.settled();
  expect(calls.size).toBe(0);
  first.finish();
  expect((await calls.next("a call")).ctx.taskId).toBe("task-2");
});
