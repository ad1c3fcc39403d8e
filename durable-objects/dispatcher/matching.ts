/**
 * What an event means for the runs and tasks that may wait for it, and what events from before a wait mean
 * for that: a page at a time, as Postgres has found them. Pure.
 */
import type { LookRow, MatchPage, MatchRow, MeetRow, PastPage } from "../../database/match-rows.ts";
import type { ExpressionCache } from "../../expressions/cache.ts";
import { judgeCancel } from "../../expressions/cancel-condition.ts";
import type { ExpressionError } from "../../expressions/errors.ts";
import { judgeWait } from "../../expressions/wait-condition.ts";
import { runIdOf, taskId } from "../../protocol/ids.ts";
import type { Json, Metadata } from "../../protocol/json.ts";
import { LOOK_PAGE, LOOK_PAGE_BYTES, MATCH_PAGE, MATCH_PAGE_BYTES } from "./limits.ts";

/** A task's rows of `v1.match` have its step's number + 1, and the condition's in so many parts of it. */
const NUMBERS_PER_STEP = 16;

export function firstMatches(event: string): MatchRow {
  return { e: event, l: MATCH_PAGE, b: MATCH_PAGE_BYTES };
}

/** The page after this one; undefined: it was the last, or there is no such event. */
export function nextMatches(event: string, page: MatchPage | undefined): MatchRow | undefined {
  const last = page?.more === true ? page.runs.at(-1) : undefined;
  return last && { ...firstMatches(event), r: last.r, n: last.n };
}

export function firstLook(task: string): LookRow {
  return { t: task, r: runIdOf(task), n: 0, l: LOOK_PAGE, b: LOOK_PAGE_BYTES };
}

/** The page after this one, of this condition or, once that `isMet` or has no more, of the next. */
export function nextLook(
  task: string,
  page: PastPage | undefined,
  isMet: boolean,
): LookRow | undefined {
  if (page === undefined) return undefined;
  const { n, next, more } = page;
  if (next !== null && !isMet) return { ...firstLook(task), n, e: next };
  return more ? { ...firstLook(task), n: n + 1 } : undefined;
}

/** Conditions that could not be evaluated: why, for the first of so many runs. */
type Failed = Map<string, { error: ExpressionError; run: string; count: number }>;

export interface Judgement {
  /** Runs whose condition is met. */
  cancelled: Set<string>;
  /** Conditions of waiting tasks that are met. */
  met: MeetRow[];
  failed: Failed;
}

export interface MatchConditions {
  cancel: ExpressionCache<"bool">;
  wait: ExpressionCache<"bool">;
}

/** Which runs of a page the event cancels, and which tasks have waited for it. */
export function judgePage(
  { e, k: key, p: payload, m, runs }: Omit<MatchPage, "more">,
  conditions: MatchConditions,
): Judgement {
  const event: { key: string; payload: Json; metadata: Metadata } = { key, payload, metadata: m };
  const judgement: Judgement = { cancelled: new Set(), met: [], failed: new Map() };
  for (const { r: run, n: number, c: condition, i: input, m: metadata, p: parents } of runs) {
    const data = { event, input, metadata };
    const { isMatch, error } =
      parents === undefined
        ? judgeCancel(conditions.cancel, condition, data)
        : judgeWait(conditions.wait, condition, { ...data, parents });
    if (error) note(judgement.failed, condition, error, run);
    if (!isMatch) continue;
    if (parents === undefined) judgement.cancelled.add(run);
    else judgement.met.push({ ...conditionOf(run, number), e });
  }
  return judgement;
}

/** The latest event on a page that meets the condition. */
export function judgePast(
  { t: task, n, c: condition, i: input, m: metadata, p: parents, events }: PastPage,
  conditions: MatchConditions,
): { met: MeetRow | undefined; failed: Failed } {
  const failed: Failed = new Map();
  const run = runIdOf(task);
  for (const { e, k: key, p: payload, m } of events) {
    const event = { key, payload, metadata: m };
    const { isMatch, error } = judgeWait(conditions.wait, condition, {
      event,
      input,
      metadata,
      parents,
    });
    if (error) note(failed, condition, error, run);
    if (isMatch) return { met: { t: task, r: run, n, e }, failed };
  }
  return { met: undefined, failed };
}

/** Which task's condition a row of `v1.match` is. */
function conditionOf(run: string, number: number): Omit<MeetRow, "e"> {
  const n = number % NUMBERS_PER_STEP;
  return { t: taskId(run, (number - n) / NUMBERS_PER_STEP - 1), r: run, n };
}

function note(failed: Failed, condition: string, error: ExpressionError, run: string): void {
  const before = failed.get(condition);
  if (before) before.count++;
  else failed.set(condition, { error, run, count: 1 });
}
