/**
 * A shard that is to take runs is waited for: until it is ready for them, or that takes too long. It is ready when
 * it knows what it has, Postgres has answered its first commit, and as many workers are there as at other shards.
 */
import { MAX_OPENINGS, OPENING_LIMIT_MS } from "./dispatcher/limits.ts";
import type { ShardCommits } from "./shard-commits.ts";
import type { ShardSessions } from "./shard-sessions.ts";
import type { ShardState } from "./shard-state.ts";

interface Waiting {
  workers: number;
  deadline: number;
  tell: (isReady: boolean) => void;
}

export class ShardOpening {
  #state: ShardState;
  #sessions: Pick<ShardSessions, "heardAt">;
  #commits: Pick<ShardCommits, "hasLooked">;
  #waiting = new Set<Waiting>();

  constructor(
    state: ShardState,
    sessions: Pick<ShardSessions, "heardAt">,
    commits: Pick<ShardCommits, "hasLooked">,
  ) {
    this.#state = state;
    this.#sessions = sessions;
    this.#commits = commits;
  }

  /** Whether it is ready, with so many workers, as soon as it is or once it has taken too long. */
  wait(workers: number, now: number): Promise<boolean> {
    if (this.#waiting.size >= MAX_OPENINGS) return Promise.resolve(false);
    return new Promise((tell) => {
      this.#waiting.add({ workers, deadline: now + OPENING_LIMIT_MS, tell });
    });
  }

  /** Tells those who wait. */
  settle(now: number): void {
    if (this.#waiting.size === 0) return;
    const hasLooked = this.#commits.hasLooked();
    const connected = this.#countConnected();
    for (const waiting of this.#waiting) {
      const isReady = hasLooked && connected >= waiting.workers;
      if (!isReady && waiting.deadline > now) continue;
      this.#waiting.delete(waiting);
      waiting.tell(isReady);
    }
  }

  /** Workers that go wherever there are shards: not those that leave, nor those of which nothing is heard any more. */
  countFollowing(now: number): number {
    let count = 0;
    for (const { id, isDraining, closedAt, heartbeatLimitMs } of this.#state.roster.sessions) {
      if (isDraining || closedAt !== undefined) continue;
      if (this.#sessions.heardAt(id) + heartbeatLimitMs > now) count++;
    }
    return count;
  }

  get nextDue(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { deadline } of this.#waiting) due = Math.min(due, deadline);
    return due;
  }

  #countConnected(): number {
    let count = 0;
    for (const { closedAt } of this.#state.roster.sessions) if (closedAt === undefined) count++;
    return count;
  }
}
