/**
 * Which steps of a finished run a replay need not execute again. Pure.
 */
import type { Progress, StepNode } from "../../database/read-originals.ts";

/**
 * Numbers of the steps whose outputs are reused: those that were completed and not undone, and that
 * depend on no step that is executed again. `first` is executed in any case.
 */
export function reusableSteps(
  steps: StepNode[],
  { completed, compensated }: Progress,
  first?: number,
): number[] {
  const executed = new Set(compensated);
  if (first !== undefined) executed.add(first);
  const done = new Set(completed);
  const parents = new Map(steps.map((node) => [node.step, node.parents]));
  const decided = new Map<number, boolean>();
  const isReusable = (step: number): boolean => {
    const known = decided.get(step);
    if (known !== undefined) return known;
    const answer =
      done.has(step) && !executed.has(step) && (parents.get(step) ?? []).every(isReusable);
    decided.set(step, answer);
    return answer;
  };
  return steps.map(({ step }) => step).filter(isReusable);
}
