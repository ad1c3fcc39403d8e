/**
 * A replay check: recorded runs are held against another definition, and where that would have gone another way.
 */
import type { RunExport } from "./history-bodies.ts";
import type { WorkflowDefinition } from "./http.ts";
import type { RunState } from "./states.ts";

/** Where a definition goes another way than a recorded run. A kind is stable: programs match on it. */
export const DIVERGENCES = {
  not_started: "The event that started the run would start none",
  step_added: "A step would run that was not there",
  step_removed: "A step ran that is not there any more",
  step_run: "A step would run that did not",
  step_not_run: "A step ran that would not be reached",
  step_skipped: "A step ran that would be skipped",
  parents_changed: "A step would wait for other steps than it waited for",
  condition_failed: "A condition can't be evaluated with what the run recorded",
  undecided: "A condition needs the output of a step that the run has no record of",
  wait_changed: "A step would wait for something else, or not as long",
  run_cancelled: "A condition would cancel the run",
  run_not_cancelled: "The condition that cancelled the run would not",
  action_changed: "A step would be executed by another handler",
  timeout_changed: "Something took longer than it might, or was ended sooner than it would be",
  retries_changed: "A step would be tried less or more often",
  compensation_changed: "Another step would be undone, or one would not",
  on_failure_changed: "What sees to the failure would run, or would not",
  end_changed: "The run would end in another state",
} as const satisfies Record<string, string>;
export type DivergenceKind = keyof typeof DIVERGENCES;
export const DIVERGENCE_KINDS = Object.keys(DIVERGENCES) as [DivergenceKind, ...DivergenceKind[]];

export interface Divergence {
  /** The run's id, and the number of the version that it was bound to. */
  run: string;
  version: number;
  /** Null: it is about the run as a whole. */
  step: string | null;
  kind: DivergenceKind;
  /** What happened, and what would: each the part of a sentence. */
  was: string;
  would: string;
  /** The sentence. */
  message: string;
}

/** Which of a workflow's finished runs are checked: the last ones that fit, or those of these ids. */
export interface CheckedRuns {
  /** At most 1,000; not with what follows. */
  ids?: string[];
  /** How many at most. Default 100, at most 1,000. */
  last?: number;
  state?: Extract<RunState, "completed" | "failed" | "cancelled">;
  /** Created then or later, and before. */
  since?: string;
  until?: string;
  /** Only of this version. */
  version?: number;
}

/** Exactly one of `definition` and `version`. */
export interface CheckReplay {
  /** It need not be registered. */
  definition?: WorkflowDefinition;
  /** The number of one that is. */
  version?: number;
  /** Default, unless there are documents or imports: the last hundred. */
  runs?: CheckedRuns;
  /** Exports of finished runs, from elsewhere. */
  documents?: RunExport[];
  /** Ids of imports. */
  imports?: string[];
  /** `nextCursor` of the call before: then only `runs` are gone on with. */
  cursor?: string;
}

export interface ReplayCheck {
  workflow: string;
  /** Which the runs were held against; null: a definition that was given. */
  version: number | null;
  checked: number;
  /** Runs that would have gone the same way, and runs that would not. */
  same: number;
  divergent: number;
  /** Divergences by kind, also of those that are not listed. */
  byKind: { [kind: string]: number };
  divergences: Divergence[];
  /** Divergences that are not listed. */
  more: number;
  /** Runs that are too large to be checked. */
  tooLarge: string[];
  /** There are runs left: give it as `cursor`. Null: all have been checked. */
  nextCursor: string | null;
}
