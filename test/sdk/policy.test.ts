/** Retries, timeouts, compensations and onFailure as they are written: what they register as. */
import { describe, expect, test } from "vitest";
import {
  MAX_BACKOFF_MS,
  MAX_EXPRESSION_LENGTH,
  MAX_RETRIES,
  MAX_RUN_TIMEOUT_MS,
  MAX_SCHEDULE_TIMEOUT_MS,
} from "../../protocol/limits.ts";
import { type BackoffOptions, type ExecutionOptions, workflow } from "../../sdk/index.ts";
import { refusal, registered, run } from "./registering.ts";

test("everything that is said of a step's execution is registered in milliseconds", () => {
  const policy: ExecutionOptions = {
    timeout: "30s",
    retries: 5,
    backoff: { initial: "2s", factor: 1.5, max: "1h", jitter: 0 },
    retryIf: 'error.name != "CardDeclined"',
  };
  const expected = {
    timeoutMs: 30_000,
    retries: 5,
    backoff: { initialMs: 2_000, factor: 1.5, maxMs: 3_600_000, jitter: 0 },
    retryIf: 'error.name != "CardDeclined"',
  };
  const order = workflow({ name: "order", timeout: "2d" });
  const compensate = { ...policy, run };
  order.step("charge", { ...policy, scheduleTimeout: "10m", compensate, run });
  order.onFailure({ ...policy, run });
  expect(order.definition()).toEqual({
    name: "order",
    timeoutMs: 172_800_000,
    steps: [{ name: "charge", ...expected, scheduleTimeoutMs: 600_000, compensate: expected }],
    onFailure: expected,
  });
});

test("what says nothing is left out", () => {
  expect(registered({})).toEqual({ name: "charge" });
  expect(registered({ retries: 0, backoff: { factor: 3 }, retryIf: "false" })).toEqual({
    name: "charge",
  });
  expect(registered({ retries: 1, backoff: {} })).toEqual({
    name: "charge",
    retries: 1,
    backoff: {},
  });
  expect(registered({ compensate: run })).toEqual({ name: "charge", compensate: {} });
  const order = workflow({ name: "order" });
  order.step("charge", { run });
  order.onFailure({ run });
  expect(order.definition()).toEqual({ name: "order", steps: [{ name: "charge" }], onFailure: {} });
});

test.each([-1, 1.5, Number.NaN, MAX_RETRIES + 1])("%d retries are refused", (retries) => {
  expect(refusal({ retries })).toContain(
    `The retries of step "charge" of workflow "order" are ${retries}: give a whole number from 0 to ${MAX_RETRIES}`,
  );
});

test.each<[string, BackoffOptions, string]>([
  ["an initial wait of nothing", { initial: 0 }, "backoff.initial of step"],
  ["an initial wait above a day", { initial: MAX_BACKOFF_MS + 1, max: "1d" }, "the most it can be"],
  ["a longest wait above a day", { max: "2d" }, "the most it can be is 86400000 ms"],
  ["a factor below one", { factor: 0.9 }, "is 0.9: give a number from 1 to 100"],
  ["a factor above a hundred", { factor: 101 }, "is 101: give a number from 1 to 100"],
  ["a negative jitter", { jitter: -0.1 }, "is -0.1: give a number from 0 to 1"],
  ["a jitter above one", { jitter: 1.1 }, "is 1.1: give a number from 0 to 1"],
  ["no number as a jitter", { jitter: Number.NaN }, "is NaN: give a number from 0 to 1"],
  [
    "a first wait above the longest by default",
    { initial: "10m" },
    "is 600000 ms, but backoff.max is 300000 ms by default: lower `initial` or raise `max`",
  ],
  [
    "a longest wait below the first by default",
    { max: "500ms" },
    "is 1000 ms by default, but backoff.max is 500 ms: lower `initial` or raise `max`",
  ],
])("%s is refused", (_what, backoff, says) => {
  const message = refusal({ retries: 1, backoff });
  expect(message).toContain('step "charge" of workflow "order"');
  expect(message).toContain(says);
});

