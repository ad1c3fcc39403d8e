/**
 * What a worker and a shard say to each other over a WebSocket: every frame, in both directions.
 * `docs/protocol.md` tells the story around these shapes: handshake, resumption, liveness, draining.
 *
 * A message is one JSON text with several frames, in order. Each side gathers what is ready in one
 * turn into one message; nobody waits to fill one.
 */
import type { SessionErrorCode, TaskError } from "./errors.ts";
import type { StartingFilter } from "./event-bodies.ts";
import type { Json, Metadata } from "./json.ts";
import type { CreditFrame, ShardsFrame, SlotsFrame, WantedFrame } from "./slot-frames.ts";
import type { Waited } from "./wait-bodies.ts";

export const PROTOCOL_VERSION = 1;

/** The WebSocket subprotocol both sides name in the upgrade. */
export const SUBPROTOCOL = "skein.v1";

/**
 * A client that can't set headers on a WebSocket (a browser, Node's own) carries its API token in a
 * second subprotocol: this prefix, then the token.
 */
export const TOKEN_SUBPROTOCOL_PREFIX = "skein.token.";

/** Texts outside the framing that the platform answers without waking the shard. */
export const PING = "ping";
export const PONG = "pong";

/**
 * Milliseconds of silence after which either side gives the other up, unless the worker asks for
 * another limit. A worker pings three times within it.
 */
export const HEARTBEAT_LIMIT_MS = 30_000;
export const MIN_HEARTBEAT_LIMIT_MS = 2_000;
export const MAX_HEARTBEAT_LIMIT_MS = 600_000;
export const PINGS_PER_LIMIT = 3;
export const PING_INTERVAL_MS = HEARTBEAT_LIMIT_MS / PINGS_PER_LIMIT;

/** Milliseconds in which a worker confirms that a task has arrived; then another gets it. */
export const RECEIPT_LIMIT_MS = 2_000;

/** Milliseconds a cancelled handler has to end; then its slot is taken back. */
export const CANCEL_GRACE_MS = 10_000;

/** Longest wait between two attempts to reconnect, in milliseconds, before full jitter. */
export const RECONNECT_MAX_MS = 4_000;

/**
 * Milliseconds after a socket closed in which its session may be resumed, unless the worker asks
 * for another grace. Longer than the longest reconnect wait, with a margin, so that a worker that can
 * come back finds its attempts.
 */
export const RESUME_GRACE_MS = 6_000;
export const MAX_RESUME_GRACE_MS = 60_000;

export interface Message<Frame> {
  v: typeof PROTOCOL_VERSION;
  frames: Frame[];
}

/** One try of one task. `attempt` counts from 1, rises strictly, and is the fencing token. */
export interface AttemptRef {
  task: string;
  attempt: number;
}

export type WorkerFrame =
  | HelloFrame
  | ReceivedFrame
  | CompletedFrame
  | FailedFrame
  | ReleasedFrame
  | LogFrame
  | ExtendFrame
  | SpawnFrame
  | WaitingFrame
  | ReturnFrame
  | SettleFrame
  | RateLimitedFrame
  | LabelsFrame
  | CreditFrame
  | PauseFrame
  | ResumeFrame
  | DrainFrame;

/** The first frame on every socket. */
export interface HelloFrame {
  type: "hello";
  /** A name for people: host and process, say. */
  worker: string;
  /** Which SDK, and its version: `typescript/0.1.0`. */
  sdk: string;
  /** Slots that this shard may use now: tasks this worker takes at once from it. */
  slots: number;
  /** All its slots, where it divides them among several shards. Absent: as many as `slots`. */
  of?: number;
  /** Actions it can execute. */
  actions: string[];
  /** Workflow versions it was built with: preferred for their runs, and of pinned ones the only ones. */
  versions: string[];
  /** What steps can ask for, by label. Default none. */
  labels?: { [label: string]: string | number };
  /** The session to resume, as `welcome` named it on an earlier socket. */
  session?: string;
  /** Attempts it is still running, or whose results it has not seen recorded. */
  running: AttemptRef[];
  /** Its own limits, in milliseconds; the shard's where it says nothing. */
  heartbeatLimitMs?: number;
  resumeGraceMs?: number;
  /** It takes no tasks until it says `resume`. */
  isPaused?: boolean;
}

/** Tasks that have arrived. A result says the same, so one that is there already needs no receipt. */
export interface ReceivedFrame {
  type: "received";
  attempts: AttemptRef[];
}

