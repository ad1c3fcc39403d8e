/**
 * What workers say of the attempts in their hands, frame by frame: each becomes a transition, or a
 * change of the attempt's lease. A frame about an attempt that is not the sender's changes nothing.
 */
import type { ResultRow, SpawnRow } from "../database/rows.ts";
import { delayedUntil, isDelayInBounds } from "../protocol/delay.ts";
import { newRunId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import { MAX_PAYLOAD_BYTES } from "../protocol/limits.ts";
import type { AttemptRef, SpawnFrame, WorkerFrame } from "../protocol/session.ts";
import type { Lease } from "./dispatcher/leases.ts";
import type { Session } from "./dispatcher/roster.ts";
import { errorOf } from "./dispatcher/task-errors.ts";
import type { Report, ShardAttempts } from "./shard-attempts.ts";
import type { ShardForwards } from "./shard-forwards.ts";
import type { ShardState } from "./shard-state.ts";

/** Frames about attempts. */
export type AttemptFrame = Exclude<
  WorkerFrame,
  { type: "hello" | "pause" | "resume" | "drain" | "received" | "labels" | "slots" }
>;
/** Frames that a handler waits for the answer of. */
const ASKING: ReadonlySet<AttemptFrame["type"]> = new Set(["extend", "spawn", "return"]);

export type ReportFrame = Extract<WorkerFrame, { type: "completed" | "failed" | "rate_limited" }>;

export class ShardFrames {
  /** Where reports go that are other shards'. */
  forwards: Pick<ShardForwards, "take"> | undefined;
  #state: ShardState;
  #attempts: ShardAttempts;

  constructor(state: ShardState, attempts: ShardAttempts) {
    this.#state = state;
    this.#attempts = attempts;
  }

  /** These attempts have arrived. */
  receive(session: Session, attempts: readonly AttemptRef[]): void {
    for (const ref of attempts) {
      const lease = this.#leaseOf(session, ref);
      if (lease) lease.isReceived = true;
    }
  }

  /** @param isLarge Whether the frame came in a message in which an output may be too large. */
  read(session: Session, frame: AttemptFrame, bytes: number, isLarge: boolean, now: number): void {
    const lease = this.#leaseOf(session, frame);
    if (frame.type === "completed" || frame.type === "failed" || frame.type === "rate_limited") {
      if (this.forwards?.take(session, frame, bytes, isLarge) === true) return;
      return this.#readReport(session, lease, frame, bytes, isLarge, now);
    }
    if (frame.type === "released") {
      if (lease && lease.state !== "held") this.#attempts.release(lease);
      return;
    }
    if (lease?.state !== "held") {
      if (ASKING.has(frame.type)) this.#answerStale(session, frame);
      return;
    }
    lease.isReceived = true;
    switch (frame.type) {
      case "log": {
        const { task: t, attempt: a, first: n, lines: l } = frame;
        return this.#state.committer.add({ kind: "log", row: { t, a, n, l }, bytes });
      }
      case "extend": {
        const { timeoutMs } = frame;
        const extend = (at: number): void => this.#extend(session, lease, timeoutMs, at);
        return this.#attempts.limits.whenHeldFor(lease, timeoutMs, now, extend);
      }
      case "settle":
        return this.#attempts.limits.settle(lease, frame.limit, frame.used, now);
      case "spawn":
        return this.#readSpawn(session, lease, frame, bytes);
      case "waiting":
        return this.#attempts.wait(lease, session, now);
      case "return":
        return this.#attempts.askToReturn(lease, session, frame.wait, now);
    }
  }

  /** A report that has come to another shard. False: its attempt is ending, and nobody hears of how it ends. */
  readForwarded(
    id: string,
    worker: string,
    frame: ReportFrame,
    bytes: number,
    isLarge: boolean,
  ): boolean {
    const { leases, roster } = this.#state;
    const found = leases.find(frame.task, frame.attempt);
    const lease = found && roster.find(found.session)?.worker === worker ? found : undefined;
    if (lease?.state === "ending") return false;
    this.#readReport({ id }, lease, frame, bytes, isLarge, Date.now());
    return true;
  }

  #extend({ id }: Session, lease: Lease, timeoutMs: number, now: number): void {
    const { task, attempt } = lease;
    if (lease.leftMs === undefined) lease.deadline = now + timeoutMs;
    else lease.leftMs = timeoutMs;
    this.#attempts.noteDue(lease.deadline);
    this.#state.storage.writeLeases([lease]);
    this.#state.outbox.add(id, { type: "extended", task, attempt, timeoutMs });
  }

  #readReport(
    session: Pick<Session, "id">,
    lease: Lease | undefined,
    frame: ReportFrame,
    bytes: number,
    isLarge: boolean,
    now: number,
  ): void {
    const { task, attempt } = frame;
    if (lease === undefined || lease.isEndUnknown || lease.state === "cancelling") {
      // Not leased to this session: perhaps recorded before a reconnect. Or its end is on the way, and the worker's
      // own, from an earlier life, may have come before it. Postgres knows.
      if (lease) this.#attempts.release(lease);
      const row = { t: task, a: attempt };
      this.#state.committer.add({ kind: "ask", row, bytes: 0, session: session.id });
    } else if (lease.state === "held") {
      const outcome =
        frame.type === "rate_limited"
          ? this.#putBack(lease, frame, now)
          : outcomeOf(frame, isLarge);
      const report = { ...outcome, ...timesOf(frame, lease.sentAt, now), bytes };
      this.#attempts.report(lease, session, report, now);
    } else if (lease.state !== "ending") {
      // It was ended without it; that it has ended frees the slot.
      this.#attempts.release(lease);
      this.#answerStale(session, frame);
    } // else sent again while on its way: answered when it lands
  }

  /** The worker met a rate limit: its key is paused for all, or without one of ours the task alone. */
  #putBack(
    lease: Lease,
    { limit, retryAfterMs }: Extract<WorkerFrame, { type: "rate_limited" }>,
    now: number,
  ): Pick<Report, "outcome" | "error" | "retryAt"> {
    const until = now + retryAfterMs;
    const paused = this.#attempts.limits.pause(lease, limit, until, now);
    const names = paused.length > 0 ? paused.map((reserve) => reserve.limit).join(", ") : limit;
    const message = `The worker met ${names === undefined ? "a rate limit" : `the rate limit ${names}`}: nothing for ${retryAfterMs} ms.`;
    return {
      outcome: "put_back",
      error: { ...errorOf("rate_limited", message), retryAfterMs },
      ...(paused.length === 0 && { retryAt: until }),
    };
  }

  #readSpawn(session: Session, lease: Lease, { children }: SpawnFrame, bytes: number): void {
    const { task: t, run: r, attempt: a } = lease;
    const now = Date.now();
    const c: SpawnRow["c"] = [];
    for (const {
      key: k,
      workflow: w,
      input: i,
      metadata: m,
      isDetached: x = false,
      ...delay
    } of children) {
      const at = delayedUntil(delay, now);
      if (isDelayInBounds(delay, now)) {
        c.push({ k, id: newRunId(), w, i, m, x, ...(at !== undefined && { at }) });
        continue;
      }
      const refusal = { code: "invalid_request" as const, detail: "It is delayed for too long." };
      this.#state.outbox.add(session.id, { type: "spawned", task: t, attempt: a, key: k, refusal });
    }
    if (c.length === 0) return;
    this.#state.committer.add({ kind: "spawn", bytes, session: session.id, row: { t, r, a, c } });
  }

  #answerStale({ id }: Pick<Session, "id">, { task, attempt }: AttemptRef): void {
    this.#state.outbox.add(id, { type: "stale", task, attempt });
  }

  #leaseOf(session: Session, { task, attempt }: AttemptRef): Lease | undefined {
    const lease = this.#state.leases.find(task, attempt);
    return lease?.session === session.id ? lease : undefined;
  }
}

