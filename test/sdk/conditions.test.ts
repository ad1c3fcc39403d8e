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
  order.step("last", {
    parents: [sure, skips, runs],
    run: ({ parents }) => {
      expectTypeOf(parents.sure).toEqualTypeOf<number>();
      expectTypeOf(parents.skips).toEqualTypeOf<number | undefined>();
      expectTypeOf(parents.runs).toEqualTypeOf<number | undefined>();
    },
  });
});
