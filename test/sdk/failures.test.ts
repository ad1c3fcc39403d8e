/** What failing handlers tell the shard, and what sees to their runs: compensations, onFailure. */
import { expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import type { TaskError } from "../../protocol/errors.ts";
import { MAX_BACKOFF_MS, MAX_PAYLOAD_BYTES } from "../../protocol/limits.ts";
import {
  DefinitionError,
  NonRetryableError,
  RetryAfterError,
  type StepFailure,
  workflow,
} from "../../sdk/index.ts";
import { task } from "./fake-shard.ts";
import { createWorld, type World } from "./world.ts";

/** The error of a task whose handler threw this. */
async function errorOf(thrown: unknown): Promise<TaskError> {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  (await calls.next("a call")).fail(thrown);
  return (await session.next("failed")).error;
}

test("a NonRetryableError says that no retry will help", async () => {
  const cause = new Error("below");
  const thrown = new NonRetryableError("The card was reported stolen", { cause });
  expect(thrown.cause).toBe(cause);
  expect(await errorOf(thrown)).toMatchObject({
    code: "handler_error",
    name: "NonRetryableError",
    message: "The card was reported stolen",
    isRetryable: false,
  });
});

test.each([
  ["a duration", "30s" as const, 30_000],
  ["milliseconds", 250, 250],
  ["nothing", 0, 0],
  ["more than a day", "3d" as const, MAX_BACKOFF_MS],
])("a RetryAfterError asks for %s", async (_what, retryAfter, retryAfterMs) => {
  const error = await errorOf(new RetryAfterError("Asked too often", { retryAfter }));
  expect(error).toMatchObject({ name: "RetryAfterError", retryAfterMs });
  expect(error).not.toHaveProperty("isRetryable");
});

test("a RetryAfterError asks for a moment, counted from when it was made", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_000_000 });
  onTestFinished(() => void vi.useRealTimers());
  const later = new RetryAfterError("Later", { retryAfter: new Date(1_042_000) });
  const past = new RetryAfterError("Later", { retryAfter: new Date(0) });
  expect(await errorOf(later)).toMatchObject({ retryAfterMs: 42_000 });
  expect(await errorOf(past)).toMatchObject({ retryAfterMs: 0 });
});

test("a RetryAfterError that can't be read leaves the wait to the backoff", async () => {
  const never = new RetryAfterError("Later", { retryAfter: new Date("tomorrow") });
  expect(await errorOf(never)).not.toHaveProperty("retryAfterMs");
  const odd = new RetryAfterError("Later", { retryAfter: "soon" as never });
  expect(await errorOf(odd)).not.toHaveProperty("retryAfterMs");
});

test("any error says what it wants by the same two properties, and only by these values", async () => {
  const own = Object.assign(new TypeError("no"), { isRetryable: false, retryAfterMs: 5 });
  expect(await errorOf(own)).toMatchObject({ name: "TypeError", isRetryable: false });
  const object = { message: "no", isRetryable: false };
  expect(await errorOf(object)).toMatchObject({ isRetryable: false });
  const others = Object.assign(new Error("no"), { isRetryable: true, retryAfterMs: "5" });
  const error = await errorOf(others);
  expect(error).not.toHaveProperty("isRetryable");
  expect(error).not.toHaveProperty("retryAfterMs");
});

test("what would come again is not retried: a refused input, a bad definition, a bad output", async () => {
  expect(await errorOf(new DefinitionError("two keys"))).toMatchObject({ isRetryable: false });
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task({ task: "input", input: { id: 5 } }));
  expect((await session.next("failed")).error).toMatchObject({
    name: "InvalidInputError",
    isRetryable: false,
  });
  session.send(task({ task: "large" }), task({ task: "odd" }));
  (await calls.next("a call")).finish("x".repeat(MAX_PAYLOAD_BYTES));
  (await calls.next("a call")).finish({ n: 1n });
  expect((await session.next("failed")).error).toMatchObject({
    code: "payload_too_large",
    isRetryable: false,
  });
  expect((await session.next("failed")).error).toMatchObject({
    code: "invalid_output",
    isRetryable: false,
  });
});

interface Seen {
  input: unknown;
  parents: unknown;
  output?: unknown;
  step: string;
  failures?: readonly StepFailure[];
}

/** A worker whose compensation and onFailure tell what they are given. */
async function connectUndoing(): Promise<{ seen: Seen[] } & Awaited<ReturnType<World["connect"]>>> {
  const seen: Seen[] = [];
  const order = workflow({
    name: "order",
    input: z.object({ count: z.string().transform(Number) }),
  });
  const reserve = order.step("reserve", { run: () => ({ seat: 4 }) });
  order.step("charge", {
    parents: [reserve],
    run: () => ({ receipt: "r" }),
    compensate: ({ input, parents, step }, output) => {
      seen.push({ input, parents, step, output });
      return "refunded";
    },
  });
  order.onFailure({
    run: ({ input, parents, step, failures }) => {
      seen.push({ input, parents, step, failures });
    },
  });
  const { connect } = await createWorld();
  return { seen, ...(await connect({ workflows: [order] })) };
}

test("a worker offers what undoes its steps and what sees to a failed run", async () => {
  const { session } = await connectUndoing();
  expect((await session.hello).actions).toEqual([
    "order:reserve",
    "order:charge",
    "order:charge:compensate",
    "order:on-failure",
  ]);
});

test("a compensation is given its step's output, and its step's parents as parents", async () => {
  const { seen, session } = await connectUndoing();
  session.send(
    task({
      step: "charge:compensate",
      action: "order:charge:compensate",
      input: { count: "3" },
      parents: { charge: { receipt: "r" }, reserve: { seat: 4 } },
    }),
  );
  expect(await session.next("completed")).toMatchObject({ output: "refunded" });
  expect(seen).toEqual([
    {
      input: { count: 3 },
      parents: { reserve: { seat: 4 } },
      step: "charge:compensate",
      output: { receipt: "r" },
    },
  ]);
});

test("onFailure is given everything that failed, the run itself included", async () => {
  const { seen, session } = await connectUndoing();
  const error: TaskError = { code: "handler_error", name: "TypeError", message: "no card" };
  const failures = [
    { step: "charge", error },
    { step: null, error: { ...error, code: "run_timeout" as const } },
  ];
  session.send(
    task({ step: "on-failure", action: "order:on-failure", input: { count: "3" }, failures }),
  );
  expect(await session.next("completed")).toMatchObject({ output: null });
  expect(seen).toEqual([{ input: { count: 3 }, parents: {}, step: "on-failure", failures }]);
});
