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
import type { WaitReason } from "../protocol/limit-bodies.ts";
import { runIdOf } from "../protocol/ids.ts";
import type { ShardMap } from "../protocol/shard-map.ts";
import { PING, PONG } from "../protocol/session.ts";
import type { RunState } from "../protocol/states.ts";
import { createLogger, errorFields } from "../telemetry/log.ts";
import { IDLE_CONNECTION_MS } from "./dispatcher/limits.ts";
import { isRunTimer, transitionOf } from "./dispatcher/due.ts";
import type { ServingQuestion } from "./dispatcher/explain.ts";
import type { HeldHere, KeyUse, LimitKeyPart, UseQuestion } from "./dispatcher/limit-uses.ts";
import { giveToOwnWorker, type OwnWorkerFrame } from "./own-worker.ts";
import type {
  BorrowCall,
  HeldReport,
  LendCall,
  LoanGrant,
  PeerAnswer,
  PeerHeader,
} from "./dispatcher/loan-messages.ts";
import type { CountId } from "./dispatcher/permits.ts";
import { parseShardName } from "./dispatcher/shard-name.ts";
import { nextAlarm } from "./dispatcher/timers.ts";
import type { StartCall } from "./dispatcher/transitions.ts";
import { ShardAdmission } from "./shard-admission.ts";
import { ShardAlarm } from "./shard-alarm.ts";
import { ShardAttempts } from "./shard-attempts.ts";
import { type CancelAnswer, ShardCalls, type StartAnswer } from "./shard-calls.ts";
import { ShardClosing } from "./shard-closing.ts";
import { ShardCommits } from "./shard-commits.ts";
import { type ForwardedReport, ShardForwards, type Verdict } from "./shard-forwards.ts";
import { ShardLanding } from "./shard-landing.ts";
import { ShardMatches } from "./shard-matches.ts";
import { ShardLoans } from "./shard-loans.ts";
import { ShardOpening } from "./shard-opening.ts";
import { type PeerBindings, peersWithin, ShardPeers } from "./shard-peers.ts";
import { ShardSessions } from "./shard-sessions.ts";
import { ShardState } from "./shard-state.ts";
import { ShardWhy } from "./shard-why.ts";

/** While it works on deadlines, the alarm is set this far ahead, should it not come to its end. */
const ALARM_MARGIN_MS = 10_000;

/** What the platform gives a shard. */
export type ShardEnvironment = DatabaseConfig & MessageBindings & PeerBindings;

export class DispatcherShard extends DurableObject<ShardEnvironment> {
  #state: ShardState;
  #attempts: ShardAttempts;
  #sessions: ShardSessions;
  #matches: ShardMatches;
  #commits: ShardCommits;
  #database: ShardDatabase;
  #peers: ShardPeers;
  #loans: ShardLoans;
  #closing: ShardClosing;
  #opening: ShardOpening;
  #forwards: ShardForwards;
  #calls: ShardCalls;
  #why: ShardWhy;
  #alarm: ShardAlarm;

