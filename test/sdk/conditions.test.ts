/** Conditions of a step, as a workflow says them: what they register as, their types, and what is refused. */
import { expect, expectTypeOf, test } from "vitest";
import { MAX_EXPRESSION_LENGTH } from "../../protocol/limits.ts";
import { workflow } from "../../sdk/index.ts";
import { refusal, registered, run } from "./registering.ts";

test("they are registered as they are written, and not at all where there are none", () => {
  const conditions = { skipIf: "input.a", runIf: "input.b", cancelIf: "input.c" };
  expect(registered(conditions)).toEqual({ name: "charge", ...conditions });
  expect(registered({ runIf: undefined })).toEqual({ name: "charge" });
});

test.each(["skipIf", "runIf", "cancelIf"])(
  "what can't be a %s is refused where it is written",
  (name) => {
    expect(refusal({ [name]: " " })).toContain(
      `${name} of step "charge" of workflow "order" is not CEL`,
    );
    expect(refusal({ [name]: () => true })).toContain("is not CEL: give a text such as");
    expect(refusal({ [name]: "x".repeat(MAX_EXPRESSION_LENGTH + 1) })).toContain(
      "use at most 4096",
    );
  },
);

test("a step that may be skipped may have given its children nothing", () => {
  const order = workflow({ name: "order" });
  const sure = order.step("sure", { run, cancelIf: "input.stop" });
  const skips = order.step("skips", { run, skipIf: "input.no" });
  const runs = order.step("runs", { run, runIf: "input.yes" });
  const paid = { event: "paid", timeout: "1h" } as const;
  const waits = order.step("waits", { run, waitFor: { ...paid, onTimeout: "continue" } });
  const gives = order.step("gives", { run, waitFor: { ...paid, onTimeout: "skip" } });
  order.step("last", {
    parents: [sure, skips, runs, waits, gives],
    run: ({ parents }) => {
      expectTypeOf(parents.sure).toEqualTypeOf<number>();
      expectTypeOf(parents.skips).toEqualTypeOf<number | undefined>();
      expectTypeOf(parents.runs).toEqualTypeOf<number | undefined>();
      expectTypeOf(parents.waits).toEqualTypeOf<number>();
      expectTypeOf(parents.gives).toEqualTypeOf<number | undefined>();
    },
  });
});

test("what a step waits for is registered in milliseconds", () => {
  const waitFor = {
    any: [
      { event: "order:paid", if: "event.payload.id == input.id", within: "1h" },
      { all: [{ event: "shop:open" }, { sleep: "1.5s" }] },
    ],
    timeout: "2d",
    onTimeout: "continue",
  };
  expect(registered({ waitFor })).toEqual({
    name: "charge",
    waitFor: {
      any: [
        { event: "order:paid", if: "event.payload.id == input.id", withinMs: 3_600_000 },
        { all: [{ event: "shop:open" }, { sleepMs: 1_500 }] },
      ],
      timeoutMs: 172_800_000,
      onTimeout: "continue",
    },
  });
  expect(registered({ waitFor: { event: "a" } })).toMatchObject({ waitFor: { event: "a" } });
});

const OF = 'waitFor of step "charge" of workflow "order"';

test.each<[string, object, string]>([
  ["nothing", {}, `${OF} must have one of event, sleep, any, all, and has none`],
  ["two things", { event: "a", sleep: 5 }, "and has event and sleep"],
  ["a pattern", { event: "order:*" }, `The event of ${OF} is "order:*"`],
  ["a blank condition", { event: "a", if: " " }, `The condition of ${OF} is not CEL`],
  ["no time", { sleep: "soon" }, `The sleep of ${OF} is "soon": give at least 1 ms`],
  ["a long sleep", { sleep: "366d" }, "the most it can be is 31536000000 ms"],
  ["a long look back", { event: "a", within: "8d" }, `within of ${OF}`],
  ["a bad timeout", { event: "a", timeout: -1 }, `The timeout of ${OF} is -1`],
  ["a choice without a timeout", { event: "a", onTimeout: "skip" }, "has onTimeout but no timeout"],
  [
    "a choice that is none",
    { event: "a", timeout: 1, onTimeout: "go" },
    'is "go": give one of fail, skip, continue',
  ],
  ["an empty group", { any: [] }, `any of ${OF} is empty`],
  ["a bad part", { all: [{ sleep: 5 }, {}] }, `[1] of all of ${OF} must have one of`],
  [
    "groups too deep",
    { any: [{ all: [{ any: [{ event: "a" }] }] }] },
    `any of [0] of all of [0] of any of ${OF} is a group too deep`,
  ],
  [
    "too many",
    { any: Array.from({ length: 11 }, () => ({ sleep: 5 })) },
    "has 11 events and sleeps",
  ],
])("a wait for %s is refused where it is written", (_what, waitFor, says) => {
  expect(refusal({ waitFor })).toContain(says);
});
