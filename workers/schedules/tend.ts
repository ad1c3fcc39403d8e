/**
 * Sees to a page of a tenant's schedules that are due. A run is started, and its schedule moves on to the next
 * tick, in one commit, and only if nobody else has moved it: each tick starts its runs once, whatever dies.
 */
import { queryOverHttp } from "../../database/connect.ts";
import type { DueScheduleRow, MoveRow } from "../../database/schedule-rows.ts";
import { moveSchedules, readDueSchedules } from "../../database/schedules.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import type { StartCall } from "../../durable-objects/dispatcher/transitions.ts";
import type { TaskError } from "../../protocol/errors.ts";
import { MAX_BULK } from "../../protocol/limits.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Definitions } from "../definitions/definitions.ts";
import { startRow, workflowToStart } from "../definitions/start-row.ts";
import type { Environment } from "../environment.ts";
import { callShardOnce, cancelRuns, tryToStart } from "../shard-calls.ts";
import { type Decision, decide } from "./decide.ts";
import {
  DUE_BYTES,
  DUE_PAGE,
  MAX_START_BYTES,
  MAX_STARTS_AT_ONCE,
  MAX_WALKED_AT_ONCE,
  REFUSED_REST_MS,
} from "./limits.ts";

interface Due {
  schedule: DueScheduleRow;
  decision: Decision;
}

/** When the next is due: not after now when there are more; undefined: never. */
export async function tendSchedules(
  env: Environment,
  tenant: string,
  log: Logger,
): Promise<number | undefined> {
  const now = Date.now();
  const query = queryOverHttp(databaseOf(env, tenant));
  const page = { at: now, limit: DUE_PAGE, bytes: DUE_BYTES };
  const { due: rows, next } = await readDueSchedules(query, tenant, page);
  if (rows.length === 0) return next ?? undefined;
  const decided = decideAll(rows, now);
  const idle = decided.filter(({ decision }) => decision.starts.length === 0);
  if (idle.length > 0) await moveSchedules(query, tenant, now, idle.map(moveOf));
  for (const piece of piecesOf(decided.filter(({ decision }) => decision.starts.length > 0))) {
    await startTogether(env, tenant, piece, log);
  }
  log.info("schedules.tended", { due: rows.length, idle: idle.length });
  return now;
}

/** As many of them as may be looked at in one go; at least the first. */
function decideAll(rows: DueScheduleRow[], now: number): Due[] {
  const decided: Due[] = [];
  let walked = 0;
  for (const schedule of rows) {
    const room = Math.floor(MAX_START_BYTES / Math.max(1, schedule.bytes));
    const maxStarts = Math.max(1, Math.min(MAX_STARTS_AT_ONCE, room));
    const decision = decide(schedule, now, maxStarts);
    decided.push({ schedule, decision });
    walked += decision.walked;
    if (walked >= MAX_WALKED_AT_ONCE) break;
  }
  return decided;
}

/** What one commit takes. */
function* piecesOf(decided: Due[]): Generator<Due[]> {
  let piece: Due[] = [];
  let [runs, bytes] = [0, 0];
  for (const due of decided) {
    const more = due.decision.starts.length;
    const moreBytes = more * due.schedule.bytes;
    if (piece.length > 0 && (runs + more > MAX_BULK || bytes + moreBytes > MAX_START_BYTES)) {
      yield piece;
      piece = [];
      [runs, bytes] = [0, 0];
    }
    piece.push(due);
    runs += more;
    bytes += moreBytes;
  }
  if (piece.length > 0) yield piece;
}

async function startTogether(
  env: Environment,
  tenant: string,
  piece: Due[],
  log: Logger,
): Promise<void> {
  await cancelPrevious(env, tenant, piece);
  const build = (definitions: Definitions): StartCall => callOf(piece, definitions);
  const result = await tryToStart(env, tenant, build, callShardOnce);
  if (result.kind === "started") return;
  // Not now. What may be durable is seen by its schedule, which has moved on then.
  if (result.kind !== "refused") throw new Error(`The shard could not start runs: ${result.kind}`);
  const [only, ...others] = piece;
  if (only === undefined) return;
  if (others.length > 0) {
    const middle = piece.length >> 1;
    await startTogether(env, tenant, piece.slice(0, middle), log);
    await startTogether(env, tenant, piece.slice(middle), log);
    return;
  }
  await putOff(env, tenant, only.schedule, log, result.message);
}

/** Postgres won't have its run: its tick stays, and is tried again later, so that it holds up no other's. */
async function putOff(
  env: Environment,
  tenant: string,
  { id: s, revision: v, seenUntil: u }: DueScheduleRow,
  log: Logger,
  reason: string,
): Promise<void> {
  log.error("schedule.refused", { schedule_id: s, reason });
  const now = Date.now();
  await moveSchedules(queryOverHttp(databaseOf(env, tenant)), tenant, now, [
    { s, v, u, d: now + REFUSED_REST_MS },
  ]);
}

const PREVIOUS_CANCELLED: TaskError = {
  code: "cancelled",
  name: "Error",
  message: "Its schedule has started the next run.",
};

/** By its id, so that whoever has cancelled it before has done the same. */
async function cancelPrevious(env: Environment, tenant: string, piece: Due[]): Promise<void> {
  const runs = piece.flatMap(({ schedule: { lastRun: id, lastShard: shard }, decision }) =>
    decision.cancelsPrevious && id !== null && shard !== null ? [{ id, shard }] : [],
  );
  await cancelRuns(env, tenant, runs, PREVIOUS_CANCELLED);
}

function callOf(piece: Due[], definitions: Definitions): StartCall {
  const call: StartCall = { events: [], runs: [], bytes: 0, canComeAgain: true };
  const ticks: MoveRow[] = [];
  for (const due of piece) {
    const { schedule, decision } = due;
    const workflow = workflowToStart(definitions, schedule.workflow);
    const { input: i, metadata: m, priority, id: sc } = schedule;
    const pr = priority ?? undefined;
    const runs = decision.starts.map((tk) => startRow(definitions, workflow, { i, m, pr, sc, tk }));
    const ids = runs.map(({ id }) => id);
    const started = { l: decision.starts.at(-1), lr: ids.at(-1), g: definitions.version, r: ids };
    ticks.push({ ...moveOf(due), ...started });
    call.runs.push(...runs);
    call.bytes += schedule.bytes * runs.length;
  }
  return { ...call, ticks };
}

function moveOf({ schedule, decision }: Due): MoveRow {
  const { seenUntil, next, skipped, lastSkipped, missed } = decision;
  return {
    s: schedule.id,
    v: schedule.revision,
    u: seenUntil,
    n: next?.tick,
    d: next?.due,
    ...(skipped > 0 && { k: skipped, kt: lastSkipped }),
    ...(missed > 0 && { m: missed }),
  };
}
