/**
 * Attempts in workers' hands: hands tasks out under leases, reads what workers report of them, and
 * ends the ones that time, a vanished worker or a cancelled run has ended. Whether a failed attempt
 * is followed by another is decided here, never by a worker.
 */
import type { ResultRow } from "../database/rows.ts";
import type { TaskError } from "../protocol/errors.ts";
import { runIdOf } from "../protocol/ids.ts";
import { MAX_RESCUES } from "../protocol/limits.ts";
import { CANCEL_GRACE_MS, type CancelReason } from "../protocol/session.ts";
import { type Lease, leaseKey } from "./dispatcher/leases.ts";
import { START_RECORD_MS } from "./dispatcher/limits.ts";
import { leaseOf, taskFrame } from "./dispatcher/hand-over.ts";
import { errorOf } from "./dispatcher/task-errors.ts";
import { retryDelayMs } from "./dispatcher/retries.ts";
import type { Session } from "./dispatcher/roster.ts";
import { type Placement, schedule } from "./dispatcher/scheduler.ts";
import type { ReadyTask } from "./dispatcher/lane.ts";
import { ShardLimits } from "./shard-limits.ts";
import { ShardWaiting } from "./shard-waiting.ts";
import type { ShardState } from "./shard-state.ts";

/** What a worker's report says of its attempt. */
export interface Report {
  outcome: "completed" | "failed" | "put_back";
  output?: ResultRow["o"];
  error?: TaskError;
  /** Of one that is put back, when it is to be tried again; absent: at once, as its limits allow. */
  retryAt?: number;
  startedAt: number;
  finishedAt: number;
  /** Of the frame it came in. */
  bytes: number;
}

/** Why a task ends without an attempt. */
export type RefusalCode =
  | "schedule_timeout"
  | "invalid_key"
  | "condition_failed"
  | "wait_timeout"
  | "limit_held_by_parent";

/** Said of a task that is given to no further worker. */
const TOO_OFTEN = ` It was the ${MAX_RESCUES + 1}th worker that this task was lost with.`;

export class ShardAttempts {
  readonly limits: ShardLimits;
  readonly waiting: ShardWaiting;
  #state: ShardState;
  /** When the first deadline is that has been set since `takeDue`. */
  #due = Number.POSITIVE_INFINITY;

  constructor(state: ShardState) {
    this.#state = state;
    this.limits = new ShardLimits(state);
    this.waiting = new ShardWaiting(state);
  }

  /** A deadline has been set, perhaps before the alarm that stands. */
  noteDue(at: number): void {
    this.#due = Math.min(this.#due, at);
  }

