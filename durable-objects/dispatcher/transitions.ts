/**
 * What can happen to runs, as the committer gathers it. Each becomes part of one commit.
 */
import type {
  AskedRow,
  CancelRow,
  CommitReply,
  EventRow,
  LogRow,
  ParkRow,
  ReleaseRow,
  ResultRow,
  SpawnRow,
  StartedRow,
  StartRow,
  UnlinedRow,
  WakeRow,
} from "../../database/rows.ts";
import type {
  ElapseRow,
  LookedRow,
  LookRow,
  MatchedRow,
  MatchRow,
  MeetRow,
  SettleRow,
  WaitingRow,
} from "../../database/match-rows.ts";
import type { MoveRow } from "../../database/schedule-rows.ts";
import type { StepRow } from "../../database/definition-rows.ts";
import { runIdOf } from "../../protocol/ids.ts";
import type { ReadyTask } from "./lane.ts";

/** One API call: its events and runs are made durable together or not at all. */
export interface StartCall {
  events: EventRow[];
  runs: StartRow[];
  /** Schedules whose ticks start some of the runs. */
  ticks?: MoveRow[];
  /** Bytes of the request it came in. */
  bytes: number;
  /** It is refused at once while commits are held up: whoever sends it comes again later. */
  canComeAgain?: true;
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
  | { kind: "wake"; row: WakeRow; bytes: number }
  /** The window has no room for it in its lane. */
  | { kind: "park"; row: ParkRow; bytes: number; task: ReadyTask }
  /** It holds limits since, and has tasks in the queue's lanes for them, perhaps. */
  | { kind: "unline"; row: UnlinedRow; bytes: number }
  | { kind: "release"; row: ReleaseRow; bytes: number }
  | {
      kind: "cancel";
      /** Without its leases: they are those of the moment it flies. */
      row: Omit<CancelRow, "l">;
      bytes: number;
      landed: (isCancelled: boolean) => void;
      refused: (error: unknown) => void;
    }
  | { kind: "spawn"; row: SpawnRow; bytes: number; session: string }
  | { kind: "wait"; row: WaitingRow; bytes: number }
  | { kind: "elapse"; row: ElapseRow; bytes: number }
  | { kind: "settle"; row: SettleRow; bytes: number }
  | { kind: "meet"; row: MeetRow; bytes: number; landed: () => void; refused: () => void }
  | { kind: "look"; row: LookRow; bytes: number }
  | { kind: "looked"; row: LookedRow; bytes: number }
  | { kind: "match"; row: MatchRow; bytes: number }
  | { kind: "matched"; row: MatchedRow; bytes: number }
  | { kind: "started"; row: StartedRow; bytes: number }
  | { kind: "log"; row: LogRow; bytes: number }
  | { kind: "ask"; row: AskedRow; bytes: number; session: string };

/** How much of a batch's room a transition takes. */
export function weightOf(transition: Transition): number {
  if (transition.kind === "spawn") return transition.row.c.length;
  if (transition.kind !== "start") return 1;
  return Math.max(1, transition.call.runs.length, transition.call.events.length);
}

/** The existing run that a transition touches: no two commits in flight may touch the same. */
export function runOf(transition: Transition): string | undefined {
  switch (transition.kind) {
    case "start":
    case "match":
    case "matched":
    case "settle":
    case "look":
    case "looked":
    case "ask":
      return undefined;
    case "log":
      return runIdOf(transition.row.t);
    default:
      return transition.row.r;
  }
}

/** Whether a step is ready when its run starts; what is under conditions is judged first. */
export function isReadyFirst({ isRoot, gate }: StepRow): boolean {
  return isRoot && gate === undefined;
}

/** Whether a run's first tasks are ready with its start, and known without asking. */
export function isReadyAtStart({ h, at, ro }: StartRow): boolean {
  return h !== true && at === undefined && ro === undefined;
}