/**
 * When the handler ran, moved to where it can have: after the task was sent, and before its result came.
 * Workers' clocks differ, and the order in which steps ended decides the order in which they are undone.
 */
function timesOf(
  { startedAt, finishedAt }: ReportFrame,
  sentAt: number,
  now: number,
): { startedAt: number; finishedAt: number } {
  const early = Math.max(0, sentAt - startedAt);
  const late = Math.max(0, finishedAt + early - now);
  const moved = early - late;
  return {
    startedAt: Math.max(sentAt, startedAt + moved),
    finishedAt: Math.max(sentAt, finishedAt + moved),
  };
}

/** What a report says of its attempt. An output that is too large is an error of it. */
function outcomeOf(
  frame: Exclude<ReportFrame, { type: "rate_limited" }>,
  isLarge: boolean,
): { outcome: "completed"; output: ResultRow["o"] } | { outcome: "failed"; error: ErrorRow } {
  if (frame.type === "failed") return { outcome: "failed", error: frame.error };
  const bytes = isLarge ? bytesOf(frame.output) : 0;
  if (bytes <= MAX_PAYLOAD_BYTES) return { outcome: "completed", output: frame.output };
  const message = `The output is ${bytes} bytes of JSON; at most ${MAX_PAYLOAD_BYTES} are kept.`;
  return {
    outcome: "failed",
    error: { code: "payload_too_large", name: "PayloadTooLarge", message },
  };
}
type ErrorRow = NonNullable<ResultRow["e"]>;

/** Of its JSON; 0 when it can't be written, which its commit will find. */
function bytesOf(output: Json): number {
  try {
    return new TextEncoder().encode(JSON.stringify(output)).length;
  } catch {
    return 0;
  }
}
