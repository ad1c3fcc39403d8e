/**
 * Every attempt in this worker's hands: which run, which wait for a slot, and which have a result
 * that no shard has recorded. It never runs an attempt twice, never more handlers than slots, and
 * never forgets a result before it is answered. Nothing here walks all attempts for one frame.
 */
import type {
  AttemptRef,
  CancelFrame,
  ChildFrame,
  ExtendedFrame,
  ReturnedFrame,
  SpawnedFrame,
  TaskFrame,
} from "../../protocol/session.ts";
import { type AbortCode, TaskAbortedError } from "../errors.ts";
import { Attempt, attemptKey, type Route } from "./attempt.ts";
import { type Outcome, releasedFrame, resultFrame } from "./result.ts";
import { Slots } from "./slots.ts";

/** Runs an attempt's handler. Never rejects: what goes wrong is an outcome. */
export type Execute = (attempt: Attempt) => Promise<Outcome>;

export class InFlight {
  readonly #slots: Slots<Attempt>;
  readonly #execute: Execute;
  readonly #attempts = new Map<string, Attempt>();
  readonly #newestOfTask = new Map<string, Attempt>();
  readonly #running = new Set<Attempt>();
  #watchers: { isReached: () => boolean; resolve: () => void }[] = [];

  constructor(slots: number, execute: Execute) {
    this.#slots = new Slots(slots, ({ frame }) => frame.slots ?? 1);
    this.#execute = execute;
  }

  /** Handlers that have not ended, also those that wait and those whose attempt was taken away. */
  get runningCount(): number {
    return this.#running.size;
  }

  /** Calls `listener` with the slots that attempts of each connection take now, and with every change. */
  watchUse(listener: (origin: Route, slots: number) => void): void {
    this.#slots.watch(({ origin }, slots) => listener(origin, slots));
  }

  /** A task frame: runs it, unless it is known already. */
  receive(frame: TaskFrame, route: Route): void {
    const known = this.#attempts.get(attemptKey(frame.task, frame.attempt));
    if (known !== undefined) {
      known.route = route;
      if (known.result !== null) route.send(known.result);
      return;
    }
    const other = this.#newestOfTask.get(frame.task);
    if (other !== undefined && other.frame.attempt > frame.attempt) {
      route.send(releasedFrame(frame));
      return;
    }
    if (other !== undefined) this.#supersede(other);
    this.#start(new Attempt(frame, route, this.#slots));
  }

  /** A cancel frame: aborts the handler; its slot is given back once it has ended. */
  cancel(frame: CancelFrame, route: Route): void {
    const attempt = this.#find(frame);
    if (attempt === undefined) {
      route.send(releasedFrame(frame)); // It ended, or never came: its slot is free here.
      return;
    }
    if (attempt.state === "reported") return; // Its result is on its way, and frees the slot.
    attempt.isCancelled = true;
    attempt.abort(abortError(frame.reason));
    if (attempt.state === "waiting") {
      this.#forget(attempt);
      attempt.route.send(releasedFrame(frame));
    }
  }

  /** The shard has answered: the result is recorded, or will never be. Gives what it was of. */
  settle(ref: AttemptRef): Attempt | undefined {
    const attempt = this.#find(ref);
    // A cancelled one owes the shard its slot, whatever else it asked for too late.
    if (attempt !== undefined && !attempt.isCancelled) this.#abandon(attempt, "stale");
    return attempt;
  }

  /** The shard has answered what a handler asked for. */
  answer(frame: ExtendedFrame | ReturnedFrame | SpawnedFrame | ChildFrame): void {
    const attempt = this.#find(frame);
    if (attempt === undefined || attempt.isOver) return;
    if (frame.type === "extended") attempt.deadline.confirm(frame.timeoutMs);
    else if (frame.type === "returned") attempt.children.returned(frame);
    else if (frame.type === "spawned") attempt.children.spawned(frame);
    else attempt.children.finished(frame);
  }

  /** What `hello` says of a connection: attempts that run or whose results are unanswered. */
  attemptsOf(route: Route): AttemptRef[] {
    return this.#ofRoute(route).map(({ frame: { task, attempt } }) => ({ task, attempt }));
  }

  /**
   * Says again what a connection's shard may not have heard: what was used, which it would not believe
   * after the result, then results, and what handlers ask for.
   */
  repeat(route: Route): void {
    for (const attempt of this.#ofRoute(route)) {
      attempt.repeatSettlements();
      if (attempt.result === null) attempt.repeat();
      else route.send(attempt.result);
    }
  }

  /** The leases of a connection are over: its unfinished attempts are another worker's soon. */
  loseLeases(route: Route): number {
    const lost = this.#ofRoute(route).filter((attempt) => attempt.state !== "reported");
    for (const attempt of lost) this.#abandon(attempt, "lease_lost");
    return lost.length;
  }

