/**
 * Ready tasks on their way into the window: works out what each needs, and puts it in its lane; back
 * into the queue, when there is no room for it in that lane. A task whose needs can't be said fails.
 */
import type { LaneRow, ReadyRow } from "../database/rows.ts";
import type { LimitsRow } from "../database/definition-rows.ts";
import { taskId } from "../protocol/ids.ts";
import type { StepKind } from "../protocol/states.ts";
import type { Flight, RunEnd } from "./dispatcher/committer.ts";
import type { Lane, ReadyTask } from "./dispatcher/lane.ts";
import { boundOf, needsOf, PLAIN } from "./dispatcher/needs.ts";
import type { LimitBook } from "./dispatcher/limit-book.ts";
import type { Permits } from "./dispatcher/permits.ts";
import {
  isReadyAtStart,
  isReadyFirst,
  type StartCall,
  type Transition,
} from "./dispatcher/transitions.ts";
import type { CommitReply } from "../database/rows.ts";
import type { ShardAttempts } from "./shard-attempts.ts";
import { ShardGates } from "./shard-gates.ts";
import type { ShardState } from "./shard-state.ts";

export class ShardAdmission {
  #state: ShardState;
  #attempts: ShardAttempts;
  #gates: ShardGates;

  constructor(state: ShardState, attempts: ShardAttempts) {
    this.#state = state;
    this.#attempts = attempts;
    this.#gates = new ShardGates(state, attempts);
  }

  /** Takes in the first tasks of started runs; the queue has those that were spilled. */
  admitFirst(call: StartCall, reply: CommitReply, flight: Flight): void {
    const { versions } = this.#state;
    const { firstSentAt: queuedAt, cargo } = flight;
    const bytes = call.bytes / Math.max(1, call.runs.length);
    const known = new Set(reply.known);
    for (const run of call.runs) {
      if (reply.starts?.[run.id] !== undefined || known.has(run.id)) continue;
      if (!isReadyAtStart(run) || run.sh !== undefined) continue; // another shard finds them in its queue
      for (const [step, row] of versions.find(run.v)?.steps.entries() ?? []) {
        if (!isReadyFirst(row)) continue;
        const id = taskId(run.id, step);
        const spilled = cargo.spilled.get(id);
        if (spilled !== undefined) {
          this.noteSpilled(spilled, flight);
          continue;
        }
        const payload = { input: run.i, metadata: run.m, parents: {} };
        const ready = { id, run: run.id, version: run.v, step, attempt: 1, queuedAt };
        const priority = run.pr === undefined ? {} : { priority: run.pr };
        const filter =
          run.f === undefined ? {} : { filter: { id: run.f, payload: run.fp ?? null } };
        const schedule =
          run.sc === undefined ? {} : { schedule: { id: run.sc, tick: run.tk ?? null } };
        this.admit({ ...ready, ...payload, ...priority, ...filter, ...schedule }, flight, bytes);
      }
    }
  }

