/**
 * The conditions of a step: `skipIf`, `runIf`, `cancelIf`. Checked when the workflow is registered, judged by
 * the shard once the step's parents have ended. The same names for both.
 */
import type { Json } from "../protocol/json.ts";
import type { Signature } from "./compile.ts";
import type { Variables } from "./environment.ts";

export const STEP_CONDITION = {
  variables: { input: "any", metadata: "any", parents: "any" },
  result: "bool",
} as const satisfies Signature;

/** What the conditions are over. A parent that was skipped is not among `parents`. */
export type StepData = Readonly<Record<keyof typeof STEP_CONDITION.variables, Json>>;

/**
 * The same names with the parents that a step has, and no others: a definition that names another is wrong
 * wherever it is evaluated.
 */
export function namingParents<Names extends Variables>(
  variables: Names,
  parents: readonly string[],
): Variables {
  const fields = Object.fromEntries(parents.map((name) => [name, "any" as const]));
  return { ...variables, parents: fields };
}
