/** What a step's `retryIf` may say, and what becomes of one that can't be evaluated. */
import { expect, test } from "vitest";
import { ExpressionCache } from "../../expressions/cache.ts";
import { compileExpression } from "../../expressions/compile.ts";
import { judgeRetry, RETRY_CONDITION } from "../../expressions/retry-condition.ts";
import type { TaskError } from "../../protocol/errors.ts";

const conditions = new ExpressionCache(RETRY_CONDITION, 10);
const ERROR: TaskError = { code: "handler_error", name: "RateLimited", message: "slow down" };

test.each([
  ['error.name == "RateLimited"', true],
  ['error.code == "execution_timeout"', false],
  ['error.message.contains("down") && attempt < 3', true],
  ["attempt >= 3", false],
])("%s: %s", (condition, isAllowed) => {
  expect(judgeRetry(conditions, condition, ERROR, 2)).toEqual({ isAllowed });
});

test("a condition that can't be evaluated stands in nobody's way, and says why", () => {
  const verdict = judgeRetry(conditions, "int(error.message) > 0", ERROR, 1);
  expect(verdict).toMatchObject({ isAllowed: true, error: { code: expect.any(String) } });
});

test.each(["error.nmae == 'x'", "attempt + 1", "input.amount > 3", "error.name = 'x'"])(
  "%s is refused when it is registered",
  (condition) => {
    expect(compileExpression(condition, RETRY_CONDITION).ok).toBe(false);
  },
);