  admit(row: ReadyRow, flight: Flight, bytes: number): void {
    const { versions, leases, handouts } = this.#state;
    const { seq, overtaken } = flight;
    const step = versions.step(row.version, row.step);
    if (step === undefined || leases.find(row.id, row.attempt)) return;
    handouts.add(seq, row.id);
    if (isOver(step.kind, overtaken.get(row.run))) return handouts.end(row.id);
    const ready: ReadyTask = {
      ...row,
      action: step.action,
      kind: step.kind,
      seq,
      bytes,
      expiresAt: row.queuedAt + (step.scheduleTimeoutMs ?? Number.POSITIVE_INFINITY),
      timeoutMs: step.timeoutMs,
      needs: PLAIN,
    };
    const { name, gate } = step;
    if (gate !== undefined && !this.#gates.admits(ready, name, gate)) return;
    const task = this.#sorted(ready);
    // A later attempt goes where its action's others do.
    if (task !== undefined) this.#take(task, flight, gate !== undefined && row.attempt === 1);
  }

  /** Takes back what could not be parked. */
  readmit(task: ReadyTask): void {
    this.#enter(task);
  }

  /** What a commit spills before it takes is among what it takes, and counted by what it leaves. */
  noteSpilled(row: LaneRow, { cargo }: Flight): void {
    const isTaken = cargo.take.some(
      ({ action, lane }) => action === row.action && lane === row.lane,
    );
    if (!isTaken) this.#state.backlog.note(row);
  }

  /** Limits have changed: what is in the window is sorted anew, and everybody may try. */
  changeLimits(limits: LimitsRow): void {
    const { book, window, backlog, turns, returns, log } = this.#state;
    if (book.version !== undefined && limits.version < book.version) return; // an older answer, late
    this.#attempts.limits.change(limits);
    for (const task of window.remove(() => true)) {
      const sorted = this.#sorted(task);
      if (sorted !== undefined) this.#enter(sorted);
    }
    for (const lane of window.lanes()) {
      lane.parked = undefined; // it may be another lane's by now
      backlog.watch(lane);
      window.forget(lane);
    }
    turns.openAll();
    returns.openAll();
    log.info("limits.changed", { version: limits.version, limits: limits.limits.length });
  }

  /** The task with what it needs; undefined: that can't be said, and the task fails. */
  #sorted(task: ReadyTask): ReadyTask | undefined {
    const { versions, book, limitExpressions, permits } = this.#state;
    const version = versions.find(task.version);
    const step = version?.steps[task.step];
    if (version === undefined || step === undefined) return task; // as it was sorted before
    const found = needsOf(task, version, step, book, limitExpressions, (id) =>
      permits.has(id, task.run),
    );
    if (!found.ok) {
      this.#attempts.refuse(task, "invalid_key", found.message);
      return undefined;
    }
    const sorted = { ...task, needs: found.needs };
    const circle = circleOf(sorted, book, permits);
    if (circle === undefined) return sorted;
    this.#attempts.refuse(task, "limit_held_by_parent", circle);
    return undefined;
  }

  /** Into the window, if the commit has kept room for it or its lane has some; else into the queue. */
  #take(task: ReadyTask, { cargo }: Flight, isGated: boolean): void {
    const { window, roster } = this.#state;
    const row = { action: task.action, lane: task.needs.lane };
    const lane = window.lane(row);
    const isOverdue = task.expiresAt <= Date.now(); // it only came to be failed
    // Room was kept for it where tasks are judged, not where it goes, and there may be no worker for it.
    const isWelcome = !isGated || roster.isServed(task.action);
    if (
      isOverdue ||
      this.#isExpected(lane, cargo, isGated) ||
      (isWelcome && hasRoom(lane, task, window.roomOf(lane)))
    ) {
      return this.#enter(task);
    }
    window.forget(lane);
    this.#attempts.waiting.park(task);
  }

  #isExpected(lane: Lane, { reserved, take }: Flight["cargo"], isGated: boolean): boolean {
    if (!isGated && (lane.number === 0 || reserved.has(lane))) return true;
    return take.some(
      ({ action, lane: number }) => action === lane.action && number === lane.number,
    );
  }

  #enter(task: ReadyTask): void {
    const { window, turns } = this.#state;
    const lane = window.add(task);
    if (lane) turns.join(lane);
  }
}

/** Whether there is room for a task that would not overtake any in the queue. */
function hasRoom({ hasBacklog }: Lane, { attempt }: ReadyTask, room: number): boolean {
  return room > 0 && (!hasBacklog || attempt > 1);
}

/**
 * Says it of a child that needs what a run holds that it belongs to: they would wait for each other. Also
 * while there are permits left, or it would fail under load only.
 */
function circleOf(task: ReadyTask, book: LimitBook, permits: Permits): string | undefined {
  for (const need of task.needs.needs) {
    if (boundOf(need, book)?.concurrency === undefined || permits.has(need.id, task.run)) continue;
    const holder = task.ancestors?.find((run) => permits.has(need.id, run));
    if (holder === undefined) continue;
    const of = need.key === "" ? "" : ` of "${need.key}"`;
    return `The run ${holder}, which this one is a child of, holds the limit ${need.limit}${of} until it ends, and could wait for this one for ever. Count children by a limit or key of their own, or start them detached.`;
  }
  return undefined;
}

/** Whether a task of this kind ended with its run. What undoes steps is there only afterwards. */
export function isOver(kind: StepKind, end: RunEnd | undefined): boolean {
  return end === "cancelled" || (end === "run_timeout" && kind === "step");
}

/** Where a task has gone that was parked. */
export function laneOfParked({ task, row }: Extract<Transition, { kind: "park" }>): LaneRow {
  return { action: task.action, lane: row.l };
}
