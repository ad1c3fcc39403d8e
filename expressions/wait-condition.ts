/**
 * The condition of an event that a step waits for: `waitFor.if`. Checked when the workflow is registered,
 * asked by the shard. The same names for both.
 */
import type { Json, Metadata } from "../protocol/json.ts";
import type { ExpressionCache } from "./cache.ts";
import { CANCEL_CONDITION } from "./cancel-condition.ts";
import type { Signature } from "./compile.ts";
import type { Match } from "./expression.ts";

export const WAIT_CONDITION = {
  variables: { ...CANCEL_CONDITION.variables, parents: "any" },
  result: "bool",
} as const satisfies Signature;

/** What the condition is over. */
export interface WaitData {
  event: { key: string; payload: Json; metadata: Metadata };
  input: Json;
  metadata: Metadata;
  parents: { [step: string]: Json };
}

/** A condition that can't be evaluated is not met, and says why. */
export function judgeWait(
  conditions: ExpressionCache<"bool">,
  condition: string,
  { event, ...run }: WaitData,
): Match {
  const compiled = conditions.compile(condition);
  if (!compiled.ok) return { isMatch: false, error: compiled.error };
  return compiled.expression.matches({ event: { ...event }, ...run });
}
