/**
 * Checks the schedules that a workflow declares. Pure.
 */
import type { FieldError } from "../../protocol/errors.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { brokenInCron } from "../api/schedule-rules.ts";
import { checkCron } from "../schedules/cron.ts";

/** Where an expression says nothing of its zone; `v1.declare_schedules` has the same. */
const UTC = "UTC";

/** Everything that is wrong with them, each with its place in the definition and in the expression. */
export function checkCrons({ crons = [] }: WorkflowDefinition): FieldError[] {
  const names = crons.map(({ name, cron, timezone = UTC }) => name ?? `${cron} ${timezone}`);
  return crons.flatMap((schedule, index) => {
    const path = `crons[${index}].`;
    const { cron, timezone = UTC } = schedule;
    const findings = checkCron({ cron, timezone }, path);
    for (const { path: field, message } of brokenInCron(schedule)) {
      findings.push({ path: path + field.join("."), message });
    }
    const first = names.indexOf(names[index] ?? "");
    if (first === index) return findings;
    const message = `"${names[index]}" is also that of crons[${first}]: give each a name of its own`;
    return [...findings, { path: `${path}name`, message }];
  });
}