/** The attempt succeeded. Sent again on every socket until it is answered. */
export interface CompletedFrame extends AttemptRef {
  type: "completed";
  /** The shard that handed the task out, from its `task` frame. */
  shard: number;
  output: Json;
  /** When the handler began and ended, in milliseconds since 1970 by the worker's clock. */
  startedAt: number;
  finishedAt: number;
}

/** The attempt failed. Sent again on every socket until it is answered. */
export interface FailedFrame extends AttemptRef {
  type: "failed";
  shard: number;
  error: TaskError;
  startedAt: number;
  finishedAt: number;
}

/** The handler of a cancelled attempt has ended: its slot is free. */
export interface ReleasedFrame extends AttemptRef {
  type: "released";
}

export interface LogLine {
  level: "debug" | "info" | "warn" | "error";
  message: string;
  fields?: { [key: string]: Json };
  /** Milliseconds since 1970 by the worker's clock. */
  at: number;
}

/** Lines a handler logged. They are kept with the task; not acknowledged. */
export interface LogFrame extends AttemptRef {
  type: "log";
  /** The number of the first line within the attempt, from 0: a line sent twice is kept once. */
  first: number;
  lines: LogLine[];
}

/** The handler needs more time: so many milliseconds from now on. Answered with `extended`. */
export interface ExtendFrame extends AttemptRef {
  type: "extend";
  timeoutMs: number;
}

/** A run to be started by a handler. */
export interface ChildStart {
  /** Unique within the task: a later attempt that spawns it again gets the same run. */
  key: string;
  /** The workflow's name. */
  workflow: string;
  input: Json;
  metadata: Metadata;
  /** It outlives its parent: it is not cancelled with it. Default false. */
  isDetached?: boolean;
  /** Milliseconds from now, or the moment in milliseconds since 1970, at which it begins. Default at once. */
  delayMs?: number;
  startAt?: number;
}

/**
 * Starts children. Each is answered with `spawned`, and once it has finished with `child`, on this
 * socket or the next. Sent again on every socket for children that have not been answered so.
 */
export interface SpawnFrame extends AttemptRef {
  type: "spawn";
  children: ChildStart[];
}

/**
 * The handler does nothing but wait for its children: its slots and its own permits are free, and its
 * timeout stands still. Permits of its run stay with the run.
 */
export interface WaitingFrame extends AttemptRef {
  type: "waiting";
}

/**
 * The handler wants to go on: answered with `returned` once it has its slots and permits again, all of
 * them at once. Sent again on every socket until then; another `waiting` takes it back.
 */
export interface ReturnFrame extends AttemptRef {
  type: "return";
  /** Which of the attempt's waits has ended, from 1: an answer to an earlier one is no answer. */
  wait: number;
}

/**
 * What the attempt has really taken of a rate limit, in place of what was reserved for it. Once for
 * each limit, before its result. Not acknowledged: sent again on every socket until the result is
 * answered, and only the first counts. Without it the whole reserve is taken.
 */
export interface SettleFrame extends AttemptRef {
  type: "settle";
  /** The limit's name, as `task` gave it. */
  limit: string;
  used: number;
}

/**
 * The attempt met a rate limit: its key gives nothing for so long, to any worker, and the task is put
 * back without spending a retry. It ends the attempt as a result does: sent again until it is answered.
 */
export interface RateLimitedFrame extends AttemptRef {
  type: "rate_limited";
  shard: number;
  /** The limit's name, as `task` gave it; absent: all rate limits of the task. */
  limit?: string;
  retryAfterMs: number;
  startedAt: number;
  finishedAt: number;
}

/** The worker's labels are these from now on. */
export interface LabelsFrame {
  type: "labels";
  labels: { [label: string]: string | number };
}

/** The worker takes no tasks until it says `resume`; it finishes what it has. */
export interface PauseFrame {
  type: "pause";
}

export interface ResumeFrame {
  type: "resume";
}

/**
 * The worker takes no more tasks; it finishes what it has, then closes with `CLOSE_DRAINED`. From the
 * shard: it is asked to do so. `pause` and `resume` from the shard likewise.
 */
export interface DrainFrame {
  type: "drain";
}

