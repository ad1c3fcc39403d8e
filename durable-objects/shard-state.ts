/**
 * The parts of one shard's life, as its shells share them: what is in memory, and the storage that
 * outlives it. Anything here may vanish at any await; Postgres is the truth.
 */
import { ExpressionCache } from "../expressions/cache.ts";
import { CANCEL_CONDITION } from "../expressions/cancel-condition.ts";
import { judgeRetry, RETRY_CONDITION } from "../expressions/retry-condition.ts";
import { STEP_CONDITION } from "../expressions/step-condition.ts";
import { WAIT_CONDITION } from "../expressions/wait-condition.ts";
import type { ShardMap } from "../protocol/shard-map.ts";
import type { Logger } from "../telemetry/log.ts";
import { Agenda } from "./dispatcher/agenda.ts";
import { Backlog } from "./dispatcher/backlog.ts";
import { Borrowing } from "./dispatcher/borrowing.ts";
import { Buckets } from "./dispatcher/buckets.ts";
import { Committer } from "./dispatcher/committer.ts";
import { Handouts } from "./dispatcher/handouts.ts";
import { leaseKey, Leases } from "./dispatcher/leases.ts";
import { Lending } from "./dispatcher/lending.ts";
import { LimitBook } from "./dispatcher/limit-book.ts";
import { createLimitExpressions } from "./dispatcher/limit-expressions.ts";
import {
  MAX_CANCEL_CONDITIONS,
  MAX_LOOKING,
  MAX_MATCHING,
  MAX_RETRY_CONDITIONS,
  MAX_STEP_CONDITIONS,
  MAX_WAIT_CONDITIONS_KEPT,
} from "./dispatcher/limits.ts";
import { firstLook, firstMatches } from "./dispatcher/matching.ts";
import { Outbox } from "./dispatcher/outbox.ts";
import { OWN_SESSION } from "./dispatcher/own-session.ts";
import { Ownership } from "./dispatcher/ownership.ts";
import { Paging } from "./dispatcher/paging.ts";
import { PendingCalls } from "./dispatcher/pending-calls.ts";
import { Permits } from "./dispatcher/permits.ts";
import type { Failure } from "./dispatcher/retries.ts";
import { Returns } from "./dispatcher/returns.ts";
import { Roster } from "./dispatcher/roster.ts";
import { Settling } from "./dispatcher/settling.ts";
import type { ShardName } from "./dispatcher/shard-name.ts";
import { Turns } from "./dispatcher/turns.ts";
import { Versions } from "./dispatcher/versions.ts";
import { Waiters } from "./dispatcher/waiters.ts";
import { ReadyWindow } from "./dispatcher/window.ts";
import { ShardStorage } from "./shard-storage.ts";

export class ShardState {
  readonly name: ShardName;
  readonly log: Logger;
  readonly storage: ShardStorage;
  readonly ownership: Ownership;
  readonly agenda = new Agenda();
  readonly book = new LimitBook();
  readonly borrowing = new Borrowing();
  readonly lending: Lending = new Lending((id) => this.buckets.refill(id, Date.now()));
  readonly buckets: Buckets = new Buckets((id) => this.lending.unitsOut(id));
  readonly committer = new Committer();
  readonly handouts = new Handouts();
  readonly leases = new Leases();
  readonly limitExpressions = createLimitExpressions();
  readonly looking = new Paging(MAX_LOOKING, firstLook);
  readonly matching = new Paging(MAX_MATCHING, firstMatches);
  readonly outbox = new Outbox();
  readonly pendingCalls = new PendingCalls();
  readonly permits = new Permits();
  readonly returns = new Returns();
  readonly roster = new Roster();
  readonly settling = new Settling();
  readonly turns = new Turns();
  readonly versions = new Versions();
  readonly waiters = new Waiters();
  readonly window = new ReadyWindow();
  readonly backlog = new Backlog(this.window);
  readonly matchConditions = {
    cancel: new ExpressionCache(CANCEL_CONDITION, MAX_CANCEL_CONDITIONS),
    wait: new ExpressionCache(WAIT_CONDITION, MAX_WAIT_CONDITIONS_KEPT),
  };
  readonly stepConditions = new ExpressionCache(STEP_CONDITION, MAX_STEP_CONDITIONS);
  readonly #retryConditions = new ExpressionCache(RETRY_CONDITION, MAX_RETRY_CONDITIONS);

  constructor(name: ShardName, storage: DurableObjectStorage, log: Logger) {
    this.name = name;
    this.log = log;
    this.storage = new ShardStorage(storage);
    // A worker's word may come before the recovery, and is of what was known when its task was sent.
    this.ownership = new Ownership(name.shard, this.storage.readMap());
    this.roster.joinOwn(OWN_SESSION);
    for (const record of this.storage.readSessions()) this.roster.join(record);
    for (const lease of this.storage.readLeases()) {
      const key = leaseKey(lease);
      const session = this.roster.find(lease.session);
      if (lease.leftMs === undefined) {
        session?.hold(key, lease.slots);
        for (const { id } of lease.holds) this.permits.take(id, key);
      } else {
        session?.holdWaiting(key, lease.returning === undefined ? 0 : lease.slots);
        if (lease.returning !== undefined) this.returns.add(lease);
      }
      this.leases.hold(lease);
    }
    for (const { run, ids } of this.storage.readHolders()) {
      for (const id of ids) this.permits.take(id, run);
    }
    const closure = this.storage.readClosure();
    if (closure !== undefined) {
      this.permits.closedUntil = closure.until;
      this.buckets.forget(closure.since);
    }
    for (const [id, bucket] of this.storage.readBuckets()) this.buckets.restore(id, bucket);
    for (const [id, record] of this.storage.readLoans()) {
      this.borrowing.restore(id, record);
      this.borrowing.hold(id, this.permits.count(id), Date.now());
    }
    for (const record of this.storage.readLent()) this.lending.restore(record, this.permits);
  }

  /** The tenant's shards, as far as is known here. */
  get map(): ShardMap {
    return this.ownership.map;
  }

  /** Whether a step's own condition is for another attempt. */
  allowsRetry = (condition: string, { error, attempt }: Failure): boolean => {
    const verdict = judgeRetry(this.#retryConditions, condition, error, attempt);
    if (verdict.error) {
      const { code, message } = verdict.error;
      this.log.warn("retry_condition.failed", { error_code: code, error: message, attempt });
    }
    return verdict.isAllowed;
  };
}
