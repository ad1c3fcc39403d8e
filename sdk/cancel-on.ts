/**
 * Events that cancel runs, as a workflow says them: checked here, where they are written. What a
 * condition means only the server knows.
 */
import type { CancelOn } from "../protocol/http.ts";
import { MAX_CANCEL_ON } from "../protocol/limits.ts";
import { DefinitionError } from "./errors.ts";
import { checkedExpression } from "./expression.ts";
import { checkEventKey } from "./names.ts";

/**
 * An event that cancels unfinished runs: those that were started before it and meet the condition.
 *
 * @example
 * cancelOn: [{ event: "order:cancelled", if: "event.payload.id == input.id" }]
 */
export interface CancelOnOptions {
  /** The event's key, in full. */
  event: string;
  /**
   * CEL over `event.key`, `event.payload`, `event.metadata`, and the run's `input` and `metadata`. One
   * that can't be evaluated cancels nothing. Default: the event cancels every run.
   */
  if?: string | undefined;
}

export function checkedCancelOn(
  workflowName: string,
  cancelOn: readonly CancelOnOptions[],
): readonly CancelOn[] {
  if (cancelOn.length > MAX_CANCEL_ON) {
    throw new DefinitionError(
      `cancelOn of workflow "${workflowName}" has ${cancelOn.length} events: use at most ${MAX_CANCEL_ON}`,
    );
  }
  return cancelOn.map(({ event, if: condition }, index) => {
    const of = `cancelOn[${index}] of workflow "${workflowName}"`;
    checkEventKey(event, of);
    if (condition === undefined) return { event };
    return { event, if: checkedExpression(condition, `The condition of ${of}`, EXAMPLE) };
  });
}

const EXAMPLE = "event.payload.id == input.id";
