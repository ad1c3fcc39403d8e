/**
 * One attempt in this worker's hands, from its task frame until its result is recorded: what it is,
 * how far it is, its signal and its log. It decides nothing; `in-flight.ts` does.
 */
import type { TaskFrame } from "../../protocol/session.ts";
import type { TaskLog } from "../context.ts";
import type { TaskAbortedError } from "../errors.ts";
import { AttemptLog } from "./attempt-log.ts";

/** The connection an attempt came by, and its reports go by. */
export interface Route {
  /** Sends a frame that is already JSON; drops it while there is no session. */
  send(frame: string): void;
  line(attempt: Attempt, line: string): void;
}

/**
 * - `waiting`: for one of this worker's slots
 * - `running`: its handler runs
 * - `reported`: its handler has ended; `result` is sent until the shard answers
 */
export type AttemptState = "waiting" | "running" | "reported";

export class Attempt {
  readonly frame: TaskFrame;
  /** `task/attempt`: what it is known by here. */
  readonly key: string;
  route: Route;
  state: AttemptState = "waiting";
  /** The frame of its result, once it has one. */
  result: string | null = null;
  /** The shard has asked for its end: when it has ended, its slot is given back. */
  isCancelled = false;
  /** It is no longer this worker's: whatever its handler does, nothing is sent. */
  isAbandoned = false;
  /** Log lines sent: the number of the next one. */
  linesSent = 0;
  readonly receivedAt = Date.now();
  startedAt = 0;
  #controller: AbortController | null = null;
  #reason: TaskAbortedError | null = null;
  #log: AttemptLog | null = null;

  constructor(frame: TaskFrame, route: Route) {
    this.frame = frame;
    this.route = route;
    this.key = attemptKey(frame.task, frame.attempt);
  }

  get isAborted(): boolean {
    return this.#reason !== null;
  }

  // Made when it is first read: most handlers never do.
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Aborts the handler's signal; the first reason stays. */
  abort(reason: TaskAbortedError): void {
    this.#reason ??= reason;
    this.#controller?.abort(this.#reason);
  }

  get log(): TaskLog {
    this.#log ??= new AttemptLog(this);
    return this.#log;
  }

  /** `"task":…,"attempt":…`, as every frame about it carries. */
  get refText(): string {
    return `"task":${JSON.stringify(this.frame.task)},"attempt":${this.frame.attempt}`;
  }
}

export function attemptKey(task: string, attempt: number): string {
  return `${task}/${attempt}`;
}
