/**
 * Cancels the runs that wait for an event, page by page: each page is read by a commit, each run it
 * concerns is cancelled by one, and the last deletes the event's timer. A shard that dies on the way
 * finds the timer, and begins again: what has been cancelled waits for nothing any more.
 */
import type { MatchPage, MatchRow } from "../database/rows.ts";
import { judgePage, type NextOfEvent } from "./dispatcher/matching.ts";
import { errorOf } from "./dispatcher/task-errors.ts";
import type { ShardState } from "./shard-state.ts";

export class ShardMatches {
  #state: ShardState;

  constructor(state: ShardState) {
    this.#state = state;
  }

  /** Has the next commit read the first pages of events that are due. */
  begin(): void {
    for (const row of this.#state.matching.begin()) this.#follow({ kind: "match", row });
  }

  /** A page is here. Without one there is no such event, and nothing to cancel. */
  read({ e: event }: MatchRow, page: MatchPage | undefined): void {
    const { matching, committer, cancelConditions, log } = this.#state;
    const { cancelled, failed } = judgePage(page ?? NO_PAGE, cancelConditions);
    for (const { error, run, count } of failed.values()) {
      const what = { error_code: error.code, error: error.message };
      log.warn("cancel_condition.failed", { event_id: event, run_id: run, runs: count, ...what });
    }
    const settled = (): void => this.#follow(matching.settle(event));
    const message = `The run was cancelled by the event ${page?.k} (${event}).`;
    this.#follow(matching.turn(event, page, cancelled.size));
    for (const run of cancelled) {
      const row = { r: run, e: errorOf("cancelled", message) };
      committer.add({ kind: "cancel", row, bytes: 0, landed: settled, refused: settled });
    }
  }

  /** All of its runs have been seen to, or a commit about it can't be: room for another. */
  end(event: string): void {
    this.#state.matching.end(event);
  }

  #follow(next: NextOfEvent | undefined): void {
    if (next) this.#state.committer.add({ ...next, bytes: 0 });
  }
}

const NO_PAGE = { k: "", p: null, m: {}, runs: [] };
