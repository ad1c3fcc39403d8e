/**
 * What the edge Worker waits for: starts and cancellations that are to be durable, limits that are to be in force.
 * Each answers once it is so, or says that nobody knows.
 */
import type { TaskError } from "../protocol/errors.ts";
import { errorFields } from "../telemetry/log.ts";
import type { StartCall, StartOutcome } from "./dispatcher/transitions.ts";
import type { ShardCommits } from "./shard-commits.ts";
import type { ShardState } from "./shard-state.ts";

/** What `start` answers. Only `committed` is durable. */
export type StartAnswer =
  | { kind: "committed"; outcome: StartOutcome }
  | { kind: "overloaded" }
  /** Postgres has not answered in time: it may be durable, now or later. */
  | { kind: "unanswered" }
  | { kind: "refused"; message: string };

/** What `cancel` answers: the runs that are over, by this call or since before. */
export type CancelAnswer =
  | { kind: "committed"; cancelled: string[] }
  | { kind: "overloaded" }
  | { kind: "unanswered" };

export class ShardCalls {
  #state: ShardState;
  #commits: ShardCommits;

  constructor(state: ShardState, commits: ShardCommits) {
    this.#state = state;
    this.#commits = commits;
  }

  async start(call: StartCall): Promise<StartAnswer> {
    const { committer, pendingCalls } = this.#state;
    const isHeldUp = call.canComeAgain === true && this.#commits.isHeldUp(Date.now());
    if (isHeldUp || committer.isOverloaded(call.bytes)) return { kind: "overloaded" };
    await this.#commits.ensureVersions(call.runs.map(({ v }) => v));
    const { promise, resolve } = Promise.withResolvers<StartAnswer>();
    const pending = pendingCalls.add(Date.now(), () => resolve({ kind: "unanswered" }));
    const answer = (kind: StartAnswer): void => {
      pendingCalls.end(pending);
      resolve(kind);
    };
    committer.add({
      kind: "start",
      call,
      bytes: call.bytes,
      landed: (outcome) => answer({ kind: "committed", outcome }),
      refused: (error) => answer({ kind: "refused", message: errorFields(error).error }),
    });
    this.#commits.pump();
    return promise;
  }

  async cancel(calls: { run: string; error: TaskError }[]): Promise<CancelAnswer> {
    const { committer, pendingCalls } = this.#state;
    if (calls.length === 0) return { kind: "committed", cancelled: [] };
    if (committer.isOverloaded(0)) return { kind: "overloaded" };
    const { promise, resolve } = Promise.withResolvers<CancelAnswer>();
    const pending = pendingCalls.add(Date.now(), () => resolve({ kind: "unanswered" }));
    const cancelled: string[] = [];
    let left = calls.length;
    const settle = (): void => {
      if (--left > 0) return;
      pendingCalls.end(pending);
      resolve({ kind: "committed", cancelled });
    };
    for (const { run, error } of calls) {
      committer.add({
        kind: "cancel",
        row: { r: run, e: error },
        bytes: 0,
        landed: (isCancelled) => {
          if (isCancelled) cancelled.push(run);
          settle();
        },
        refused: settle,
      });
    }
    this.#commits.pump();
    return promise;
  }

  async heedLimits(version: number, nudge: () => void): Promise<void> {
    const { book, pendingCalls } = this.#state;
    if ((book.version ?? 0) >= version) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const pending = pendingCalls.add(Date.now(), resolve);
    const forget = book.whenKnown(version, resolve);
    nudge();
    await promise;
    pendingCalls.end(pending);
    forget();
  }
}
