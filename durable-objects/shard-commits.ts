/**
 * Flies a shard's commits and lets out their effects once they have landed: answers to API calls,
 * acknowledgements to workers, ready tasks into the window. Nothing is told before it is durable.
 */
import { classifyFailure } from "../database/errors.ts";
import { readVersions, recoverShard } from "../database/functions.ts";
import type { CommitReply } from "../database/rows.ts";
import type { ShardDatabase } from "../database/shard-database.ts";
import { taskId } from "../protocol/ids.ts";
import { errorFields } from "../telemetry/log.ts";
import type { Flight } from "./dispatcher/committer.ts";
import { COMMIT_RETRY_MAX_MS, COMMIT_RETRY_MS, COMMIT_TIMEOUT_MS } from "./dispatcher/limits.ts";
import { planCommit } from "./dispatcher/plan.ts";
import type { StartCall, Transition } from "./dispatcher/transitions.ts";
import type { ShardSessions } from "./shard-sessions.ts";
import type { ShardState } from "./shard-state.ts";

/** What the commits need of the shard around them. */
export interface CommitSurroundings {
  /** Makes sure that the alarm goes off by then. */
  arm(at: number): void;
  /** Places ready tasks and sends what there is to send. */
  settle(): void;
  /** Ends this life of the shard: a newer one has taken over. */
  abandon(reason: string): void;
}

export class ShardCommits {
  #state: ShardState;
  #sessions: ShardSessions;
  #database: ShardDatabase;
  #surroundings: CommitSurroundings;
  #epoch = 0;
  #life: "fresh" | "recovering" | "recovered" = "fresh";
  #isRecoveryWanted = false;
  #recoverSentAt = 0;
  #recoverAt = 0;
  #failedRecoveries = 0;
  #isBacklogUnknown = false;

  constructor(
    state: ShardState,
    sessions: ShardSessions,
    database: ShardDatabase,
    surroundings: CommitSurroundings,
  ) {
    this.#state = state;
    this.#sessions = sessions;
    this.#database = database;
    this.#surroundings = surroundings;
  }

  /** Whether everything has landed and every row that can go has gone. */
  get isIdle(): boolean {
    return this.#life !== "recovering" && this.#state.committer.isEmpty;
  }

