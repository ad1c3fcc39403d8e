/**
 * The expressions of limits as a shard evaluates them: compiled once, and kept while they are used.
 */
import { ExpressionCache } from "../../expressions/cache.ts";
import { AMOUNT, evaluateAmount, evaluateKey, KEY } from "../../expressions/limit-expressions.ts";
import { MAX_LIMIT_EXPRESSIONS } from "./limits.ts";
import type { LimitExpressions } from "./needs.ts";

export function createLimitExpressions(): LimitExpressions {
  const keys = new ExpressionCache(KEY, MAX_LIMIT_EXPRESSIONS);
  const amounts = new ExpressionCache(AMOUNT, MAX_LIMIT_EXPRESSIONS);
  return {
    key: (source, data) => evaluateKey(keys, source, data),
    amount: (source, data) => evaluateAmount(amounts, source, data),
  };
}
