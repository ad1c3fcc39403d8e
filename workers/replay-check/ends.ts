/**
 * Whether a run would have ended as it did: in the same state, in the time that it took, and unwound in the same
 * way if it failed. Pure.
 */
import type { RunState } from "../../protocol/states.ts";
import type { Candidate } from "./candidate.ts";
import type { Findings } from "./findings.ts";
import { cancellerOf, durationText, millisecondsAt, type Recorded, wasCut } from "./recorded.ts";
import type { Walk } from "./walk.ts";

export function compareEnd(
  recorded: Recorded,
  candidate: Candidate,
  walk: Walk,
  findings: Findings,
): void {
  compareTime(recorded, candidate, findings);
  const { run } = recorded;
  const now = endOf(recorded, walk);
  if (now !== undefined && now !== run.state) {
    findings.add(null, "end_changed", `it ended ${run.state}`, `it would end ${now}`);
  }
  if (run.state === "failed" && now === "failed") {
    compareUnwinding(recorded, candidate, walk, findings);
  }
}

/** Undefined: that depends on handlers of which nothing is recorded. */
function endOf({ run }: Recorded, walk: Walk): RunState | undefined {
  if (walk.isCancelled) return "cancelled";
  const kinds = new Set([...walk.outcomes.values()].map(({ kind }) => kind));
  if (wasCut(run) && cancellerOf(run) === undefined) return run.state;
  if (kinds.has("failed")) return "failed";
  return kinds.has("unknown") ? undefined : "completed";
}

function compareTime(
  { run, version }: Recorded,
  { definition }: Candidate,
  findings: Findings,
): void {
  const may = version.definition.timeoutMs ?? Number.POSITIVE_INFINITY;
  const would = definition.timeoutMs ?? Number.POSITIVE_INFINITY;
  if (run.error?.code === "run_timeout") {
    if (would <= may) return;
    const then = `it was ended after ${durationText(may)}`;
    const now = `it might ${would === Number.POSITIVE_INFINITY ? "go on" : `take ${durationText(would)}`}`;
    findings.add(null, "timeout_changed", then, now);
    return;
  }
  const [began, ended] = [millisecondsAt(run.createdAt), millisecondsAt(run.finishedAt)];
  if (began === undefined || ended === undefined || would >= may || ended - began <= would) return;
  const then = `it took ${durationText(ended - began)}`;
  findings.add(null, "timeout_changed", then, `it would be ended after ${durationText(would)}`);
}

const UNDOES = /:compensate$/;

function compareUnwinding(
  { run, reusedSteps }: Recorded,
  { definition, compensated }: Candidate,
  { outcomes }: Walk,
  findings: Findings,
): void {
  const undone = run.tasks
    .filter(({ kind }) => kind === "compensate")
    .map(({ step }) => step.replace(UNDOES, ""));
  const would = [...outcomes]
    .filter(([step, { kind }]) => kind === "completed" && compensated.has(step))
    .map(([step]) => step)
    .filter((step) => !reusedSteps.includes(step));
  for (const step of undone) {
    if (would.includes(step)) continue;
    findings.add(step, "compensation_changed", "it was undone", "it would not be undone");
  }
  for (const step of would) {
    if (undone.includes(step)) continue;
    findings.add(step, "compensation_changed", "it was not undone", "it would be undone");
  }
  const hadSeen = run.tasks.some(({ kind }) => kind === "on_failure");
  const wouldSee = definition.onFailure !== undefined;
  if (hadSeen && !wouldSee) {
    findings.add(null, "on_failure_changed", "onFailure saw to its failure", "nothing would");
  }
  if (!hadSeen && wouldSee) {
    findings.add(null, "on_failure_changed", "nothing saw to its failure", "onFailure would");
  }
}
