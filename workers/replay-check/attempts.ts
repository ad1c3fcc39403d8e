/**
 * Whether a step's attempts would have been made as they were: by the same handler, in the time that they took,
 * and as often. Pure.
 */
import { retryDelayMs } from "../../durable-objects/dispatcher/retries.ts";
import { judgeRetry } from "../../expressions/retry-condition.ts";
import type { Attempt, Task } from "../../protocol/http.ts";
import type { DagRow } from "../definitions/dag.ts";
import type { Candidate } from "./candidate.ts";
import type { Findings } from "./findings.ts";
import { durationText, millisecondsAt } from "./recorded.ts";

interface Steps {
  /** As it would be, and as it was; undefined: that is not known. */
  row: DagRow;
  old: DagRow | undefined;
}

export function compareAttempts(
  task: Task,
  steps: Steps,
  candidate: Candidate,
  findings: Findings,
): void {
  const { row } = steps;
  if (task.action !== row.action) {
    const [then, now] = [task.action, row.action].map((action) => `executed by "${action}"`);
    findings.add(row.name, "action_changed", `it was ${then}`, `it would be ${now}`);
  }
  for (const attempt of task.attempts) compareTime(attempt, steps, findings);
  compareQueueing(task, steps, findings);
  compareRetries(task, row, candidate, findings);
}

function compareTime(attempt: Attempt, { row, old }: Steps, findings: Findings): void {
  const [began, ended] = [millisecondsAt(attempt.startedAt), millisecondsAt(attempt.finishedAt)];
  const may = old?.timeout ?? row.timeout;
  if (attempt.outcome === "timed_out") {
    if (row.timeout <= may) return;
    const then = `attempt ${attempt.attempt} was ended after ${durationText(may)}`;
    findings.add(row.name, "timeout_changed", then, `it might take ${durationText(row.timeout)}`);
    return;
  }
  // One that took longer than it might has asked for more time, and would again.
  if (began === undefined || ended === undefined || row.timeout >= may) return;
  if (ended - began <= row.timeout) return;
  const then = `attempt ${attempt.attempt} took ${durationText(ended - began)}`;
  const now = `it would be ended after ${durationText(row.timeout)}`;
  findings.add(row.name, "timeout_changed", then, now);
}

function compareQueueing(task: Task, { row, old }: Steps, findings: Findings): void {
  const most = row.schedule ?? Number.POSITIVE_INFINITY;
  const may = old?.schedule ?? Number.POSITIVE_INFINITY;
  if (task.error?.code === "schedule_timeout") {
    if (most <= may) return;
    const then = `it failed when it had been queued for ${durationText(may)}`;
    findings.add(row.name, "timeout_changed", then, "it might be queued for longer");
    return;
  }
  const [queued, began] = [millisecondsAt(task.queuedAt), millisecondsAt(task.startedAt)];
  if (queued === undefined || began === undefined || began - queued <= most) return;
  const then = `it was queued for ${durationText(began - queued)}`;
  const now = `it would fail after ${durationText(most)} in the queue`;
  findings.add(row.name, "timeout_changed", then, now);
}

/** Each attempt that failed: whether another would follow, as one did or did not. */
function compareRetries(
  task: Task,
  row: DagRow,
  { retryConditions }: Candidate,
  findings: Findings,
): void {
  let failures = 0;
  for (const [index, { attempt, outcome, error }] of task.attempts.entries()) {
    if ((outcome !== "failed" && outcome !== "timed_out") || error === null) continue;
    const delayMs = retryDelayMs(
      row.retry,
      { error, attempt, failures },
      {
        random: () => 0,
        allows: (condition) => judgeRetry(retryConditions, condition, error, attempt).isAllowed,
      },
    );
    failures += 1;
    const isLast = index === task.attempts.length - 1;
    if (!isLast && delayMs === undefined) {
      const then = `attempt ${attempt} failed and was followed by another`;
      findings.add(row.name, "retries_changed", then, "it would be the last");
      return;
    }
    if (isLast && task.state === "failed" && delayMs !== undefined) {
      const then = `it failed with attempt ${attempt}`;
      findings.add(row.name, "retries_changed", then, "another attempt would follow");
    }
  }
}
