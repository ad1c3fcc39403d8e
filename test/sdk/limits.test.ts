/** Limits, labels and priorities as they are written, and what handlers say of the limits they met. */
import { expect, test } from "vitest";
import { MAX_LIMIT_USES } from "../../protocol/limits.ts";
import { DefinitionError, type LimitOptions, RateLimitedError, workflow } from "../../sdk/index.ts";
import { task } from "./fake-shard.ts";
import { createWorld } from "./world.ts";

const run = (): number => 1;

function registered(options: object): unknown {
  const order = workflow({ name: "order" });
  order.step("charge", { run, ...options });
  return order.definition().steps[0];
}

function refusal(options: object): string {
  try {
    registered(options);
  } catch (error) {
    expect(error).toBeInstanceOf(DefinitionError);
    return String(error);
  }
  throw new Error("It was not refused");
}

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
  ["units of a concurrency", { concurrency: 1, units: 2 }, /give it a rate/],
  ["a strategy of a rate", { rate: { units: 1, per: 1 }, strategy: "queue" }, /never has one/],
  ["a weight below 0", { key: "input.a", weight: -1 }, /more than 0/],
  ["an empty key", { key: " ", concurrency: 1 }, /is not CEL/],
])("%s is refused where it is written", (_what, limit, message) => {
  expect(refusal({ limits: [limit] })).toMatch(message);
});

test("too many limits, priorities and labels that are none are refused", () => {
  const many = Array.from({ length: MAX_LIMIT_USES + 1 }, () => ({ concurrency: 1 }));
  expect(refusal({ limits: many })).toMatch(/at most 5/);
  expect(refusal({ slots: 0 })).toMatch(/whole number/);
  expect(() => workflow({ name: "order", priority: 4 })).toThrow(DefinitionError);
});

test("a handler settles what it has used, once, of a limit that it is under", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task({ limits: [{ limit: "tokens", key: "", units: 100 }] }));
  const { ctx, finish } = await calls.next("a call");
  expect(() => ctx.settle("requests", 1)).toThrow(/there is "tokens"/);
  expect(() => ctx.settle("tokens", -1)).toThrow(DefinitionError);
  ctx.settle("tokens", 42);
  expect(await session.next("settle")).toMatchObject({ limit: "tokens", used: 42 });
  expect(() => ctx.settle("tokens", 42)).toThrow(/twice/);
  finish();
  await session.next("completed");
});

test("a handler that meets a rate limit gives its task back, and says so until it is heard", async () => {
  const { connect, calls, shard } = await createWorld();
  const { session } = await connect();
  session.send(task({ limits: [{ limit: "tokens", key: "", units: 100 }] }));
  const { ctx, fail } = await calls.next("a call");
  try {
    ctx.rateLimited("tokens", { retryAfter: "20s" });
  } catch (error) {
    expect(error).toBeInstanceOf(RateLimitedError);
    fail(error);
  }
  const said = await session.next("rate_limited");
  expect(said).toMatchObject({ limit: "tokens", retryAfterMs: 20_000 });
  session.vanish();
  const back = (await shard.session()).welcome();
  expect(await back.next("rate_limited")).toEqual(said);
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
  second.finish();
  expect((await calls.next("a call")).ctx.taskId).toBe(id(3));
});

test("a worker says its labels", async () => {
  const { connect } = await createWorld();
  const { session } = await connect({ labels: { gpu: "yes", memory: 16 } });
  expect(await session.hello).toMatchObject({ labels: { gpu: "yes", memory: 16 } });
});