  /** When recovery needs the alarm; infinity when it doesn't. */
  get recoveryDue(): number {
    if (this.#life === "recovering") return this.#recoverSentAt + COMMIT_TIMEOUT_MS;
    return this.#failedRecoveries > 0 ? this.#recoverAt : Number.POSITIVE_INFINITY;
  }

  /** Asks for the queue's state even when there is nothing to commit, as when a worker arrives. */
  wantRecovery(): void {
    this.#isRecoveryWanted = true;
  }

  /** Makes sure that the DAGs of these versions are in memory. */
  async ensureVersions(ids: Iterable<string>): Promise<void> {
    const missing = this.#state.versions.missing(ids);
    if (missing.length === 0) return;
    const { tenant } = this.#state.name;
    this.#state.versions.add(await readVersions(this.#database.query, tenant, missing));
  }

  /** Lets every batch fly that may. */
  pump(isLast = false): void {
    const { committer, window, roster, handouts } = this.#state;
    if (this.#life !== "recovered") {
      if (committer.isEmpty && !this.#isRecoveryWanted) return;
      if (this.#life === "fresh" && this.#recoverAt <= Date.now()) void this.#recover();
      return;
    }
    for (;;) {
      const hasDemand = window.hasDemand((action) => roster.isServed(action));
      const isWanted = hasDemand || this.#isBacklogUnknown || (isLast && handouts.hasEmptied);
      const batch = committer.takeBatch(isWanted);
      if (batch === undefined) return;
      this.#launch(batch);
    }
  }

  /** Sends flights again that are due, and gives up on those without an answer. */
  enforceDeadlines(now: number): void {
    const { committer } = this.#state;
    const isHung =
      (this.#life === "recovering" && this.#recoverSentAt + COMMIT_TIMEOUT_MS <= now) ||
      [...committer.flights].some(
        ({ retryAt, sentAt }) => retryAt === undefined && sentAt + COMMIT_TIMEOUT_MS <= now,
      );
    if (isHung) this.#database.closeAll();
    for (const flight of committer.takeDue(now)) void this.#fly(flight);
    if (this.#life === "fresh" && this.#recoverAt <= now) this.pump();
  }

  #launch(batch: Transition[]): void {
    const { committer, name } = this.#state;
    const { cargo, request } = planCommit(batch, this.#state);
    const now = Date.now();
    // Rule R9: whatever becomes of this life, the alarm wakes the next one.
    this.#surroundings.arm(now + COMMIT_TIMEOUT_MS);
    const isBacklogAsked = this.#isBacklogUnknown;
    this.#isBacklogUnknown = false;
    const flight = committer.launch(batch, cargo, now, (seq) => ({
      tenant: name.tenant,
      shard: name.shard,
      epoch: this.#epoch,
      seq,
      at: now,
      ...request,
      ...(isBacklogAsked && { backlog: true }),
    }));
    if (flight.unwritable) this.#refuse(flight, flight.unwritable);
    else void this.#fly(flight);
  }

  async #fly(flight: Flight): Promise<void> {
    try {
      const { reply, length } = await this.#database.commit(flight.text);
      await this.ensureVersions((reply.ready ?? []).map(({ version }) => version));
      this.#land(flight, reply, length);
    } catch (error) {
      this.#fail(flight, error);
    }
    this.#surroundings.settle();
  }

  #fail(flight: Flight, error: unknown): void {
    const { committer, log, name } = this.#state;
    const failure = classifyFailure(error);
    const fields = { seq: flight.seq, size: flight.transitions.length, ...errorFields(error) };
    if (failure === "stale_epoch") {
      log.error("shard.superseded", fields);
      this.#surroundings.abandon(`shard ${name.shard} of tenant ${name.tenant} has a newer life`);
    } else if (failure === "unknown") {
      this.#surroundings.arm(committer.delay(flight, Date.now()));
      log.warn("commit.unknown", { ...fields, tries: flight.tries });
    } else {
      this.#refuse(flight, error);
    }
  }

  /** The flight can never land: it is split until the culprit stands alone. */
  #refuse(flight: Flight, error: unknown): void {
    this.#unload(flight);
    const culprit = this.#state.committer.refuse(flight);
    const fields = { seq: flight.seq, size: flight.transitions.length, ...errorFields(error) };
    this.#state.log.error("commit.refused", { ...fields, is_culprit_known: culprit !== undefined });
    if (culprit) this.#punish(culprit, error);
  }

  /** Gives back what a refused flight had reserved. */
  #unload({ cargo }: Flight): void {
    for (const [action, count] of cargo.reserved) this.#state.window.release(action, count);
    if (cargo.take) this.#state.window.untaken(cargo.take);
    this.#state.handouts.fail(cargo.settlement);
  }

  /** The one transition that Postgres refuses gets its error, alone. */
  #punish(culprit: Transition, error: unknown): void {
    if (culprit.kind === "start") return culprit.refused(error);
    if (culprit.kind !== "result" || culprit.row.e?.code === "invalid_output") return;
    const message = `Postgres can't store this: ${error instanceof Error ? error.message : "?"}`;
    const { o: _unstorable, ...row } = culprit.row;
    const e = { code: "invalid_output" as const, name: "InvalidOutput", message };
    this.#state.committer.add({ ...culprit, row: { ...row, s: "failed", e } });
  }

  #land(flight: Flight, reply: CommitReply, length: number): void {
    const { committer, window, handouts, waiters } = this.#state;
    const { cargo, seq } = flight;
    committer.land(flight);
    for (const [action, count] of cargo.reserved) window.release(action, count);
    handouts.land(cargo.settlement, seq);
    for (const transition of flight.transitions) this.#tell(transition, reply, flight);
    this.#endLeases(flight.transitions);

    const ready = reply.ready ?? [];
    for (const task of ready) {
      const action = this.#state.versions.step(task.version, task.step)?.action;
      if (action === undefined || this.#state.leases.find(task.id, task.attempt)) continue;
      window.add({ ...task, action, seq, bytes: length / ready.length });
      handouts.add(seq, task.id);
    }
    if (cargo.take) window.taken(cargo.take, reply.more ?? []);
    for (const action of reply.spilled ?? []) window.markBacklog(action);
    for (const action of reply.backlog ?? []) window.markBacklog(action);
    // The first answer is lost, and with it which tasks were spilled.
    if (reply.repeated) this.#isBacklogUnknown = true;
    for (const { run, state } of reply.finished ?? []) waiters.finish(run, state);
  }

