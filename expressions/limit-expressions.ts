/**
 * What a limit is counted by, and how much a task takes of it: a key, and amounts (units, weights). Checked
 * when they are stored, evaluated by the shard for each task. The same names for both.
 */
import type { Json } from "../protocol/json.ts";
import { MAX_KEY_LENGTH, MAX_RATE_UNITS } from "../protocol/limits.ts";
import type { ExpressionCache } from "./cache.ts";
import type { Signature } from "./compile.ts";
import type { ResultValues } from "./json-results.ts";

const STEP = { input: "any", metadata: "any", parents: "any" } as const;
const RUN = { input: "any", metadata: "any" } as const;

/** Of a step or a stored limit. */
export const KEY = { variables: STEP, result: "key" } as const satisfies Signature;
export const AMOUNT = { variables: STEP, result: "number" } as const satisfies Signature;

/** Of a run: it has no parents' outputs yet. What these accept, `KEY` and `AMOUNT` evaluate alike. */
export const RUN_KEY = { variables: RUN, result: "key" } as const satisfies Signature;
export const RUN_AMOUNT = { variables: RUN, result: "number" } as const satisfies Signature;

export type Evaluated<Value> = { ok: true; value: Value } | { ok: false; message: string };

type TaskData = Readonly<Record<keyof typeof STEP, Json>>;

/** A text as it is, a number as its shortest text. */
export function evaluateKey(
  keys: ExpressionCache<"key">,
  source: string,
  data: TaskData,
): Evaluated<string> {
  const evaluated = evaluate(keys, source, data);
  if (!evaluated.ok) return evaluated;
  const key = String(evaluated.value);
  if (key.length <= MAX_KEY_LENGTH) return { ok: true, value: key };
  return fail(`It has ${key.length} characters; a key has at most ${MAX_KEY_LENGTH}.`);
}

/** A number above zero, and no more than a bucket could ever hold. */
export function evaluateAmount(
  amounts: ExpressionCache<"number">,
  source: string,
  data: TaskData,
): Evaluated<number> {
  const evaluated = evaluate(amounts, source, data);
  if (!evaluated.ok || (evaluated.value > 0 && evaluated.value <= MAX_RATE_UNITS)) return evaluated;
  const { value } = evaluated;
  return fail(`It answers ${value}; it must be more than 0 and at most ${MAX_RATE_UNITS}.`);
}

function evaluate<Kind extends "key" | "number">(
  cache: ExpressionCache<Kind>,
  source: string,
  data: TaskData,
): Evaluated<ResultValues[Kind]> {
  const compiled = cache.compile(source);
  if (!compiled.ok) return fail(compiled.error.message);
  const evaluated = compiled.expression.evaluate(data);
  return evaluated.ok ? evaluated : fail(evaluated.error.message);
}

function fail(message: string): { ok: false; message: string } {
  return { ok: false, message };
}
