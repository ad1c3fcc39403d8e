/**
 * Conditions of a step, as they are written: checked here, where they are written. What they mean only the
 * server knows.
 */
import type { StepDefinition } from "../protocol/http.ts";
import { checkedExpression } from "./expression.ts";
import { checkedWaitFor, type WaitForOptions } from "./wait-for.ts";

/**
 * What a step's parents must have given for it to run. CEL over `input`, `metadata` and `parents`, the
 * outputs of its parents by name; a parent that was skipped is not there, so ask `has(parents.NAME)`. Judged
 * once, when the parents have all ended, in this order; a condition that can't be evaluated fails the task.
 *
 * A task that is skipped has no output and runs nowhere; the steps below it go on without it, and find
 * `undefined` in its place in `ctx.parents`.
 *
 * @example
 * order.step("refund", { parents: [check], runIf: "parents.check.isReturned", run: refund });
 */
export interface ConditionOptions<
  SkipIf extends string | undefined = string | undefined,
  RunIf extends string | undefined = string | undefined,
  Wait extends WaitForOptions | undefined = WaitForOptions | undefined,
> {
  /** True: the task is skipped. */
  skipIf?: SkipIf;
  /** False: the task is skipped. */
  runIf?: RunIf;
  /** True: the run is cancelled. Not asked of a task that is skipped. */
  cancelIf?: string | undefined;
  /** What it waits for before it is queued, once its conditions let it. Default nothing. */
  waitFor?: Wait;
}

const EXAMPLES = {
  skipIf: "parents.check.amount < 10",
  runIf: "has(parents.check)",
  cancelIf: "parents.check.isFraud",
};

export function checkedConditions(
  options: ConditionOptions,
  of: string,
): Pick<StepDefinition, keyof ConditionOptions> {
  const checked: Pick<StepDefinition, keyof ConditionOptions> = {};
  for (const name of ["skipIf", "runIf", "cancelIf"] as const) {
    const source = options[name];
    if (source === undefined) continue;
    checked[name] = checkedExpression(source, `${name} of ${of}`, EXAMPLES[name]);
  }
  if (options.waitFor !== undefined) checked.waitFor = checkedWaitFor(options.waitFor, of);
  return checked;
}
