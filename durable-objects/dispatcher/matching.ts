/**
 * Events that runs may wait for, while their timers are due: which are being looked at, how far each has
 * come, and what an event means for the runs on a page. A few at a time, so that a flood of events takes
 * neither the memory nor the thread of the shard. Nothing here must survive: an event's timer stands in
 * Postgres until all of its runs have been seen to.
 */
import type { MatchPage, MatchRow } from "../../database/rows.ts";
import type { ExpressionCache } from "../../expressions/cache.ts";
import { judgeCancel } from "../../expressions/cancel-condition.ts";
import type { ExpressionError } from "../../expressions/errors.ts";
import type { Json, Metadata } from "../../protocol/json.ts";
import { MATCH_PAGE, MATCH_PAGE_BYTES, MAX_MATCHING } from "./limits.ts";

/** What is to follow, once nothing of a page is under way any more: the next page, or the end. */
export type NextOfEvent =
  | { kind: "match"; row: MatchRow }
  | { kind: "matched"; row: { e: string } };

interface Progress {
  /** Cancellations that are not durable yet. */
  underWay: number;
  next: NextOfEvent;
}

export class Matching {
  #waiting = new Set<string>();
  #begun = new Map<string, Progress | undefined>();

  /** Whether there are more events than may be looked at now. */
  get isFull(): boolean {
    return this.#waiting.size > 0;
  }

  /** The event's timer is due. Once more, while it is being looked at, changes nothing. */
  add(event: string): void {
    if (!this.#begun.has(event)) this.#waiting.add(event);
  }

  /** First pages of the events to begin with now. */
  begin(): MatchRow[] {
    const rows: MatchRow[] = [];
    for (const event of this.#waiting) {
      if (this.#begun.size >= MAX_MATCHING) break;
      this.#waiting.delete(event);
      this.#begun.set(event, undefined);
      rows.push(firstPage(event));
    }
    return rows;
  }

  /** A page has been read, and so many runs on it are being cancelled. What follows, if nothing is. */
  turn(event: string, page: MatchPage | undefined, underWay: number): NextOfEvent | undefined {
    const last = page?.more === true ? page.runs.at(-1) : undefined;
    const next: NextOfEvent =
      last === undefined
        ? { kind: "matched", row: { e: event } }
        : { kind: "match", row: { ...firstPage(event), r: last.r, n: last.n } };
    if (underWay === 0) return next;
    this.#begun.set(event, { underWay, next });
    return undefined;
  }

  /** One of its cancellations is durable, or never will be. What follows, if it was the last. */
  settle(event: string): NextOfEvent | undefined {
    const progress = this.#begun.get(event);
    if (progress === undefined || --progress.underWay > 0) return undefined;
    return progress.next;
  }

  /** Its timer is gone, or is left to a later life. */
  end(event: string): void {
    this.#begun.delete(event);
  }
}

function firstPage(event: string): MatchRow {
  return { e: event, l: MATCH_PAGE, b: MATCH_PAGE_BYTES };
}

export interface Judgement {
  /** Runs whose condition is met. */
  cancelled: Set<string>;
  /** By condition that could not be evaluated: why, for the first of so many runs. */
  failed: Map<string, { error: ExpressionError; run: string; count: number }>;
}

/** Which runs of a page the event cancels. */
export function judgePage(
  { k: key, p: payload, m, runs }: Omit<MatchPage, "e" | "more">,
  conditions: ExpressionCache<"bool">,
): Judgement {
  const event: { key: string; payload: Json; metadata: Metadata } = { key, payload, metadata: m };
  const judgement: Judgement = { cancelled: new Set(), failed: new Map() };
  for (const { r: run, c: condition, i: input, m: metadata } of runs) {
    const { isMatch, error } = judgeCancel(conditions, condition, { event, input, metadata });
    if (isMatch) judgement.cancelled.add(run);
    if (error === undefined) continue;
    const before = judgement.failed.get(condition);
    if (before) before.count++;
    else judgement.failed.set(condition, { error, run, count: 1 });
  }
  return judgement;
}
