/**
 * One shard of the dispatcher: holds the sessions of some workers and hands them tasks.
 *
 * This class wires; `dispatcher/` decides. Everything in memory may vanish at any await (hibernation,
 * eviction, deploy); what must not is in Postgres or in the object's own storage. Its public methods
 * can be called by the edge Worker; everything else is `#private`.
 */
import { DurableObject } from "cloudflare:workers";
import type { DatabaseConfig } from "../database/connect.ts";
import type { LaneRow } from "../database/rows.ts";
import { ShardDatabase } from "../database/shard-database.ts";
import { type MessageBindings, messageQueueOf } from "../messages/choice.ts";
import type { TaskError } from "../protocol/errors.ts";
import type { ShardLoad, WorkerRecord } from "../protocol/http.ts";
import type { LimitKeyState, WaitReason } from "../protocol/limit-bodies.ts";
import { MAX_LIMIT_KEYS } from "../protocol/limits.ts";
import { runIdOf } from "../protocol/ids.ts";
import { PING, PONG, SUBPROTOCOL, type TaskFrame } from "../protocol/session.ts";
import type { RunState } from "../protocol/states.ts";
import { createLogger, errorFields } from "../telemetry/log.ts";
import { ALARM_DROPPED_MS, IDLE_CONNECTION_MS } from "./dispatcher/limits.ts";
import { isRunTimer, transitionOf } from "./dispatcher/due.ts";
import { errorOf } from "./dispatcher/task-errors.ts";
import { explain, explainAttempt, explainLane, keysOf } from "./dispatcher/explain.ts";
import type { OwnWorkerExports, OwnWorkerFrame } from "./own-worker.ts";
import { parseShardName } from "./dispatcher/shard-name.ts";
import { nextAlarm } from "./dispatcher/timers.ts";
import type { StartCall, StartOutcome } from "./dispatcher/transitions.ts";
import { ShardAdmission } from "./shard-admission.ts";
import { ShardAttempts } from "./shard-attempts.ts";
import { ShardCommits } from "./shard-commits.ts";
import { ShardLanding } from "./shard-landing.ts";
import { ShardMatches } from "./shard-matches.ts";
import { ShardSessions } from "./shard-sessions.ts";
import { ShardState } from "./shard-state.ts";

/** While it works on deadlines, the alarm is set this far ahead, should it not come to its end. */
const ALARM_MARGIN_MS = 10_000;

/** What `start` answers. Only `committed` is durable. */
export type StartAnswer =
  | { kind: "committed"; outcome: StartOutcome }
  | { kind: "overloaded" }
  /** Postgres has not answered in time: it may be durable, now or later. */
  | { kind: "unanswered" }
  | { kind: "refused"; message: string };

/** What `cancel` answers: the runs that are over, by this call or since before. */
export type CancelAnswer =
  | { kind: "committed"; cancelled: string[] }
  | { kind: "overloaded" }
  | { kind: "unanswered" };

/** What the platform gives a shard. */
export type ShardEnvironment = DatabaseConfig & MessageBindings;

export class DispatcherShard extends DurableObject<ShardEnvironment> {
  #state: ShardState;
  #attempts: ShardAttempts;
  #sessions: ShardSessions;
  #matches: ShardMatches;
  #commits: ShardCommits;
  #database: ShardDatabase;
  #armedAt: number | undefined;

