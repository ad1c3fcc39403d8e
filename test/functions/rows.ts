/**
 * Rows of a commit as a shard writes them, for the runs that `support.ts` starts: one function for
 * each thing that can happen.
 */
import type {
  CancelRow,
  ParkRow,
  ReleaseRow,
  ResultRow,
  SpawnRow,
  StartedRow,
  WakeRow,
} from "../../database/rows.ts";
import type { MeetRow, WaitingRow } from "../../database/match-rows.ts";
import type { TaskError, TaskErrorCode } from "../../protocol/errors.ts";
import { newRunId, runIdOf } from "../../protocol/ids.ts";
import type { Json } from "../../protocol/json.ts";

export const FAILURE: TaskError = { code: "handler_error", name: "Error", message: "It broke" };

export function completed(task: string, output: Json = null, attempt = 1): ResultRow {
  return { ...result(task, attempt, "completed"), o: output };
}

export function failed(task: string, attempt = 1): ResultRow {
  return { ...result(task, attempt, "failed"), e: FAILURE };
}

export function timedOut(task: string, attempt = 1): ResultRow {
  return { ...result(task, attempt, "timed_out"), e: FAILURE };
}

export function lost(task: string, attempt = 1): ResultRow {
  return { t: task, r: runIdOf(task), a: attempt, s: "lost", w: "worker", b: Date.now() };
}

/** Its worker met a rate limit; `due` is when the task is ready again, absent: at once. */
export function putBack(task: string, attempt = 1, due?: number): ResultRow {
  const row = { ...result(task, attempt, "put_back"), e: error("rate_limited") };
  return due === undefined ? row : { ...row, d: due };
}

export function begun(task: string, attempt = 1, at = Date.now()): StartedRow {
  return { t: task, r: runIdOf(task), a: attempt, w: "worker", b: at };
}

/** A failed attempt that another follows, `due` at that moment. */
export function retried(task: string, due: number, attempt = 1): ResultRow {
  return { ...failed(task, attempt), d: due };
}

/** Lost once too often. */
export function abandoned(task: string, attempt = 1): ResultRow {
  return { ...lost(task, attempt), e: error("worker_lost"), x: true };
}

/** Queued for too long. */
export function expired(task: string, attempt = 1): ResultRow {
  return unbegun(task, "schedule_timeout", attempt);
}

/** By its step's conditions. */
export function skipped(task: string): ResultRow {
  return { t: task, r: runIdOf(task), a: 1, s: "skipped", e: error("skipped") };
}

/** Failed by the shard, without an attempt. */
export function unbegun(task: string, code: TaskErrorCode, attempt = 1): ResultRow {
  return { t: task, r: runIdOf(task), a: attempt, s: "failed", e: error(code) };
}

export function parked(task: string, lane: number, attempt = 1): ParkRow {
  return { t: task, r: runIdOf(task), a: attempt, l: lane };
}

export function woken(task: string): WakeRow {
  return { t: task, r: runIdOf(task) };
}

/** A task that begins to wait, or one of which a moment has come that it waits for. */
export function waiting(task: string): WaitingRow {
  return { t: task, r: runIdOf(task) };
}

/** An event has met a condition of its wait. */
export function met(task: string, event: string, condition = 0): MeetRow {
  return { t: task, r: runIdOf(task), n: condition, e: event };
}

/** `leases` are attempts in workers' hands. */
export function cancelled(run: string, leases: CancelRow["l"] = []): CancelRow {
  return { r: run, e: error("cancelled"), l: leases };
}

export function outOfTime(run: string, leases: CancelRow["l"] = []): CancelRow {
  return { r: run, e: error("run_timeout"), l: leases };
}

export function released(run: string): ReleaseRow {
  return { r: run };
}

export function child(
  key: string,
  workflow: string,
  parts: { input?: Json; id?: string; isDetached?: boolean } = {},
): SpawnRow["c"][number] {
  const { input = null, id = newRunId(), isDetached = false } = parts;
  return { k: key, id, w: workflow, i: input, m: {}, x: isDetached };
}

export function spawned(task: string, children: SpawnRow["c"], attempt = 1): SpawnRow {
  return { t: task, r: runIdOf(task), a: attempt, c: children };
}

export function error(code: TaskErrorCode): TaskError {
  return { code, name: "Error", message: `It was ${code}` };
}

function result(task: string, attempt: number, outcome: ResultRow["s"]): ResultRow {
  const now = Date.now();
  return { t: task, r: runIdOf(task), a: attempt, s: outcome, w: "worker", b: now - 10, f: now };
}
