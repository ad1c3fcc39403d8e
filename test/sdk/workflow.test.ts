/** Workflows as they are written: what they register, and what is refused where it is written. */
import * as v from "valibot";
import { expect, test } from "vitest";
import { z } from "zod";
import { DefinitionError, type Duration, InvalidInputError, workflow } from "../../sdk/index.ts";

const run = (): number => 1;

test("a definition carries names, parents and timeouts, and nothing that is default", () => {
  const order = workflow({
    name: "order",
    description: "Ships what was paid",
    input: z.object({ id: z.string() }),
    on: { events: ["order:created", "order:created", "shop:*"] },
  });
  const charge = order.step("charge", { timeout: "30s", run });
  const pack = order.step("pack", { timeout: 1_500, run });
  const ship = order.step("ship", { parents: [charge, pack], run });
  const expected = {
    name: "order",
    description: "Ships what was paid",
    events: ["order:created", "shop:*"],
    steps: [
      { name: "charge", timeoutMs: 30_000 },
      { name: "pack", timeoutMs: 1_500 },
      { name: "ship", parents: ["charge", "pack"] },
    ],
  };
  expect(order.definition()).toEqual(expected);
  expect(order.returns(ship).definition()).toEqual(expected);
  expect(charge.action).toBe("order:charge");
});

test("a step added after returns() belongs to both", () => {
  const order = workflow({ name: "order" });
  const returning = order.returns(order.step("a", { run }));
  order.step("b", { run });
  expect(returning.definition().steps).toHaveLength(2);
});

test.each<[Duration, number]>([
  [1, 1],
  ["250ms", 250],
  ["30s", 30_000],
  ["1.5m", 90_000],
  ["2h", 7_200_000],
  ["1d", 86_400_000],
])("the timeout %s is %i milliseconds", (timeout, timeoutMs) => {
  const order = workflow({ name: "order" });
  order.step("a", { timeout, run });
  expect(order.definition().steps[0]).toEqual({ name: "a", timeoutMs });
});

test.each([
  0,
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  "",
  "30",
  "30 s",
  "s",
  "-5s",
  "1e3s",
  "1w",
  "2d",
])("the timeout %s is refused with what to write instead", (timeout) => {
  const order = workflow({ name: "order" });
  const define = (): unknown => order.step("a", { timeout: timeout as Duration, run });
  expect(define).toThrow(DefinitionError);
  expect(define).toThrow(/timeout of step "a" of workflow "order".*(such as "30s"|the most)/);
});

test.each(["", " ", "a:b", "a b", "-a", "_a", "a/b", "é", "x".repeat(201)])(
  "the name %j is refused for a workflow and for a step",
  (name) => {
    expect(() => workflow({ name })).toThrow(DefinitionError);
    expect(() => workflow({ name: "order" }).step(name, { run })).toThrow(
      /^A step of workflow "order"/,
    );
  },
);

test("a step whose action would be longer than a name may be is refused", () => {
  const order = workflow({ name: "o".repeat(150) });
  expect(() => order.step("s".repeat(49), { run })).not.toThrow();
  expect(() => order.step("s".repeat(50), { run })).toThrow("has 201 characters");
});

test("a step that is defined twice is refused", () => {
  const order = workflow({ name: "order" });
  order.step("charge", { run });
  expect(() => order.step("charge", { run })).toThrow(
    'Step "charge" of workflow "order" is defined twice',
  );
});

test("a parent of another workflow is refused, also one of the same name", () => {
  const order = workflow({ name: "order" });
  order.step("charge", { run });
  const other = workflow({ name: "refund" }).step("charge", { run });
  const define = (): unknown => order.step("ship", { parents: [other], run });
  expect(define).toThrow(
    'can\'t have "charge" as its parent: it is a step of another workflow (refund:charge)',
  );
  expect(() => order.returns(other)).toThrow("it is a step of another workflow (refund:charge)");
});

test("a parent that is named twice and a step without a handler are refused", () => {
  const order = workflow({ name: "order" });
  const a = order.step("a", { run });
  expect(() => order.step("b", { parents: [a, a], run })).toThrow('names its parent "a" twice');
  expect(() => order.step("c", {} as never)).toThrow('There is no handler for step "c"');
});

test("a workflow without steps has no definition", () => {
  expect(() => workflow({ name: "order" }).definition()).toThrow('Workflow "order" has no steps');
});

test("empty and overlong event keys, and too many of them, are refused", () => {
  const listen = (events: string[]) => () => workflow({ name: "order", on: { events } });
  for (const key of ["", "a b", "*:a", "a*b"]) expect(listen([key])).toThrow(`event key "${key}"`);
  expect(listen(["*", "user:*", "user:created"])).not.toThrow();
  expect(listen(["x".repeat(201)])).toThrow("event key");
  expect(listen(Array.from({ length: 101 }, (_, n) => `e${n}`))).toThrow("101 event keys");
});

test("schemas of zod and valibot refuse alike, with the place", () => {
  const byZod = workflow({
    name: "z",
    input: z.object({ items: z.array(z.object({ n: z.number() })) }),
  });
  const byValibot = workflow({
    name: "v",
    input: v.object({ items: v.array(v.object({ n: v.number() })) }),
  });
  for (const flow of [byZod, byValibot]) {
    let thrown: unknown;
    try {
      flow.validate({ items: [{ n: 1 }, { n: "x" as never }] });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(InvalidInputError);
    expect(thrown).toMatchObject({ workflow: flow.name, issues: [{ path: "items[1].n" }] });
  }
});