  constructor(context: DurableObjectState, env: ShardEnvironment) {
    super(context, env);
    const name = parseShardName(context.id.name);
    const log = createLogger({ tenant_id: name.tenant, shard: name.shard }, env.LOG_LEVEL);
    this.#alarm = new ShardAlarm(context.storage);
    this.#state = new ShardState(name, context.storage, log);
    this.#attempts = new ShardAttempts(this.#state);
    this.#sessions = new ShardSessions(this.#state, this.#attempts, context, (tasks) => {
      void giveToOwnWorker(context, this.#state, tasks).then((frames) =>
        this.hearOwnWorker(frames),
      );
    });
    this.#database = new ShardDatabase(env, name.tenant);
    this.#matches = new ShardMatches(this.#state);
    const admission = new ShardAdmission(this.#state, this.#attempts);
    this.#peers = new ShardPeers(this.#state, peersWithin(env, context.id.jurisdiction), (map) => {
      this.#loans.heedOwnership(Date.now());
      this.#closing.announce(map);
    });
    this.#forwards = new ShardForwards(this.#state, this.#sessions.frames, this.#peers, {
      settle: () => {
        this.#commits.wantRecovery();
        this.#settle();
      },
      askToReconnect: (session) => this.#sessions.askToReconnect(session),
    });
    this.#sessions.frames.forwards = this.#forwards;
    this.#closing = new ShardClosing(this.#state, this.#sessions, this.#peers, this.#database);
    this.#loans = new ShardLoans(this.#state, this.#attempts, this.#peers, {
      arm: (at) => this.#alarm.arm(at),
      settle: () => this.#settle(),
      isRecovered: () => this.#commits.isRecovered(),
    });
    const landing = new ShardLanding(
      this.#state,
      this.#attempts,
      this.#matches,
      admission,
      this.#peers,
    );
    const { limits } = this.#attempts;
    const effects = { landing, limits, peers: this.#peers, loans: this.#loans };
    this.#commits = new ShardCommits(this.#state, effects, this.#database, {
      arm: (at) => this.#alarm.arm(at),
      settle: () => this.#settle(),
      abandon: (reason) => context.abort(reason),
      messages: messageQueueOf(env, this.#database),
    });
    this.#opening = new ShardOpening(this.#state, this.#sessions, this.#commits);
    this.#calls = new ShardCalls(this.#state, this.#commits);
    this.#why = new ShardWhy(this.#state, this.#peers, () => this.#commits.isRecovered());
    context.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    void context.blockConcurrencyWhile(() => this.#alarm.restore());
  }

  /** Takes a worker's WebSocket; the edge Worker has authenticated it. */
  override fetch(request: Request): Response {
    const response = this.#sessions.accept(request);
    this.#alarm.arm(Math.min(this.#attempts.takeDue(), this.#sessions.nextDue));
    return response;
  }

  /** Makes events and runs durable, and answers once they are. Safe to call again with the same ids. */
  start(call: StartCall): Promise<StartAnswer> {
    return this.#calls.start(call);
  }

  /** Ends runs, and answers once that is durable. A run that has finished is left as it is. */
  cancel(calls: { run: string; error: TaskError }[]): Promise<CancelAnswer> {
    return this.#calls.cancel(calls);
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
      refusedHandshakes: this.#sessions.refused,
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

  /** How a limit is used here now: its keys with most waiting first, at most 100; of all or of some. */
  limitState(name: string, only?: string[]): { keys: LimitKeyPart[]; hasMoreKeys: boolean } {
    return this.#why.limitState(name, only);
  }

  /** Why a task that came to this lane now would not run. Undefined: nothing is known of the lane. */
  whyLane(lane: LaneRow): Promise<WaitReason | undefined> {
    return this.#why.whyLane(lane);
  }

  /** Why each of these tasks is not running; undefined: it is not in this shard's memory. */
  why(tasks: readonly string[]): Promise<(WaitReason | undefined)[]> {
    return this.#why.why(tasks);
  }

  /** Lets a worker take no tasks, or tasks again. False: there is no such session. */
  pauseWorker(session: string, isPaused: boolean): boolean {
    const isKnown = this.#sessions.readiness.askPause(session, isPaused);
    this.#settle();
    return isKnown;
  }

  /** Asks a worker to finish what it has and leave. False: there is no such session. */
  drainWorker(session: string): boolean {
    const isKnown = this.#sessions.readiness.askDrain(session);
    this.#settle();
    return isKnown;
  }

  /** The state of a finished run, as soon as it has finished; undefined when that takes too long. */
  waitForRun(run: string, timeoutMs: number): Promise<RunState | undefined> {
    const deadline = Date.now() + timeoutMs;
    this.#alarm.arm(deadline);
    return this.#state.waiters.wait(run, deadline);
  }

  /** Reminds the shard that Postgres has something for it: after a dropped alarm, or a resumption. */
  nudge(): void {
    this.#commits.wantAnotherLook();
    this.#settle();
  }

  /** The tenant's shards are these now. How many workers here go where they are told. */
  heedShards(map: ShardMap): number {
    this.#peers.heed(map);
    if (this.#closing.isDraining) this.#commits.wantAnotherLook(); // after it, it may have nothing left
    this.#settle();
    return this.#opening.countFollowing(Date.now());
  }

  /** It takes runs soon: whether it is ready, with so many workers, as soon as it is or once that takes too long. */
  open(map: ShardMap, workers: number): Promise<boolean> {
    this.#peers.heed(map);
    this.#commits.wantAnotherLook({ isWarming: true });
    const ready = this.#opening.wait(workers, Date.now());
    this.#armForAll();
    this.#settle();
    return ready;
  }

  /** Another shard of the tenant needs something of a limit that is counted here, or says what it lends or owns. */
  hearBorrow(call: BorrowCall): Promise<PeerAnswer<{ grants: LoanGrant[] }>> {
    return this.#onceRecovered(() => this.#loans.hearBorrow(call));
  }

  /** Another shard has been told what became of attempts that were handed out here. */
  hearReports(reports: ForwardedReport[]): Promise<Verdict[]> {
    return this.#forwards.hear(reports);
  }

  /** Another shard explains why a task waits for limits that are counted here. */
  hearUses(from: number, questions: UseQuestion[]): (KeyUse | undefined)[] {
    return this.#why.hearUses(from, questions);
  }

  /** Another shard explains who holds limits. */
  hearHeld(ids: CountId[]): HeldHere[] {
    return this.#why.hearHeld(ids);
  }

  /** Another shard explains why a task waits that none of its workers can take. */
  hearServing(questions: ServingQuestion[]): boolean[] {
    return this.#why.hearServing(questions);
  }

  hearLend(call: LendCall): Promise<PeerAnswer<object>> {
    return this.#onceRecovered(() => this.#loans.hearLend(call));
  }

  hearGather(header: PeerHeader): Promise<PeerAnswer<HeldReport>> {
    return this.#onceRecovered(() => this.#loans.hearGather(header));
  }

  /** Resolves once limits are in force as they have been since this version, or that takes too long. */
  heedLimits(version: number): Promise<void> {
    return this.#calls.heedLimits(version, () => this.nudge());
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
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket, 1006);
  }

  /** Whatever is due by now. At least once: everything here may happen again. */
  override async alarm(): Promise<void> {
    const now = Date.now();
    try {
      this.#alarm.ring();
      this.#alarm.arm(now + ALARM_MARGIN_MS);
      // What a life before this one was to wake for, Postgres knows; or it has kept this one from being closed.
      const isDue = (this.#state.storage.readRest() ?? now) <= now;
      if (isDue || this.#closing.isDraining) this.#commits.wantRecovery();
      this.#sessions.enforceDeadlines(now);
      this.#attempts.enforceDeadlines(now, (session) => this.#sessions.heardAt(session));
      this.#attempts.recordStarts(now);
      this.#state.waiters.expire(now);
      this.#state.pendingCalls.expire(now);
      this.#commits.enforceDeadlines(now);
      this.#settle();
      this.#closeWhenIdle(now);
      await this.#alarm.rearm(this.#nextAlarm());
    } catch (error) {
      // An alarm that throws is tried six times and dropped; the margin above is tried for ever.
      this.#state.log.error("alarm.failed", errorFields(error));
    }
  }

  async #onceRecovered<Answer>(hear: () => Answer): Promise<Answer> {
    await this.#commits.whenRecovered();
    return hear();
  }

  /** Places what can be placed, sends what there is to send, commits what may fly. */
  #settle(): void {
    const now = Date.now();
    const { window, agenda, turns, returns } = this.#state;
    // An alarm that stands looks at everything when it goes off; what is due sooner sets its own.
    const isUnarmed = this.#alarm.standing(now) === undefined;
    this.#fireTimers(now);
    const due = this.#attempts.dispatch(now);
    this.#loans.settle(now);
    this.#sessions.flush(now);
    this.#commits.pump();
    this.#opening.settle(now);
    const nextOpening = Math.min(turns.nextOpening(), returns.nextOpening);
    const nextWord = Math.min(this.#loans.nextDue, this.#sessions.nextDue, this.#closingDue);
    this.#alarm.arm(Math.min(due, window.nextExpiry(), agenda.nextDue(), nextOpening, nextWord));
    // One that is past has been asked for, or waits for the commit that is on its way.
    if (window.queueExpiry > now) this.#alarm.arm(window.queueExpiry);
    if (isUnarmed) this.#armForAll();
  }

  /** What was to happen by now becomes part of the next commit. */
  #fireTimers(now: number): void {
    const { agenda, committer, matching, settling } = this.#state;
    const elapsed: string[] = [];
    for (const timer of agenda.take(now)) {
      if (isRunTimer(timer)) committer.add(transitionOf(timer));
      else if (timer.k === "match") matching.add(timer.id);
      else if (timer.k === "look") settling.add(timer.id);
      else elapsed.push(timer.id);
    }
    for (const task of elapsed) this.#matches.elapse(task, runIdOf(task));
    this.#matches.begin();
  }

  #closeWhenIdle(now: number): void {
    const usedAt = this.#database.connectionUsedAt;
    const due = usedAt === undefined ? this.#closingDue : usedAt + IDLE_CONNECTION_MS;
    if (due > now) return;
    this.#commits.pump(true);
    if (!this.#commits.isIdle) return;
    this.#attempts.limits.prune(now);
    if (this.#closing.begin(now, () => this.#settle())) return;
    this.#database.closeAll();
    this.#commits.rest(this.#closing.nextDue);
  }

  /** When it may be closed that kept something; while something is under way, that comes first. */
  get #closingDue(): number {
    const isAtRest = this.#commits.isIdle && this.#database.connectionUsedAt === undefined;
    return isAtRest ? this.#closing.nextDue : Number.POSITIVE_INFINITY;
  }

  #nextAlarm(): number | undefined {
    return nextAlarm({
      ...this.#state,
      // While something is under way its own deadline counts; the connection closes after it.
      connectionUsedAt: this.#commits.isIdle ? this.#database.connectionUsedAt : undefined,
      recoveryDue: this.#commits.recoveryDue,
      loansDue: this.#loans.nextDue,
      closingDue: this.#closingDue,
      sessionsDue: this.#sessions.nextDue,
      openingDue: this.#opening.nextDue,
      heardAt: (session) => this.#sessions.heardAt(session),
    });
  }

  #armForAll(): void {
    const due = this.#nextAlarm();
    if (due !== undefined) this.#alarm.arm(due);
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
