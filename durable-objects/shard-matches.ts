/**
 * Sees to what waits for events: cancels the runs that wait for an event, tells the tasks that do, and looks
 * for events from before a wait. Page by page: each page is read by a commit, each run or task that it
 * concerns is changed by one, and the last deletes the timer. A shard that dies on the way finds the timer, and
 * begins again: what has been cancelled or met waits for nothing any more.
 */
import type { LookRow, MatchPage, MatchRow, MeetRow, PastPage } from "../database/match-rows.ts";
import {
  firstMatches,
  type Judgement,
  judgePage,
  judgePast,
  nextLook,
  nextMatches,
} from "./dispatcher/matching.ts";
import type { Turn } from "./dispatcher/paging.ts";
import { errorOf } from "./dispatcher/task-errors.ts";
import type { ShardState } from "./shard-state.ts";

export class ShardMatches {
  #state: ShardState;

  constructor(state: ShardState) {
    this.#state = state;
  }

  /** Has the next commit read the first pages of events and waits that are due. */
  begin(): void {
    for (const page of this.#state.matching.begin()) this.#followEvent({ page });
    for (const page of this.#state.looking.begin()) this.#followWait({ page });
  }

  /** A moment has come that a task waits for. Events that came before it, or before its wait, count first. */
  elapse(task: string, run: string): void {
    const { matching, looking, committer } = this.#state;
    const row = { t: task, r: run };
    matching.afterAll(() =>
      looking.after(task, () => committer.add({ kind: "elapse", row, bytes: 0 })),
    );
  }

  /** A page is here. Without one there is no such event, and nothing waits for it. */
  read({ e: event }: MatchRow, page: MatchPage | undefined): void {
    const { matching, committer, matchConditions } = this.#state;
    const { cancelled, met, failed } = judgePage(page ?? NO_PAGE, matchConditions);
    this.#tellFailed(failed, { event_id: event });
    const settled = (): void => this.#followEvent(matching.settle(event));
    const message = `The run was cancelled by the event ${page?.k} (${event}).`;
    const underWay = cancelled.size + met.length;
    this.#followEvent(matching.turn(event, nextMatches(event, page), underWay));
    for (const run of cancelled) {
      const row = { r: run, e: errorOf("cancelled", message) };
      committer.add({ kind: "cancel", row, bytes: 0, landed: settled, refused: settled });
    }
    for (const row of met) this.#meet(row, settled);
  }

  /** A page of events from before a wait is here. Without one it looks back no more. */
  readPast({ t: task }: LookRow, page: PastPage | undefined): void {
    const { looking, matchConditions } = this.#state;
    const { met, failed } = page === undefined ? NOTHING_PAST : judgePast(page, matchConditions);
    this.#tellFailed(failed, { task_id: task });
    const next = nextLook(task, page, met !== undefined);
    this.#followWait(looking.turn(task, next, met === undefined ? 0 : 1));
    if (met) this.#meet(met, () => this.#followWait(looking.settle(task)));
  }

  /** All that waited for it has been seen to, or a commit about it can't be: room for another. */
  end(event: string): void {
    this.#state.matching.end(event);
  }

  endLook(task: string): void {
    this.#state.looking.end(task);
  }

  #meet(row: MeetRow, settled: () => void): void {
    this.#state.committer.add({ kind: "meet", row, bytes: 0, landed: settled, refused: settled });
  }

  #tellFailed(failed: Judgement["failed"], of: { event_id: string } | { task_id: string }): void {
    for (const { error, run, count } of failed.values()) {
      const what = { error_code: error.code, error: error.message };
      this.#state.log.warn("match_condition.failed", { ...of, run_id: run, runs: count, ...what });
    }
  }

  #followEvent(turn: Turn<MatchRow> | undefined): void {
    if (turn === undefined) return;
    this.#state.committer.add(
      "page" in turn
        ? { kind: "match", row: turn.page, bytes: 0 }
        : { kind: "matched", row: { e: turn.over }, bytes: 0 },
    );
  }

  #followWait(turn: Turn<LookRow> | undefined): void {
    if (turn === undefined) return;
    this.#state.committer.add(
      "page" in turn
        ? { kind: "look", row: turn.page, bytes: 0 }
        : { kind: "looked", row: { t: turn.over }, bytes: 0 },
    );
  }
}

const NO_PAGE = { ...firstMatches(""), k: "", p: null, m: {}, runs: [] };
const NOTHING_PAST: ReturnType<typeof judgePast> = { met: undefined, failed: new Map() };