export type ShardFrame =
  | WelcomeFrame
  | TaskFrame
  | RecordedFrame
  | StaleFrame
  | GoneFrame
  | CancelFrame
  | ExtendedFrame
  | ReturnedFrame
  | SpawnedFrame
  | ChildFrame
  | PauseFrame
  | ResumeFrame
  | DrainFrame
  | SlotsFrame
  | WantedFrame
  | ShardsFrame
  | ErrorFrame;

/** The answer to `hello`. */
export interface WelcomeFrame {
  type: "welcome";
  session: string;
  shard: number;
  pingIntervalMs: number;
  heartbeatLimitMs: number;
  resumeGraceMs: number;
  /** Attempts of `hello.running` that are still this worker's. */
  resumed: AttemptRef[];
  /** Attempts of `hello.running` that are not: stop them, and throw their results away. */
  stale: AttemptRef[];
}

/** A task to execute now: it takes its slots until the worker reports or releases it. */
export interface TaskFrame extends AttemptRef {
  type: "task";
  run: string;
  shard: number;
  workflow: string;
  /** The number of the workflow's version, from 1. */
  version: number;
  step: string;
  action: string;
  input: Json;
  /** Outputs of the step's parents, by step name. */
  parents: { [step: string]: Json };
  metadata: Metadata;
  /** Milliseconds this attempt may take; the shard counts from when it sent the frame. */
  timeoutMs: number;
  /** When the task became ready, in milliseconds since 1970. */
  queuedAt: number;
  /** Slots that it takes. Absent: 1. */
  slots?: number;
  /** Rate limits that it is under, with what was reserved for it. Absent: none. */
  limits?: { limit: string; key: string; units: number }[];
  /** The filter that its run was started by, with its payload. Absent: none. */
  filter?: StartingFilter;
  /**
   * The schedule that its run was started by, and the tick that it was for, in milliseconds since 1970; null:
   * none, it was triggered by hand. Absent: no schedule.
   */
  schedule?: { id: string; tick: number | null };
  /** What has failed, in a step that sees to a failed run. */
  failures?: StepFailure[];
  /** What the task has waited for. Absent: nothing. */
  waited?: Waited;
}

/** What failed in a run: a step, or with null the run itself, as when it took too long. */
export interface StepFailure {
  step: string | null;
  error: TaskError;
}

/** The result is part of the run's history, now or since an earlier sending. Ends the resending. */
export interface RecordedFrame extends AttemptRef {
  type: "recorded";
}

/** A newer attempt owns the task, or it ended otherwise: the result was not used. */
export interface StaleFrame extends AttemptRef {
  type: "stale";
}

/** There is no such task here. */
export interface GoneFrame extends AttemptRef {
  type: "gone";
}

/** Abort the handler. The slot stays taken until the worker answers `released` or reports a result. */
export interface CancelFrame extends AttemptRef {
  type: "cancel";
  reason: CancelReason;
}

/** `lost`: the task is another attempt's, because this one was not confirmed in time. */
export type CancelReason = "execution_timeout" | "run_timeout" | "cancelled" | "lost";

/** The attempt has so many milliseconds from when this was sent. */
export interface ExtendedFrame extends AttemptRef {
  type: "extended";
  timeoutMs: number;
}

/** The handler goes on: it has its slots and permits again, and its timeout counts. */
export interface ReturnedFrame extends AttemptRef {
  type: "returned";
  wait: number;
  /** Milliseconds the attempt has left, from when this was sent. */
  timeoutMs: number;
}

/** The child of this key is a run, now or since an earlier sending; or can't be one. */
export interface SpawnedFrame extends AttemptRef {
  type: "spawned";
  key: string;
  run?: string;
  refusal?: { code: "workflow_not_found" | "workflow_paused" | "invalid_request"; detail: string };
}

/** A child has finished. */
export interface ChildFrame extends AttemptRef {
  type: "child";
  key: string;
  run: string;
  state: "completed" | "failed" | "cancelled";
  /** Outputs of its completed steps; null when they are too large: fetch them. */
  outputs: { [step: string]: Json } | null;
  error: (TaskError & { step: string | null }) | null;
}

/** The worker broke the protocol, or is to come back later; the socket closes after this frame. */
export interface ErrorFrame {
  type: "error";
  code: SessionErrorCode;
  detail: string;
  /** Of `too_many_handshakes`: when its turn comes, and its place in line, which it says when it comes back. */
  retryAfterMs?: number;
  place?: string;
  /** The session it would resume can be resumed for so long from now on. */
  resumeGraceMs?: number;
}