  constructor(context: DurableObjectState, env: ShardEnvironment) {
    super(context, env);
    const name = parseShardName(context.id.name);
    const log = createLogger({ tenant_id: name.tenant, shard: name.shard }, env.LOG_LEVEL);
    this.#state = new ShardState(name, context.storage, log);
    this.#attempts = new ShardAttempts(this.#state);
    this.#sessions = new ShardSessions(this.#state, this.#attempts, context, (tasks) => {
      void this.#giveToOwnWorker(tasks);
    });
    this.#database = new ShardDatabase(env, name.tenant);
    this.#matches = new ShardMatches(this.#state);
    const admission = new ShardAdmission(this.#state, this.#attempts);
    const landing = new ShardLanding(this.#state, this.#attempts, this.#matches, admission);
    const { limits } = this.#attempts;
    this.#commits = new ShardCommits(this.#state, { landing, admission, limits }, this.#database, {
      arm: (at) => this.#arm(at),
      settle: () => this.#settle(),
      abandon: (reason) => context.abort(reason),
      messages: messageQueueOf(env, this.#database),
    });
    context.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    void context.blockConcurrencyWhile(async () => {
      this.#armedAt = (await context.storage.getAlarm()) ?? undefined;
    });
  }

  /** Takes a worker's WebSocket; the edge Worker has authenticated it. */
  override fetch(_request: Request): Response {
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    this.#sessions.accept(server);
    return new Response(null, {
      status: 101,
      webSocket: client,
      headers: { "sec-websocket-protocol": SUBPROTOCOL },
    });
  }

  /** Makes events and runs durable, and answers once they are. Safe to call again with the same ids. */
  async start(call: StartCall): Promise<StartAnswer> {
    const { committer, pendingCalls } = this.#state;
    const isHeldUp = call.canComeAgain === true && this.#commits.isHeldUp(Date.now());
    if (isHeldUp || committer.isOverloaded(call.bytes)) return { kind: "overloaded" };
    await this.#commits.ensureVersions(call.runs.map(({ v }) => v));
    const { promise, resolve } = Promise.withResolvers<StartAnswer>();
    const pending = pendingCalls.add(Date.now(), () => resolve({ kind: "unanswered" }));
    const answer = (kind: StartAnswer): void => {
      pendingCalls.end(pending);
      resolve(kind);
    };
    committer.add({
      kind: "start",
      call,
      bytes: call.bytes,
      landed: (outcome) => answer({ kind: "committed", outcome }),
      refused: (error) => answer({ kind: "refused", message: errorFields(error).error }),
    });
    this.#commits.pump();
    return promise;
  }

  /** Ends runs, and answers once that is durable. A run that has finished is left as it is. */
  async cancel(calls: { run: string; error: TaskError }[]): Promise<CancelAnswer> {
    const { committer, pendingCalls } = this.#state;
    if (calls.length === 0) return { kind: "committed", cancelled: [] };
    if (committer.isOverloaded(0)) return { kind: "overloaded" };
    const { promise, resolve } = Promise.withResolvers<CancelAnswer>();
    const pending = pendingCalls.add(Date.now(), () => resolve({ kind: "unanswered" }));
    const cancelled: string[] = [];
    let left = calls.length;
    const settle = (): void => {
      if (--left > 0) return;
      pendingCalls.end(pending);
      resolve({ kind: "committed", cancelled });
    };
    for (const { run, error } of calls) {
      committer.add({
        kind: "cancel",
        row: { r: run, e: error },
        bytes: 0,
        landed: (isCancelled) => {
          if (isCancelled) cancelled.push(run);
          settle();
        },
        refused: settle,
      });
    }
    this.#commits.pump();
    return promise;
  }

  /** The workers that are connected, or were a moment ago. */
  workers(): WorkerRecord[] {
    return this.#sessions.list();
  }

  /** What is in memory now. */
  load(): Omit<ShardLoad, "number"> {
    const { roster, leases, window, backlog, permits, buckets, committer } = this.#state;
    return {
      sessions: roster.size,
      attempts: leases.size,
      readyTasks: window.size,
      readyBytes: window.bytes,
      lanes: window.laneCount,
      queuedLanes: backlog.known,
      heldKeys: permits.size,
      buckets: buckets.size,
      pendingBytes: committer.pendingBytes,
    };
  }

  /** How a limit is used here now: its keys with most waiting first, at most 100. */
  limitState(name: string): { keys: LimitKeyState[]; hasMoreKeys: boolean } {
    const keys = keysOf(name, this.#state, Date.now());
    return { keys: keys.slice(0, MAX_LIMIT_KEYS), hasMoreKeys: keys.length > MAX_LIMIT_KEYS };
  }

  /** Why a task that came to this lane now would not run. Undefined: nothing is known of the lane. */
  whyLane(lane: LaneRow): WaitReason | undefined {
    return explainLane(lane, this.#state, Date.now());
  }

  /** Why each of these tasks is not running; undefined: it is not in this shard's memory. */
  why(tasks: readonly string[]): (WaitReason | undefined)[] {
    const now = Date.now();
    return tasks.map((task) => {
      const lease = this.#state.leases.ofTask(task);
      return lease === undefined
        ? explain(task, this.#state, now)
        : explainAttempt(lease, this.#state, now);
    });
  }

  /** Lets a worker take no tasks, or tasks again. False: there is no such session. */
  pauseWorker(session: string, isPaused: boolean): boolean {
    const isKnown = this.#sessions.pause(session, isPaused);
    this.#settle();
    return isKnown;
  }

  /** Asks a worker to finish what it has and leave. False: there is no such session. */
  drainWorker(session: string): boolean {
    const isKnown = this.#sessions.drain(session);
    this.#settle();
    return isKnown;
  }

  /** The state of a finished run, as soon as it has finished; undefined when that takes too long. */
  waitForRun(run: string, timeoutMs: number): Promise<RunState | undefined> {
    const deadline = Date.now() + timeoutMs;
    this.#arm(deadline);
    return this.#state.waiters.wait(run, deadline);
  }

  /** Reminds the shard that Postgres has something for it: after a dropped alarm, or a resumption. */
  nudge(): void {
    this.#commits.wantAnotherLook();
    this.#settle();
  }

  /** Resolves once limits are in force as they have been since this version, or that takes too long. */
  async heedLimits(version: number): Promise<void> {
    const { book, pendingCalls } = this.#state;
    if ((book.version ?? 0) >= version) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const pending = pendingCalls.add(Date.now(), resolve);
    const forget = book.whenKnown(version, resolve);
    this.nudge();
    await promise;
    pendingCalls.end(pending);
    forget();
  }

  /** What Skein's own worker says of attempts that it was given, perhaps by an earlier life. */
  hearOwnWorker(frames: OwnWorkerFrame[]): void {
    this.#sessions.hearOwn(frames);
    this.#commits.wantRecovery();
    this.#settle();
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    this.#sessions.receive(socket, message);
    this.#commits.wantRecovery();
    this.#settle();
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#sessions.closed(socket, code);
    closeOurSide(socket);
    this.#settle();
    this.#armForAll();
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket, 1006);
  }

  /** Whatever is due by now. At least once: everything here may happen again. */
  override async alarm(): Promise<void> {
    const now = Date.now();
    try {
      this.#armedAt = undefined;
      this.#arm(now + ALARM_MARGIN_MS);
      // What a life before this one was to wake for, Postgres knows.
      if ((this.#state.storage.readRest() ?? now) <= now) this.#commits.wantRecovery();
      this.#sessions.enforceDeadlines(now);
      this.#attempts.enforceDeadlines(now, (session) => this.#sessions.heardAt(session));
      this.#attempts.recordStarts(now);
      this.#state.waiters.expire(now);
      this.#state.pendingCalls.expire(now);
      this.#commits.enforceDeadlines(now);
      this.#settle();
      this.#closeWhenIdle(now);
      await this.#rearm();
    } catch (error) {
      // An alarm that throws is tried six times and dropped; the margin above is tried for ever.
      this.#state.log.error("alarm.failed", errorFields(error));
    }
  }

  /** Places what can be placed, sends what there is to send, commits what may fly. */
  #settle(): void {
    const now = Date.now();
    const { window, agenda, turns, returns } = this.#state;
    // An alarm that stands looks at everything when it goes off; what is due sooner sets its own.
    const isUnarmed = this.#standingAlarm(now) === undefined;
    this.#fireTimers(now);
    const due = this.#attempts.dispatch(now);
    this.#sessions.flush();
    this.#commits.pump();
    const nextOpening = Math.min(turns.nextOpening(), returns.nextOpening);
    this.#arm(Math.min(due, window.nextExpiry(), agenda.nextDue(), nextOpening));
    // One that is past has been asked for, or waits for the commit that is on its way.
    if (window.queueExpiry > now) this.#arm(window.queueExpiry);
    if (isUnarmed) this.#armForAll();
  }

  /** It has them once the call returns; what comes of them it says by `hearOwnWorker`. */
  async #giveToOwnWorker(tasks: TaskFrame[]): Promise<void> {
    const refs = tasks.map(({ task, attempt }) => ({ task, attempt }));
    const { name, log } = this.#state;
    const { exports } = this.ctx as unknown as { exports: OwnWorkerExports };
    try {
      await exports.OwnWorker.execute(name, tasks);
      this.hearOwnWorker([{ type: "received", attempts: refs }]);
    } catch (error) {
      log.warn("own_worker.unreachable", errorFields(error));
      const what = errorOf("not_received", "Skein's own worker could not be reached.");
      const now = Date.now();
      const of = { shard: name.shard, error: what, startedAt: now, finishedAt: now };
      this.hearOwnWorker(refs.map((ref) => ({ type: "failed", ...ref, ...of })));
    }
  }

  /** What was to happen by now becomes part of the next commit. */
  #fireTimers(now: number): void {
    const { agenda, committer, matching, looking } = this.#state;
    const elapsed: string[] = [];
    for (const timer of agenda.take(now)) {
      if (isRunTimer(timer)) committer.add(transitionOf(timer));
      else if (timer.k === "match") matching.add(timer.id);
      else if (timer.k === "look") looking.add(timer.id);
      else elapsed.push(timer.id);
    }
    for (const task of elapsed) this.#matches.elapse(task, runIdOf(task));
    this.#matches.begin();
  }

  #closeWhenIdle(now: number): void {
    const usedAt = this.#database.connectionUsedAt;
    if (usedAt === undefined || usedAt + IDLE_CONNECTION_MS > now) return;
    this.#commits.pump(true);
    if (!this.#commits.isIdle) return;
    this.#database.closeAll();
    this.#attempts.limits.prune(now);
    this.#commits.rest();
  }

  #nextAlarm(): number | undefined {
    return nextAlarm({
      ...this.#state,
      // While something is under way its own deadline counts; the connection closes after it.
      connectionUsedAt: this.#commits.isIdle ? this.#database.connectionUsedAt : undefined,
      recoveryDue: this.#commits.recoveryDue,
      heardAt: (session) => this.#sessions.heardAt(session),
    });
  }

  #armForAll(): void {
    const due = this.#nextAlarm();
    if (due !== undefined) this.#arm(due);
  }

  /** When the alarm goes off; undefined without one, or when it is so late that it was dropped. */
  #standingAlarm(now: number): number | undefined {
    const at = this.#armedAt;
    return at !== undefined && at + ALARM_DROPPED_MS > now ? at : undefined;
  }

  /** Sets the alarm, unless it goes off before that anyway. */
  #arm(at: number): void {
    if (!Number.isFinite(at)) return;
    const now = Date.now();
    const standing = this.#standingAlarm(now);
    if (standing !== undefined && standing <= Math.max(at, now + 1)) return;
    void this.#setAlarm(at);
  }

  /** Sets the alarm to exactly what is due next, or to none. */
  async #rearm(): Promise<void> {
    const due = this.#nextAlarm();
    if (due !== undefined) return await this.#setAlarm(due);
    this.#armedAt = undefined;
    await this.ctx.storage.deleteAlarm();
  }

  /**
   * Never to a moment that has come: an alarm that is set to the time of the one going off is taken
   * for that very one, and is dropped with it.
   */
  async #setAlarm(at: number): Promise<void> {
    this.#armedAt = Math.max(at, Date.now() + 1);
    await this.ctx.storage.setAlarm(this.#armedAt);
  }
}

/** Until both sides have closed, the worker's program waits for the other and does not end. */
function closeOurSide(socket: WebSocket): void {
  try {
    socket.close(1000);
  } catch {
    // The connection is gone, and with it the other side.
  }
}
