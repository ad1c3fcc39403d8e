/**
 * Sees to what waits for events: cancels the runs that wait for an event, tells the tasks that do, and looks
 * for events from before a wait, or that it has missed. Page by page: each page is read by a commit, each run or task that it
 * concerns is changed by one, and the last deletes the timer. A shard that dies on the way finds the timer, and
 * begins again: what has been cancelled or met waits for nothing any more.
 */
import type {
  LookRow,
  MatchPage,
  MatchRow,
  MeetRow,
  PastPage,
  SettledRow,
  SettleRow,
} from "../database/match-rows.ts";
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
  /** Something of what waits can't be seen to in this life. */
  #hasLeft = false;

  constructor(state: ShardState) {
    this.#state = state;
  }

  /** Has the next commit ask about waits that have begun, and read the first pages of events and waits that are due. */
  begin(): void {
    const { matching, looking, settling, committer } = this.#state;
    for (const page of matching.begin()) this.#followEvent({ page });
    for (const row of settling.begin()) committer.add({ kind: "settle", row, bytes: 0 });
    for (const page of looking.begin()) {
      this.#followWait({ page: settling.isAgain(page.t) ? { ...page, s: true } : page });
    }
  }

  /** A moment has come that a task waits for. Events that came before it, or before its wait, count first. */
  elapse(task: string, run: string): void {
    const { matching, settling, committer } = this.#state;
    const elapse = (): void => {
      const row = { t: task, r: run, ...(this.#hasLeft && { x: true as const }) };
      committer.add({ kind: "elapse", row, bytes: 0 });
    };
    matching.afterAll(() => settling.after(task, elapse));
  }

  /** What is certain of a wait that has begun. */
  settle({ t: task }: SettleRow, { s: what, h: horizon }: SettledRow = OVER): void {
    const { looking, settling } = this.#state;
    settling.answer(task, horizon);
    if (what === "over") return settling.end(task);
    if (what === "rest") return this.#rest(task);
    looking.add(task);
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
  readPast({ t: task, s: isAgain }: LookRow, page: PastPage | undefined): void {
    const { looking, matchConditions } = this.#state;
    const { met, failed } = page === undefined ? NOTHING_PAST : judgePast(page, matchConditions);
    this.#tellFailed(failed, { task_id: task });
    const following = nextLook(task, page, met !== undefined);
    const next = following && isAgain ? { ...following, s: isAgain } : following;
    this.#followWait(looking.turn(task, next, met === undefined ? 0 : 1));
    if (met) this.#meet(met, () => this.#followWait(looking.settle(task)));
  }

  /** All that waited for it has been seen to, or a commit about it can't be: room for another. */
  end(event: string): void {
    this.#state.matching.end(event);
  }

  endLook(task: string): void {
    this.#state.looking.end(task);
    this.#state.settling.end(task);
  }

  /** Postgres refuses to say anything about it: its timer is left to a later life, and no moment waits for it in this one. */
  leaveEvent(event: string): void {
    this.#hasLeft = true;
    this.#state.matching.end(event);
  }

  leaveWait(task: string, isAsked: boolean): void {
    const { looking, settling } = this.#state;
    this.#hasLeft = true;
    looking.end(task);
    if (isAsked) settling.refuse(task);
    else settling.end(task);
  }

  /** The wait's timer comes again, here alone, while older transactions may store events. */
  #rest(task: string): void {
    const { agenda, settling } = this.#state;
    agenda.add([{ id: task, k: "look", d: Date.now() + settling.rest(task) }]);
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
    const { committer, looking, settling } = this.#state;
    if (turn === undefined) return;
    if ("page" in turn) return committer.add({ kind: "look", row: turn.page, bytes: 0 });
    const { over: task } = turn;
    if (settling.isLast(task)) return committer.add({ kind: "looked", row: { t: task }, bytes: 0 });
    looking.end(task);
    this.#rest(task);
  }
}

/** Of a wait that there is not. */
const OVER: SettledRow = { t: "", s: "over", h: null };
const NO_PAGE = { ...firstMatches(""), k: "", p: null, m: {}, runs: [] };
const NOTHING_PAST: ReturnType<typeof judgePast> = { met: undefined, failed: new Map() };
