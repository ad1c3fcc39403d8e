/**
 * What can happen to runs, as the committer gathers it. Each becomes part of one commit.
 */
import type {
  AskedRow,
  CommitReply,
  EventRow,
  LogRow,
  ResultRow,
  StartedRow,
  StartRow,
} from "../../database/rows.ts";

/** One API call: its events and runs are made durable together or not at all. */
export interface StartCall {
  events: EventRow[];
  runs: StartRow[];
  /** Bytes of the request it came in. */
  bytes: number;
}

/** What became of a call's events and runs; absent entries were stored as asked. */
export interface StartOutcome {
  events: NonNullable<CommitReply["events"]>;
  starts: NonNullable<CommitReply["starts"]>;
}

export type Transition =
  | {
      kind: "start";
      call: StartCall;
      bytes: number;
      landed: (outcome: StartOutcome) => void;
      refused: (error: unknown) => void;
    }
  | {
      kind: "result";
      row: ResultRow;
      bytes: number;
      /** Who reported it and waits for the acknowledgement. */
      session: string | undefined;
      version: string;
      step: number;
    }
  | { kind: "started"; row: StartedRow; bytes: number }
  | { kind: "log"; row: LogRow; bytes: number }
  | { kind: "ask"; row: AskedRow; bytes: number; session: string };

/** How much of a batch's room a transition takes. */
export function weightOf(transition: Transition): number {
  if (transition.kind !== "start") return 1;
  return Math.max(1, transition.call.runs.length, transition.call.events.length);
}

/** The existing run that a transition touches: no two commits in flight may touch the same. */
export function runOf(transition: Transition): string | undefined {
  return transition.kind === "result" || transition.kind === "started"
    ? transition.row.r
    : undefined;
}