  /** Another connection reports for one that will not come back: its shard forwards. */
  reroute(from: Route, to: Route): void {
    for (const attempt of this.#ofRoute(from)) {
      attempt.route = to;
      if (attempt.result !== null) to.send(attempt.result);
    }
  }

  /** Aborts every handler that runs; a result it still returns is reported. */
  abortAll(code: AbortCode): void {
    for (const attempt of this.#attempts.values()) {
      if (attempt.state === "waiting") this.#abandon(attempt, code);
    }
    for (const attempt of this.#running) attempt.abort(abortError(code));
  }

  /** Resolves once no handler runs and none waits. */
  whenIdle(): Promise<void> {
    return this.#when(() => this.#running.size === 0 && this.#slots.waitingCount === 0);
  }

  /** Resolves once every result is answered. */
  whenSettled(): Promise<void> {
    return this.#when(() => this.#attempts.size === 0);
  }

  /** Resolves once every result that goes by this connection is answered. */
  whenSettledOf(route: Route): Promise<void> {
    return this.#when(() => this.#ofRoute(route).length === 0);
  }

  #start(attempt: Attempt): void {
    this.#attempts.set(attempt.key, attempt);
    this.#newestOfTask.set(attempt.frame.task, attempt);
    this.#slots.take(attempt, () => void this.#run(attempt));
  }

  async #run(attempt: Attempt): Promise<void> {
    this.#running.add(attempt);
    attempt.state = "running";
    attempt.startedAt = Date.now();
    const outcome = await this.#execute(attempt);
    attempt.handlerEnded();
    this.#running.delete(attempt);
    this.#report(attempt, outcome);
    this.#slots.giveBack(attempt);
    this.#notify();
  }

  #report(attempt: Attempt, outcome: Outcome): void {
    if (attempt.isAbandoned) return;
    if (attempt.isCancelled) {
      this.#forget(attempt);
      attempt.route.send(releasedFrame(attempt.frame));
      return;
    }
    if (attempt.isAborted && outcome.type !== "completed") {
      // Stopped with the worker, not failed by itself: unreported, the shard gives it to another.
      attempt.isAbandoned = true;
      this.#forget(attempt);
      return;
    }
    attempt.state = "reported";
    attempt.result = resultFrame(attempt, outcome);
    attempt.route.send(attempt.result);
  }

  // The older attempt's slot is given back when its handler ends, as if it had been cancelled.
  #supersede(older: Attempt): void {
    if (older.state === "reported") {
      this.#abandon(older, "stale"); // The shard has moved on: it would answer `stale`.
      return;
    }
    older.isCancelled = true;
    older.abort(abortError("stale"));
    if (older.state === "running") return;
    this.#forget(older);
    older.route.send(releasedFrame(older.frame));
  }

  #abandon(attempt: Attempt, code: AbortCode): void {
    attempt.isAbandoned = true;
    if (attempt.state !== "reported") attempt.abort(abortError(code));
    this.#forget(attempt);
  }

  #forget(attempt: Attempt): void {
    this.#attempts.delete(attempt.key);
    if (attempt.state === "waiting") this.#slots.giveBack(attempt); // Its place in the queue.
    const { task } = attempt.frame;
    if (this.#newestOfTask.get(task) === attempt) this.#newestOfTask.delete(task);
    this.#notify();
  }

  #find({ task, attempt }: AttemptRef): Attempt | undefined {
    return this.#attempts.get(attemptKey(task, attempt));
  }

  // Walks all: only when a socket opens or a lease ends.
  #ofRoute(route: Route): Attempt[] {
    return [...this.#attempts.values()].filter((attempt) => attempt.route === route);
  }

  #when(isReached: () => boolean): Promise<void> {
    if (isReached()) return Promise.resolve();
    return new Promise((resolve) => this.#watchers.push({ isReached, resolve }));
  }

  #notify(): void {
    if (this.#watchers.length === 0) return;
    const reached = this.#watchers.filter((watcher) => watcher.isReached());
    this.#watchers = this.#watchers.filter((watcher) => !reached.includes(watcher));
    for (const watcher of reached) watcher.resolve();
  }
}

const ABORT_TEXTS: Record<AbortCode, string> = {
  cancelled: "The run was cancelled",
  execution_timeout: "The attempt took longer than its step's timeout",
  run_timeout: "The run took longer than its workflow's timeout",
  lost: "The worker did not confirm the task in time: it was given to another attempt",
  lease_lost: "There was no contact with the shard for too long: the task goes to another worker",
  stale: "The task was given to another attempt, or ended otherwise",
  worker_stopped: "The worker stopped before the handler had finished",
};

function abortError(code: AbortCode): TaskAbortedError {
  return new TaskAbortedError(code, ABORT_TEXTS[code]);
}
