/** Events that cancel runs, as a workflow says them: what they register as, and what is refused. */
import { expect, test } from "vitest";
import { MAX_CANCEL_ON, MAX_EXPRESSION_LENGTH, MAX_NAME_LENGTH } from "../../protocol/limits.ts";
import { type CancelOnOptions, DefinitionError, workflow } from "../../sdk/index.ts";

function registered(cancelOn: CancelOnOptions[]): unknown {
  const order = workflow({ name: "order", cancelOn });
  order.step("charge", { run: () => 1 });
  return order.definition().cancelOn;
}

test("they are registered as they are written, and not at all when there are none", () => {
  const cancelOn = [
    { event: "order:cancelled", if: "event.payload.id == input.id" },
    { event: "shop:closed" },
  ];
  expect(registered(cancelOn)).toEqual(cancelOn);
  expect(registered([{ event: "shop:closed", if: undefined }])).toEqual([{ event: "shop:closed" }]);
  expect(registered([])).toBeUndefined();
});

test.each<[string, CancelOnOptions[], string]>([
  [
    "a pattern",
    [{ event: "order:*" }],
    'The event of cancelOn[0] of workflow "order" is "order:*"',
  ],
  ["an empty key", [{ event: "a" }, { event: "" }], "The event of cancelOn[1]"],
  ["a key with a space", [{ event: "a b" }], "give one key in full"],
  ["a long key", [{ event: "k".repeat(MAX_NAME_LENGTH + 1) }], "1 to 200 characters"],
  ["no key", [{} as CancelOnOptions], "The event of cancelOn[0]"],
  ["a blank condition", [{ event: "a", if: " " }], "The condition of cancelOn[0] of workflow"],
  [
    "a function as a condition",
    [{ event: "a", if: (() => true) as unknown as string }],
    "is not CEL: give a text such as 'event.payload.id == input.id'",
  ],
  [
    "a long condition",
    [{ event: "a", if: "x".repeat(MAX_EXPRESSION_LENGTH + 1) }],
    "has 4097 characters: use at most 4096",
  ],
  [
    "too many",
    Array.from({ length: MAX_CANCEL_ON + 1 }, () => ({ event: "a" })),
    "has 6 events: use at most 5",
  ],
])("%s is refused where it is written", (_what, cancelOn, says) => {
  const define = (): unknown => workflow({ name: "order", cancelOn });
  expect(define).toThrow(DefinitionError);
  expect(define).toThrow(says);
});
