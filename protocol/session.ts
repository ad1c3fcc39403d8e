/**
 * What a worker and a shard say to each other over a WebSocket: every frame, in both directions.
 * `docs/protocol.md` tells the story around these shapes: handshake, resumption, liveness, draining.
 *
 * A message is one JSON text with several frames, in order. Each side gathers what is ready in one
 * turn into one message; nobody waits to fill one.
 */
import type { SessionErrorCode, TaskError } from "./errors.ts";
import type { Json, Metadata } from "./json.ts";

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

/** A worker pings this often, in milliseconds. */
export const PING_INTERVAL_MS = 10_000;

/** Milliseconds of silence after which either side gives the other up. */
export const HEARTBEAT_LIMIT_MS = 30_000;

/** Longest wait between two attempts to reconnect, in milliseconds, before full jitter. */
export const RECONNECT_MAX_MS = 4_000;

/**
 * Milliseconds after a socket closed in which its session may be resumed. Longer than the longest
 * reconnect wait, with a margin, so that a worker that can come back finds its attempts.
 */
export const RESUME_GRACE_MS = 6_000;

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
  | CompletedFrame
  | FailedFrame
  | ReleasedFrame
  | LogFrame
  | DrainFrame;

/** The first frame on every socket. */
export interface HelloFrame {
  type: "hello";
  /** A name for people: host and process, say. */
  worker: string;
  /** Which SDK, and its version: `typescript/0.1.0`. */
  sdk: string;
  /** Tasks this worker takes at once from this shard. */
  slots: number;
  /** Actions it can execute. */
  actions: string[];
  /** Workflow versions it was built with, to be preferred for their runs. */
  versions: string[];
  /** The session to resume, as `welcome` named it on an earlier socket. */
  session?: string;
  /** Attempts it is still running, or whose results it has not seen recorded. */
  running: AttemptRef[];
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

/** The worker takes no more tasks; it finishes what it has, then closes with `CLOSE_DRAINED`. */
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

/** A task to execute now: it takes one slot until the worker reports or releases it. */
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
  reason: "execution_timeout" | "cancelled";
}

/** The tenant's shards have changed: ask again which there are. */
export interface ShardsFrame {
  type: "shards";
}

/** The worker broke the protocol; the socket closes after this frame. */
export interface ErrorFrame {
  type: "error";
  code: SessionErrorCode;
  detail: string;
}
