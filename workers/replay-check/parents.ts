/**
 * Whether a step that ran would have waited for the same steps, and been given the same outputs. Pure.
 */
import type { Task } from "../../protocol/http.ts";
import type { Findings } from "./findings.ts";
import { beganAt, hasRun, millisecondsAt } from "./recorded.ts";

export function compareParents(
  task: Task,
  parents: string[],
  tasks: Map<string, Task>,
  findings: Findings,
): void {
  for (const parent of task.parents) {
    if (parents.includes(parent)) continue;
    const now = "it would not wait for it, and not be given its output";
    findings.add(task.step, "parents_changed", `it waited for "${parent}"`, now);
  }
  const began = beganAt(task);
  for (const parent of parents) {
    if (task.parents.includes(parent)) continue;
    const known = tasks.get(parent);
    const now = `it would wait for "${parent}"`;
    if (known === undefined) {
      findings.add(task.step, "parents_changed", `it ran without "${parent}"`, now);
      continue;
    }
    const ended = millisecondsAt(known.finishedAt);
    if (began === undefined || ended === undefined || began >= ended) continue;
    const what = hasRun(known) ? "ended" : "was left out";
    const then = `it began ${ended - began} ms before "${parent}" ${what}`;
    findings.add(task.step, "parents_changed", then, now);
  }
}