test("a backoff or a condition without retries is refused, for it would do nothing", () => {
  expect(refusal({ backoff: { factor: 2 } })).toContain(
    'There is backoff but no retries on step "charge" of workflow "order": say how many, as `retries`',
  );
  expect(refusal({ retryIf: "true" })).toContain("There is retryIf but no retries");
});

test("a condition that is no text, empty or too long is refused", () => {
  const give = (retryIf: unknown): string => refusal({ retries: 1, retryIf });
  expect(give(" ")).toContain("is not CEL: give a text such as");
  expect(give(() => true)).toContain("is not CEL: give a text such as");
  expect(give("x".repeat(MAX_EXPRESSION_LENGTH + 1))).toContain(
    `has ${MAX_EXPRESSION_LENGTH + 1} characters: use at most ${MAX_EXPRESSION_LENGTH}`,
  );
});

test("a schedule timeout and a run's timeout are held to thirty days", () => {
  expect(registered({ scheduleTimeout: "30d" })).toMatchObject({
    scheduleTimeoutMs: MAX_SCHEDULE_TIMEOUT_MS,
  });
  expect(refusal({ scheduleTimeout: "31d" })).toContain('The scheduleTimeout of step "charge"');
  expect(() => workflow({ name: "order", timeout: MAX_RUN_TIMEOUT_MS + 1 })).toThrow(
    'The timeout of workflow "order" is 2592000001 ms: the most it can be is 2592000000 ms',
  );
});

describe("a compensation", () => {
  test("is held to the same bounds, and named where it is wrong", () => {
    const message = refusal({ compensate: { run, retries: -1 } });
    expect(message).toContain('The retries of the compensation of step "charge" of workflow');
    expect(refusal({ compensate: {} })).toContain(
      'There is no handler for the compensation of step "charge" of workflow "order": give it as `run`',
    );
  });

  test("has an action of its own, which is held to a name's length", () => {
    const order = workflow({ name: "o".repeat(150) });
    order.step("s".repeat(38), { run, compensate: run });
    expect([...order.handlers.keys()]).toEqual([
      `${order.name}:${"s".repeat(38)}`,
      `${order.name}:${"s".repeat(38)}:compensate`,
    ]);
    expect(() => order.step("s".repeat(39), { run, compensate: run })).toThrow(
      "The action of the compensation of step",
    );
  });

  test("that is refused leaves no step behind", () => {
    const order = workflow({ name: "order" });
    expect(() => order.step("charge", { run, compensate: { run, retries: -1 } })).toThrow();
    order.step("charge", { run });
    expect(order.definition().steps).toEqual([{ name: "charge" }]);
  });
});

describe("onFailure", () => {
  test("belongs to the workflow and to what returns() makes of it", () => {
    const order = workflow({ name: "order" });
    const returning = order.returns(order.step("charge", { run }));
    returning.onFailure({ run, retries: 2 });
    expect(order.definition().onFailure).toEqual({ retries: 2 });
    expect([...order.handlers.keys()]).toEqual(["order:charge", "order:on-failure"]);
  });

  test("is defined once, with a handler", () => {
    const order = workflow({ name: "order" });
    expect(() => order.onFailure({} as never)).toThrow(
      'There is no handler for onFailure of workflow "order": give it as `run`',
    );
    order.onFailure({ run });
    expect(() => order.onFailure({ run })).toThrow(
      'There is a second onFailure of workflow "order": see to everything in one',
    );
  });

  test("and a step of the name on-failure can't be together, whichever comes first", () => {
    const taken = 'Workflow "order" has onFailure and a step "on-failure": rename the step';
    const first = workflow({ name: "order" });
    first.step("on-failure", { run });
    expect(() => first.onFailure({ run })).toThrow(taken);
    const second = workflow({ name: "order" });
    second.onFailure({ run });
    expect(() => second.step("on-failure", { run })).toThrow(taken);
  });

  test("has an action that is held to a name's length", () => {
    const order = workflow({ name: "o".repeat(190) });
    expect(() => order.onFailure({ run })).toThrow("The action of onFailure of workflow");
  });
});
