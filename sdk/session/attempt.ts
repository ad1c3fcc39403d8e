/**
 * One attempt in this worker's hands, from its task frame until its result is recorded: what it is,
 * how far it is, and what its handler has asked for. It decides nothing; `in-flight.ts` does.
 */
import type { TaskFrame } from "../../protocol/session.ts";
import type { TaskLog } from "../context.ts";
import { DefinitionError, SkeinError, type TaskAbortedError } from "../errors.ts";
import { AttemptLog } from "./attempt-log.ts";
import { Children } from "./children.ts";
import { Deadline } from "./deadline.ts";
import type { Slots } from "./slots.ts";

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
  /** Where it has its slot from. */
  readonly slots: Slots<Attempt>;
  route: Route;
  /** The connection that it came by: its slots are those of that one's shard, whoever reports for it. */
  readonly origin: Route;
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
  #hasEnded = false;
  #listeners: ((reason: Error) => void)[] = [];
  // What most handlers never use is made when it is first used.
  #log: AttemptLog | null = null;
  #deadline: Deadline | null = null;
  #children: Children | null = null;
  #settlements: Map<string, string> | null = null;

  constructor(frame: TaskFrame, route: Route, slots: Slots<Attempt>) {
    this.frame = frame;
    this.route = this.origin = route;
    this.slots = slots;
    this.key = attemptKey(frame.task, frame.attempt);
  }

  get isAborted(): boolean {
    return this.#reason !== null;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get log(): TaskLog {
    this.#log ??= new AttemptLog(this);
    return this.#log;
  }

  get deadline(): Deadline {
    this.#deadline ??= new Deadline(this);
    return this.#deadline;
  }

  get children(): Children {
    this.#children ??= new Children(this);
    return this.#children;
  }

  /** Says what has been taken of a limit, once. */
  settle(limit: string, used: number): void {
    this.#settlements ??= new Map();
    if (this.#settlements.has(limit)) {
      throw new DefinitionError(`Step "${this.frame.step}" settles "${limit}" twice: say it once`);
    }
    const frame = `{"type":"settle",${this.refText},"limit":${JSON.stringify(limit)},"used":${used}}`;
    this.#settlements.set(limit, frame);
    this.route.send(frame);
  }

  /** Says it again, on a new socket: nobody answers it, and the second changes nothing. */
  repeatSettlements(): void {
    for (const frame of this.#settlements?.values() ?? []) this.route.send(frame);
  }

  /** Aborts the handler; the first reason stays. */
  abort(reason: TaskAbortedError): void {
    this.#reason ??= reason;
    this.#tellOver();
    this.#controller?.abort(this.#reason);
  }

  /** The handler has ended: what it asked for and did not wait for can't be told it any more. */
  handlerEnded(): void {
    this.#hasEnded = true;
    this.#tellOver();
  }

  /** Nothing more can be asked for: it was aborted, or its handler has ended. */
  get isOver(): boolean {
    return this.#hasEnded || this.#reason !== null;
  }

  throwIfOver(): void {
    if (this.isOver) throw this.#whyOver();
  }

  /** Calls the listener once it is over. */
  whenOver(listener: (reason: Error) => void): void {
    this.#listeners.push(listener);
    if (this.isOver) this.#tellOver();
  }

  /** Says again, on a new socket, what the handler has asked for and not been answered. */
  repeat(): void {
    if (this.isOver) return;
    this.#deadline?.repeat();
    this.#children?.repeat();
  }

  #tellOver(): void {
    if (this.#listeners.length === 0) return;
    const reason = this.#whyOver();
    for (const listener of this.#listeners.splice(0)) listener(reason);
  }

  #whyOver(): Error {
    if (this.#reason !== null) return this.#reason;
    const { step, attempt } = this.frame;
    const detail = `Attempt ${attempt} of step "${step}" is over: a handler must await what it asks for before it ends`;
    return new SkeinError({ status: 0, code: "attempt_over", detail });
  }

  /** `"task":…,"attempt":…`, as every frame about it carries. */
  get refText(): string {
    return `"task":${JSON.stringify(this.frame.task)},"attempt":${this.frame.attempt}`;
  }
}

export function attemptKey(task: string, attempt: number): string {
  return `${task}/${attempt}`;
}
