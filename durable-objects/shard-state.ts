/**
 * The parts of one shard's life, as its shells share them: what is in memory, and the storage that
 * outlives it. Anything here may vanish at any await; Postgres is the truth.
 */
import type { Logger } from "../telemetry/log.ts";
import { Committer } from "./dispatcher/committer.ts";
import { Handouts } from "./dispatcher/handouts.ts";
import { type Lease, Leases } from "./dispatcher/leases.ts";
import { PendingCalls } from "./dispatcher/pending-calls.ts";
import { Roster, type Session } from "./dispatcher/roster.ts";
import type { ShardName } from "./dispatcher/shard-name.ts";
import { Versions } from "./dispatcher/versions.ts";
import { Waiters } from "./dispatcher/waiters.ts";
import { ReadyWindow } from "./dispatcher/window.ts";
import { ShardStorage } from "./shard-storage.ts";

export class ShardState {
  readonly name: ShardName;
  readonly log: Logger;
  readonly storage: ShardStorage;
  readonly committer = new Committer();
  readonly handouts = new Handouts();
  readonly leases = new Leases();
  readonly pendingCalls = new PendingCalls();
  readonly roster = new Roster();
  readonly versions = new Versions();
  readonly waiters = new Waiters();
  readonly window = new ReadyWindow();

  constructor(name: ShardName, storage: DurableObjectStorage, log: Logger) {
    this.name = name;
    this.log = log;
    this.storage = new ShardStorage(storage);
    for (const record of this.storage.readSessions()) this.roster.join(record);
    for (const lease of this.storage.readLeases()) {
      this.leases.hold(lease);
      this.roster.find(lease.session)?.holding.add(lease.task);
    }
  }

  /** Ends an attempt without its worker's word: it is `lost`, or has `timed_out`. */
  endAttempt(lease: Lease, outcome: "lost" | "timed_out", message: string, now: number): void {
    lease.state = outcome === "timed_out" ? "cancelling" : "ending";
    const code = outcome === "timed_out" ? "execution_timeout" : "worker_lost";
    const name = outcome === "timed_out" ? "ExecutionTimeout" : "WorkerLost";
    this.committer.add({
      kind: "result",
      bytes: 0,
      session: undefined,
      version: lease.version,
      step: lease.step,
      row: {
        t: lease.task,
        r: lease.run,
        a: lease.attempt,
        s: outcome,
        e: { code, name, message },
        w: this.roster.find(lease.session)?.worker,
        b: lease.sentAt,
        f: now,
      },
    });
  }

  /** Ends a session and every attempt it had: other workers get their tasks. */
  endSession(session: Session, why: string, now: number): void {
    let rescued = 0;
    for (const lease of this.leases.ofSession(session.id)) {
      if (lease.state === "held") {
        this.endAttempt(lease, "lost", `The worker ${session.worker} ${why}.`, now);
        rescued++;
      } else if (lease.state === "cancelled") {
        this.leases.end(lease.task);
        this.storage.deleteLeases([lease.task]);
      } else {
        lease.isReleased = true;
      }
    }
    this.roster.leave(session);
    this.storage.deleteSession(session.id);
    const fields = { session_id: session.id, worker: session.worker, reason: why, rescued };
    this.log[rescued > 0 ? "warn" : "info"]("session.ended", fields);
  }
}
