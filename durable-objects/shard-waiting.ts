/**
 * What becomes of ready tasks that can't start now: they wait in the queue instead of in memory, leave a
 * line that is for what their run holds by now, or are over because a limit's strategy says so.
 */
import type { ReadyTask } from "./dispatcher/lane.ts";
import { boundOf, type Need } from "./dispatcher/needs.ts";
import type { Holder } from "./dispatcher/permits.ts";
import { runOfHolder } from "./dispatcher/holders.ts";
import type { Eviction } from "./dispatcher/scheduler.ts";
import { errorOf } from "./dispatcher/task-errors.ts";
import type { ShardState } from "./shard-state.ts";

export class ShardWaiting {
  #state: ShardState;
  /** Runs that are being cancelled because of a limit, with their tasks that have left the window for it. */
  #evicting = new Map<string, ReadyTask[]>();

  constructor(state: ShardState) {
    this.#state = state;
  }

  /** Puts a task that waits back into its lane of the queue. */
  park(task: ReadyTask): void {
    const { backlog, committer } = this.#state;
    const { id: t, run: r, attempt: a, action, needs } = task;
    backlog.note({ action, lane: needs.lane });
    committer.add({ kind: "park", row: { t, r, a, l: needs.lane }, bytes: 0, task });
  }

  /** A run holds limits now: its tasks in the queue leave the lanes for them. */
  unline(run: string): void {
    const { backlog, committer } = this.#state;
    if (backlog.known > 0) committer.add({ kind: "unline", row: { r: run }, bytes: 0 });
  }

  /** The run of a holder has to go for one at another shard. */
  evictHolder(holder: Holder, need: Need): void {
    this.evict({ run: runOfHolder(holder), need, task: undefined, isOwn: false });
  }

  /** Cancels a run because a limit is full. */
  evict({ run, need, task, isOwn }: Eviction): void {
    const { committer, book, permits, handouts, window, turns, log } = this.#state;
    const known = this.#evicting.get(run);
    const tasks = known ?? [];
    if (isOwn && task !== undefined) tasks.push(task);
    if (known !== undefined) return;
    this.#evicting.set(run, tasks);
    const { limit, key, id, strategy } = need;
    const counts = `${permits.count(id)} of ${boundOf(need, book)?.concurrency ?? 0} held`;
    const of = key === "" ? `The limit ${limit}` : `The limit ${limit} of "${key}"`;
    const message = isOwn
      ? `${of} was full (${counts}), and its strategy is ${strategy}.`
      : `${of} was full (${counts}), and a newer run has taken the place: its strategy is ${strategy}.`;
    log.info("run.evicted", { run_id: run, limit, strategy });
    const row = { r: run, e: errorOf("limit_full", message) };
    const landed = (): void => {
      this.#evicting.delete(run);
      for (const { id } of tasks) handouts.end(id);
    };
    const refused = (): void => {
      this.#evicting.delete(run);
      for (const evicted of tasks) {
        const lane = window.add(evicted);
        if (lane) turns.join(lane);
      }
    };
    committer.add({ kind: "cancel", row, bytes: 0, landed, refused });
  }
}
