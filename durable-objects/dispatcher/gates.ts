/**
 * What a task passes between its parents' end and the queue: judges its step's conditions, and how its wait
 * has ended. Pure; the same data always has the same verdict, so a task may be judged any number of times.
 */
import type { GateRow } from "../../database/definition-rows.ts";
import type { ExpressionCache } from "../../expressions/cache.ts";
import type { StepData } from "../../expressions/step-condition.ts";
import type { Waited } from "../../protocol/session.ts";

/** The queue's action of tasks that are to be judged: the shard takes them, whatever workers there are. */
export const UNJUDGED = "";

export type Verdict =
  | { kind: "pass" }
  /** It has to wait first. */
  | { kind: "wait" }
  /** `why` is a sentence. */
  | { kind: "skip"; why: string }
  | { kind: "cancel"; why: string }
  /** It can't be said. */
  | { kind: "fail"; code: "condition_failed" | "wait_timeout"; why: string };

const TIMED_OUT = "What it waited for did not come in time.";

/** A step that is skipped asks for nothing else: `cancelIf` comes last. */
const CONDITIONS = [
  { name: "skipIf", decisive: true, kind: "skip" },
  { name: "runIf", decisive: false, kind: "skip" },
  { name: "cancelIf", decisive: true, kind: "cancel" },
] as const;

/** @param waited How the task's wait has ended, if it has waited. */
export function judgeGate(
  gate: GateRow,
  data: StepData,
  waited: Waited | undefined,
  conditions: ExpressionCache<"bool">,
): Verdict {
  for (const { name, decisive, kind } of CONDITIONS) {
    const source = gate[name];
    if (source === undefined) continue;
    const compiled = conditions.compile(source);
    const evaluated = compiled.ok ? compiled.expression.evaluate(data) : compiled;
    if (!evaluated.ok) {
      const { code, message } = evaluated.error;
      return {
        kind: "fail",
        code: "condition_failed",
        why: `Its ${name} could not be evaluated (${code}): ${message}`,
      };
    }
    if (evaluated.value === decisive) return { kind, why: `Its ${name} is ${String(decisive)}.` };
  }
  if (gate.wait === undefined || waited?.isMet === true) return { kind: "pass" };
  if (waited === undefined) return { kind: "wait" };
  switch (gate.wait.onTimeout) {
    case "continue":
      return { kind: "pass" };
    case "skip":
      return { kind: "skip", why: TIMED_OUT };
    default:
      return { kind: "fail", code: "wait_timeout", why: TIMED_OUT };
  }
}
