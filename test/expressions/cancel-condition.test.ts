/** What a workflow's `cancelOn[].if` may say, and by which equality the runs that it means are found. */
import { describe, expect, test } from "vitest";
import { ExpressionCache } from "../../expressions/cache.ts";
import {
  CANCEL_CONDITION,
  equalityWithEvent,
  judgeCancel,
} from "../../expressions/cancel-condition.ts";
import { compileExpression } from "../../expressions/compile.ts";

const conditions = new ExpressionCache(CANCEL_CONDITION, 10);
const DATA = {
  event: { key: "order:cancelled", payload: { id: 7, by: "shop" }, metadata: { region: "eu" } },
  input: { id: 7, items: [{ sku: "a" }] },
  metadata: { region: "eu" },
};

test.each([
  ["event.payload.id == input.id", true],
  ["event.payload.id != input.id", false],
  ['event.key.startsWith("order:") && event.payload.by in ["shop", "customer"]', true],
  ["event.metadata.region == metadata.region", true],
  ['input.items.exists(item, item.sku == "b")', false],
  ["true", true],
])("%s: %s", (condition, isMatch) => {
  expect(judgeCancel(conditions, condition, DATA)).toEqual({ isMatch });
});

test.each(["event.payload.reason == input.reason", "event.payload.by > 3 && true", "1 ="])(
  "%s can't be evaluated: it cancels nothing, and says why",
  (condition) => {
    const verdict = judgeCancel(conditions, condition, DATA);
    expect(verdict).toMatchObject({ isMatch: false, error: { code: expect.any(String) } });
  },
);

test.each(["event.id == 'x'", "run.id == ''", "output.a == 1", "event.key", "event.key == 3"])(
  "%s is refused when it is registered",
  (condition) => {
    expect(compileExpression(condition, CANCEL_CONDITION).ok).toBe(false);
  },
);

describe("the equality by which runs are found", () => {
  const found = (condition: string): unknown => {
    const compiled = compileExpression(condition, CANCEL_CONDITION);
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
    return equalityWithEvent(compiled.expression);
  };
  const byId = { eventPath: ["payload", "id"], runPath: ["input", "id"] };

  test.each([
    ["event.payload.id == input.id", byId],
    ["input.id == event.payload.id", byId],
    ['event.payload["id"] == input["id"]', byId],
    ['event.payload.by == "shop" && (input.n > 3 && event.payload.id == input.id)', byId],
    ["event.payload == input", { eventPath: ["payload"], runPath: ["input"] }],
    ["event.key == metadata.key", { eventPath: ["key"], runPath: ["metadata", "key"] }],
  ])("of %s", (condition, equality) => {
    expect(found(condition)).toEqual(equality);
  });

  test.each([
    "true",
    'event.payload.id == "x"',
    "event.payload.a == event.payload.b",
    "input.a == metadata.a",
    "event.payload.id != input.id",
    "event.payload.id == input.id || input.isAny",
    "!(event.payload.id == input.id)",
    "input.items.exists(item, item.sku == event.payload.sku)",
    "event.payload.id == input.items[0]",
    "event.payload.?id.orValue(0) == input.?id.orValue(0)",
  ])("is none of %s", (condition) => {
    expect(found(condition)).toBeUndefined();
  });
});