  /** Places ready tasks and sends each to its session, leased. The time they need an alarm, if any. */
  dispatch(now: number): number {
    const { window, leases, storage } = this.#state;
    for (const task of window.expire(now)) this.#expire(task);
    const { returned, placements, evictions, parked } = schedule(this.#state, now);
    for (const task of parked) this.waiting.park(task);
    for (const { task, ofRun } of placements) if (ofRun.length > 0) this.waiting.unline(task.run);
    for (const lease of returned) this.#goOn(lease, now);
    for (const eviction of evictions) this.waiting.evict(eviction);
    const placed = placements.map((placement) => this.#handOver(placement, now));
    for (const lease of placed) {
      // A commit whose answer was lost may have readied the task, and another one brought it here.
      const older = leases.ofTask(lease.task);
      if (older) this.endAll([older]);
      leases.hold(lease);
      this.noteDue(Math.min(lease.deadline, now + START_RECORD_MS));
    }
    storage.writeLeases([...returned, ...placed]);
    this.limits.write(placements, now);
    return this.takeDue();
  }

  /** When the first of the deadlines is that have been set since this was last asked. */
  takeDue(): number {
    const due = this.#due;
    this.#due = Number.POSITIVE_INFINITY;
    return due;
  }

  /** Ends what has run out of time: attempts, receipts, slots that were not let go of. */
  enforceDeadlines(now: number, heardAt: (session: string) => number): void {
    const { leases, roster, log } = this.#state;
    for (const lease of leases.overdue(now)) {
      const limitMs = lease.deadline - lease.sentAt;
      const error = errorOf("execution_timeout", `The attempt took longer than ${limitMs} ms.`);
      this.#stop(lease, { s: "timed_out", e: error }, "execution_timeout", now);
      log.warn("task.timed_out", { ...idsOf(lease), limit_ms: limitMs });
    }
    for (const lease of leases.unreceived(now)) this.#revoke(lease, now);
    for (const lease of leases.unreleased(now)) {
      const heardBy = lease.releaseBy - CANCEL_GRACE_MS / 2;
      if (roster.find(lease.session) && heardAt(lease.session) < heardBy) {
        // It may not have been told: what it holds is its until it is heard of, or given up.
        lease.releaseBy = now + CANCEL_GRACE_MS / 2;
        this.noteDue(lease.releaseBy);
        continue;
      }
      log.warn("task.not_released", idsOf(lease));
      this.release(lease);
    }
  }

  /** Writes down who has the attempts that run long. */
  recordStarts(now: number): void {
    const { leases, roster, committer } = this.#state;
    for (const lease of leases.unrecorded(now)) {
      lease.isStartRecorded = true;
      const { task: t, run: r, attempt: a, sentAt: b } = lease;
      const w = roster.find(lease.session)?.worker ?? "";
      committer.add({ kind: "started", row: { t, r, a, w, b }, bytes: 0 });
    }
  }

  /** The worker's report, made part of the next commit. */
  report(lease: Lease, session: Pick<Session, "id">, report: Report, now: number): void {
    const { outcome: s, output: o, error: e, startedAt: b, finishedAt: f, bytes } = report;
    const d = report.retryAt;
    lease.state = "ending";
    this.#letGo(lease);
    this.#addResult(
      lease,
      { s, ...(s === "completed" && { o: o ?? null }), ...(e && { e }), b, f, d },
      now,
      {
        session: session.id,
        bytes,
      },
    );
  }

  /** The attempt never came to its worker's hands: its connection broke. */
  loseOnTheWay(lease: Lease, now: number): void {
    lease.state = "ending";
    this.#letGo(lease);
    const error = errorOf("not_received", "The task went down with its worker's connection.");
    this.#addResult(lease, { s: "lost", e: error, b: lease.sentAt, f: now }, now);
  }

  /** Ends every attempt of a session that has ended; says how many go to other workers. */
  rescueAll(session: Session, why: string, now: number): number {
    let rescued = 0;
    for (const lease of this.#state.leases.ofSession(session.id)) {
      if (lease.state !== "held") {
        this.release(lease);
        continue;
      }
      rescued++;
      this.#rescue(lease, `The worker ${session.worker} ${why}.`, now);
    }
    return rescued;
  }

  /** Ends attempts whose session ended in an earlier life, which did not come to telling Postgres. */
  rescueOrphans(now: number): void {
    const { leases, roster } = this.#state;
    for (const lease of leases.all()) {
      if (roster.find(lease.session)) continue;
      if (lease.state === "held") this.#rescue(lease, "Its worker had vanished.", now);
      else this.release(lease);
    }
  }

  /** The run of these attempts was cancelled, durably: their workers are told. */
  cancel(leases: readonly Lease[], reason: CancelReason, now: number): void {
    for (const lease of leases) {
      if (lease.state !== "held") continue; // its own result is on the way, and will be too late
      this.#state.leases.cancel(lease);
      this.#askToStop(lease, reason, now);
    }
    this.#state.storage.writeLeases(leases.filter(({ state }) => state === "cancelled"));
  }

  /** The worker has let go of an attempt that is over, or has had its time to. */
  release(lease: Lease): void {
    const { leases, storage } = this.#state;
    this.#letGo(lease);
    lease.isReleased = true;
    if (lease.state !== "cancelled") return;
    leases.end(lease);
    this.limits.leave(lease);
    storage.deleteLeases([lease]);
  }

  /** The commit that ends these attempts has landed. */
  endAll(ended: readonly Lease[]): void {
    const { leases, storage } = this.#state;
    const cancelled: Lease[] = [];
    const gone: Lease[] = [];
    for (const lease of ended) {
      if (lease.state === "cancelling" && !lease.isReleased) {
        leases.cancel(lease);
        this.noteDue(lease.releaseBy);
        cancelled.push(lease);
      } else {
        leases.end(lease);
        this.#letGo(lease);
        this.limits.leave(lease);
        gone.push(lease);
      }
    }
    storage.writeLeases(cancelled);
    storage.deleteLeases(gone);
  }

  /** The handler waits for its children: others have its slots and permits, and its time stands still. */
  wait(lease: Lease, session: Session, now: number): void {
    if (lease.leftMs !== undefined && lease.returning === undefined) return;
    lease.leftMs ??= Math.max(0, lease.deadline - now);
    lease.deadline = Number.POSITIVE_INFINITY;
    lease.returning = undefined;
    this.#letGo(lease);
    session.holdWaiting(leaseKey(lease));
    this.#state.storage.writeLeases([lease]);
  }

  /** The handler has waited: it goes on once it has what it needs. */
  askToReturn(lease: Lease, session: Session, wait: number, now: number): void {
    lease.returning = wait;
    if (lease.leftMs === undefined) {
      lease.leftMs = Math.max(0, lease.deadline - now);
      this.#goOn(lease, now); // It has gone on, and its worker did not hear of it.
    } else if (!this.#state.returns.has(lease)) {
      session.holdWaiting(leaseKey(lease), lease.slots);
      this.#state.returns.add(lease);
    }
    this.#state.storage.writeLeases([lease]);
  }

  /** Runs are over, durably. */
  endRuns(runs: readonly string[]): void {
    this.limits.endRuns(runs);
  }

  /** A task can't be executed, whoever is there. */
  refuse(task: ReadyTask, code: RefusalCode, message: string): void {
    this.#state.committer.add({
      kind: "result",
      bytes: 0,
      session: undefined,
      version: task.version,
      step: task.step,
      row: {
        t: task.id,
        r: task.run,
        a: task.attempt,
        s: "failed",
        e: errorOf(code, message),
        f: Date.now(),
      },
    });
  }

  /** The attempt is in nobody's hands: its slots and permits are free. */
  #letGo(lease: Lease): void {
    const { roster, returns, permits } = this.#state;
    roster.find(lease.session)?.letGo(leaseKey(lease));
    this.limits.release(lease);
    if (returns.drop(lease)) for (const { id } of lease.holds) permits.noteFreed(id);
  }

  /** It has its slots and permits again. */
  #goOn(lease: Lease, now: number): void {
    const { task, attempt, session, leftMs: timeoutMs = 0, returning: wait = 0 } = lease;
    lease.deadline = now + timeoutMs;
    lease.leftMs = undefined;
    lease.returning = undefined;
    this.noteDue(lease.deadline);
    this.#state.outbox.add(session, { type: "returned", task, attempt, wait, timeoutMs });
  }

  #handOver(placement: Placement, now: number): Lease {
    const { task, session } = placement;
    const { versions, book, outbox, name } = this.#state;
    const version = versions.find(task.version);
    const step = version?.steps[task.step];
    if (version === undefined || step === undefined) {
      throw new Error(`Task ${task.id} was placed before version ${task.version} was read`);
    }
    const lease = leaseOf(placement, step, book, now);
    this.limits.note(lease, placement);
    outbox.add(session.id, taskFrame(task, lease, version, step, name.shard));
    return lease;
  }

  #rescue(lease: Lease, why: string, now: number): void {
    lease.state = "ending";
    const isLast = lease.rescues >= MAX_RESCUES;
    const error = errorOf("worker_lost", isLast ? why + TOO_OFTEN : why);
    const row = { s: "lost" as const, e: error, b: lease.sentAt, f: now };
    this.#addResult(lease, isLast ? { ...row, x: true } : row, now);
  }

  /** No worker has said that the task arrived: another gets it, and this one no more for now. */
  #revoke(lease: Lease, now: number): void {
    const { roster, log } = this.#state;
    const session = roster.find(lease.session);
    if (session) session.isStalled = true;
    const message = `The worker ${session?.worker ?? ""} did not confirm the task in time.`;
    this.#stop(lease, { s: "lost", e: errorOf("not_received", message) }, "lost", now);
    log.warn("task.not_received", idsOf(lease));
  }

  /** Ends an attempt that its worker is at: its slot is free when the worker says so. */
  #stop(lease: Lease, row: Pick<ResultRow, "s" | "e">, reason: CancelReason, now: number): void {
    lease.state = "cancelling";
    this.#addResult(lease, { ...row, b: lease.sentAt, f: now }, now);
    this.#askToStop(lease, reason, now);
  }

  /** The worker has named it on a new socket: it may not have heard that it is to stop. */
  askAgainToStop(lease: Lease, now: number): void {
    this.#askToStop(lease, lease.stopReason ?? "lost", now);
    if (lease.state === "cancelled") this.#state.storage.writeLeases([lease]);
  }

  #askToStop(lease: Lease, reason: CancelReason, now: number): void {
    const { task, attempt, session } = lease;
    lease.stopReason = reason;
    lease.releaseBy = now + CANCEL_GRACE_MS;
    this.noteDue(lease.releaseBy);
    this.#state.outbox.add(session, { type: "cancel", task, attempt, reason });
  }

  #addResult(
    lease: Lease,
    row: Pick<ResultRow, "s" | "o" | "e" | "b" | "f" | "d" | "x">,
    now: number,
    { session, bytes }: { session?: string; bytes: number } = { bytes: 0 },
  ): void {
    const { committer, roster } = this.#state;
    const d = row.d ?? this.#retryAt(lease, row, now);
    const w = roster.find(lease.session)?.worker;
    const { task: t, run: r, attempt: a, version, step } = lease;
    committer.add({
      kind: "result",
      bytes,
      session,
      version,
      step,
      row: { t, r, a, w, ...row, ...(d !== undefined && { d }) },
    });
  }

  /** When the next attempt of a failed one is due; undefined when there is none. */
  #retryAt(
    lease: Lease,
    { s, e: error }: Pick<ResultRow, "s" | "e">,
    now: number,
  ): number | undefined {
    if (error === undefined || (s !== "failed" && s !== "timed_out")) return undefined;
    const { attempt, failures, retry } = lease;
    const chance = { random: Math.random, allows: this.#state.allowsRetry };
    const delayMs = retryDelayMs(retry, { error, attempt, failures }, chance);
    return delayMs === undefined ? undefined : now + delayMs;
  }

  /** A task has been queued for too long: it fails without an attempt. */
  #expire(task: ReadyTask): void {
    const { versions, log } = this.#state;
    const limitMs = versions.step(task.version, task.step)?.scheduleTimeoutMs ?? 0;
    log.warn("task.expired", { run_id: task.run, task_id: task.id, limit_ms: limitMs });
    const message = `No worker had room for the task within ${limitMs} ms.`;
    this.refuse(task, "schedule_timeout", message);
  }
}

function idsOf({ task, attempt, session }: Lease): Record<string, string | number> {
  return { run_id: runIdOf(task), task_id: task, attempt, session_id: session };
}