  /** Tells whoever asked for a transition what has become of it. */
  #tell(transition: Transition, reply: CommitReply, flight: Flight): void {
    if (transition.kind === "start") {
      this.#admit(transition.call, reply, flight);
      transition.landed({ events: reply.events ?? {}, starts: reply.starts ?? {} });
    } else if (transition.kind === "result" || transition.kind === "ask") {
      if (transition.session === undefined) return;
      const { t: task, a: attempt } = transition.row;
      const classes = transition.kind === "ask" ? reply.asked : reply.results;
      const type = classes?.[task] ?? "recorded";
      this.#sessions.send(transition.session, { type, task, attempt });
    }
  }

  /** Puts the first tasks of started runs into the window; the queue has those that were spilled. */
  #admit(call: StartCall, reply: CommitReply, { seq, firstSentAt, cargo }: Flight): void {
    const { versions, window, handouts } = this.#state;
    const bytes = call.bytes / Math.max(1, call.runs.length);
    for (const run of call.runs) {
      if (reply.starts?.[run.id] !== undefined) continue;
      for (const [step, { action, isRoot }] of versions.find(run.v)?.steps.entries() ?? []) {
        if (!isRoot) continue;
        const id = taskId(run.id, step);
        if (cargo.spilled.has(id)) {
          window.markBacklog(action);
          continue;
        }
        const payload = { input: run.i, metadata: run.m, parents: {} };
        const ready = { id, run: run.id, version: run.v, step, attempt: 1, queuedAt: firstSentAt };
        window.add({ ...ready, ...payload, action, seq, bytes });
        handouts.add(seq, id);
      }
    }
  }

  #endLeases(transitions: Transition[]): void {
    const { leases, roster, storage } = this.#state;
    const ended: string[] = [];
    for (const transition of transitions) {
      if (transition.kind !== "result") continue;
      const { t: task, a: attempt } = transition.row;
      const lease = leases.find(task, attempt);
      if (lease === undefined) continue;
      if (lease.state === "cancelling" && !lease.isReleased) {
        lease.state = "cancelled";
        storage.writeLeases([lease]);
        continue;
      }
      leases.end(task);
      roster.find(lease.session)?.holding.delete(task);
      ended.push(task);
    }
    storage.deleteLeases(ended);
  }

  async #recover(): Promise<void> {
    const { storage, leases, roster, handouts, window, name, log } = this.#state;
    this.#life = "recovering";
    const now = Date.now();
    this.#recoverSentAt = now;
    this.#surroundings.arm(now + COMMIT_TIMEOUT_MS);
    const held = [...leases.all()].filter(({ state }) => state !== "cancelled");
    try {
      const reply = await recoverShard(this.#database.query, {
        ...name,
        epoch: storage.readEpoch(),
        at: now,
        leases: held.map(({ task: t, attempt: a }) => ({ t, a })),
      });
      this.#epoch = reply.epoch;
      storage.writeEpoch(reply.epoch);
      const leased = new Set(reply.leased);
      // An attempt may have ended since we asked; the rest are not what Postgres has.
      for (const lease of held) {
        if (leased.has(lease.task)) handouts.add(0, lease.task);
        else this.#drop(lease.task);
      }
      for (const action of reply.backlog) window.markBacklog(action);
      this.#life = "recovered";
      this.#failedRecoveries = 0;
      const dropped = held.length - leased.size;
      log.info("shard.recovered", {
        epoch: reply.epoch,
        is_trusted: reply.trusted,
        leased: leased.size,
        dropped,
        sessions: [...roster.sessions].length,
      });
    } catch (error) {
      this.#life = "fresh";
      const waitMs = Math.min(COMMIT_RETRY_MAX_MS, COMMIT_RETRY_MS * 2 ** this.#failedRecoveries++);
      this.#recoverAt = Date.now() + waitMs;
      this.#surroundings.arm(this.#recoverAt);
      log.warn("shard.recovery_failed", { ...errorFields(error), retry_ms: waitMs });
    }
    this.#surroundings.settle();
  }

  #drop(task: string): void {
    const { leases, roster, storage } = this.#state;
    const lease = leases.current(task);
    if (lease === undefined) return;
    leases.end(task);
    storage.deleteLeases([task]);
    roster.find(lease.session)?.holding.delete(task);
  }
}
