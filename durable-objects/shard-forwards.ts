/**
 * Results that come to a shard which has not handed their tasks out: their worker has no connection to the one that
 * has, any more. They are passed on to that shard, and answered with what it says once its commit has landed
 * (rule R13). One that it can't be asked of is not answered: the worker is to come back, and sends it again.
 */
import { MAX_SHARDS } from "../protocol/shard-map.ts";
import { errorFields } from "../telemetry/log.ts";
import { MAX_FORWARD_BYTES, MAX_FORWARDED } from "./dispatcher/limits.ts";
import type { Session } from "./dispatcher/roster.ts";
import type { ReportFrame, ShardFrames } from "./shard-frames.ts";
import type { ShardPeers } from "./shard-peers.ts";
import type { ShardState } from "./shard-state.ts";

/** What a worker reports of an attempt, to the shard that has handed it out. */
export interface ForwardedReport {
  /** Its name: it may report what it was given. */
  worker: string;
  frame: ReportFrame;
  bytes: number;
  isLarge: boolean;
}

/** What has become of it; undefined: nobody knows in time. */
export type Verdict = "recorded" | "stale" | "gone" | undefined;

/** What shards call each other for, of results. */
export interface ForwardPeer {
  hearReports(reports: ForwardedReport[]): Promise<Verdict[]>;
}

type Forward = ForwardedReport & { session: string };

export interface ForwardSurroundings {
  settle(): void;
  /** Has the worker of a session come back, and say again what was not answered. */
  askToReconnect(session: string): void;
}

export class ShardForwards {
  #state: ShardState;
  #frames: ShardFrames;
  #peers: ShardPeers;
  #surroundings: ForwardSurroundings;
  /** By shard. While one call is on its way, what else there is waits for the next. */
  #waiting = new Map<number, Forward[]>();
  #calling = new Set<number>();

  constructor(
    state: ShardState,
    frames: ShardFrames,
    peers: ShardPeers,
    surroundings: ForwardSurroundings,
  ) {
    this.#state = state;
    this.#frames = frames;
    this.#peers = peers;
    this.#surroundings = surroundings;
  }

  /** Whether a report is another shard's; it is passed on, then. */
  take({ id, worker }: Session, frame: ReportFrame, bytes: number, isLarge: boolean): boolean {
    const { shard } = frame;
    if (shard === this.#state.name.shard || shard >= MAX_SHARDS) return false;
    const waiting = this.#waiting.get(shard) ?? [];
    this.#waiting.set(shard, waiting);
    waiting.push({ session: id, worker, frame, bytes, isLarge });
    if (!this.#calling.has(shard)) void this.#callAll(shard, waiting);
    return true;
  }

  /** Reports of attempts that were handed out here, and have come to another shard. */
  async hear(reports: ForwardedReport[]): Promise<Verdict[]> {
    const { outbox, pendingCalls } = this.#state;
    const verdicts = reports.map(async ({ worker, frame, bytes, isLarge }) => {
      const { promise, resolve } = Promise.withResolvers<Verdict>();
      const id = `forwarded/${crypto.randomUUID()}`;
      const pending = pendingCalls.add(Date.now(), () => resolve(undefined));
      outbox.listen(id, ({ type }) => {
        if (type === "recorded" || type === "stale" || type === "gone") resolve(type);
      });
      if (!this.#frames.readForwarded(id, worker, frame, bytes, isLarge)) resolve(undefined);
      const verdict = await promise;
      pendingCalls.end(pending);
      outbox.forget(id);
      return verdict;
    });
    this.#surroundings.settle();
    return await Promise.all(verdicts);
  }

  async #callAll(shard: number, waiting: Forward[]): Promise<void> {
    this.#calling.add(shard);
    // All that comes in one turn goes as one call.
    await Promise.resolve();
    while (waiting.length > 0) {
      const forwards = waiting.splice(0, fitting(waiting));
      const verdicts = await this.#call(shard, forwards);
      for (const [index, { session, frame }] of forwards.entries()) {
        const type = verdicts[index];
        const { task, attempt } = frame;
        if (type === undefined) this.#surroundings.askToReconnect(session);
        else this.#state.outbox.add(session, { type, task, attempt });
      }
      this.#surroundings.settle();
    }
    this.#waiting.delete(shard);
    this.#calling.delete(shard);
  }

  async #call(shard: number, forwards: Forward[]): Promise<Verdict[]> {
    const reports = forwards.map(({ session: _session, ...report }) => report);
    try {
      return await this.#peers.call(shard, (peer) => peer.hearReports(reports));
    } catch (error) {
      this.#state.log.warn("result.not_forwarded", { peer: shard, ...errorFields(error) });
      return [];
    }
  }
}

/** How many of them one call takes; at least the first. */
function fitting(waiting: readonly Forward[]): number {
  let bytes = 0;
  let count = 0;
  for (const forward of waiting) {
    bytes += forward.bytes;
    if (count === MAX_FORWARDED || (count > 0 && bytes > MAX_FORWARD_BYTES)) break;
    count++;
  }
  return count;
}
