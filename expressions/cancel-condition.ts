/**
 * The condition under which an event cancels a run: a workflow's `cancelOn[].if`. Checked when the
 * workflow is registered, asked by the shard. The same names for both.
 */
import type { Json, Metadata } from "../protocol/json.ts";
import type { ExpressionCache } from "./cache.ts";
import type { Signature } from "./compile.ts";
import type { Expression, Match } from "./expression.ts";

export const CANCEL_CONDITION = {
  variables: {
    event: { key: "string", payload: "any", metadata: "any" },
    input: "any",
    metadata: "any",
  },
  result: "bool",
} as const satisfies Signature;

/** What the condition is over. */
export interface CancelData {
  event: { key: string; payload: Json; metadata: Metadata };
  input: Json;
  metadata: Metadata;
}

/** A condition that can't be evaluated cancels nothing, and says why. */
export function judgeCancel(
  conditions: ExpressionCache<"bool">,
  condition: string,
  { event, input, metadata }: CancelData,
): Match {
  const compiled = conditions.compile(condition);
  if (!compiled.ok) return { isMatch: false, error: compiled.error };
  return compiled.expression.matches({ event: { ...event }, input, metadata });
}

/**
 * Where in the event and in the run two values must be equal for the condition to be met, so that runs
 * can be found by theirs: `["payload", "id"]` and `["input", "id"]`. Undefined when it asks for none.
 */
export function equalityWithEvent(
  condition: Expression<"bool">,
): { eventPath: string[]; runPath: string[] } | undefined {
  for (const [left, right] of condition.equalPaths()) {
    const sides = left[0] === "event" ? [left, right] : [right, left];
    const [ofEvent = [], runPath = []] = sides;
    const [root, ...eventPath] = ofEvent;
    if (root === "event" && eventPath.length > 0 && runPath[0] !== "event") {
      return { eventPath, runPath };
    }
  }
  return undefined;
}
