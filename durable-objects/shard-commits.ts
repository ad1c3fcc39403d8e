/**
 * Flies a shard's commits: recovers before the first, launches what may fly, sends again what was not
 * answered, and splits what Postgres refuses. What a commit sets free is `shard-landing.ts`.
 */
import { classifyFailure } from "../database/errors.ts";
import { readVersions, recoverShard } from "../database/functions.ts";
import type { SentMessages } from "../database/message-rows.ts";
import type { CommitReply } from "../database/rows.ts";
import type { ShardDatabase } from "../database/shard-database.ts";
import { failPromotion } from "../database/workflow-changes.ts";
import type { MessageQueue } from "../messages/message-queue.ts";
import { newId } from "../protocol/ids.ts";
import { errorFields } from "../telemetry/log.ts";
import type { Flight } from "./dispatcher/committer.ts";
import {
  AGENDA_PAGE,
  COMMIT_RETRY_MAX_MS,
  COMMIT_RETRY_MS,
  COMMIT_TIMEOUT_MS,
  HELD_UP_MS,
  LANE_PAGE,
} from "./dispatcher/limits.ts";
import { planCommit } from "./dispatcher/plan.ts";
import type { Transition } from "./dispatcher/transitions.ts";
import type { ShardLanding } from "./shard-landing.ts";
import type { ShardLimits } from "./shard-limits.ts";
import type { ShardLoans } from "./shard-loans.ts";
import type { ShardPeers } from "./shard-peers.ts";
import type { ShardState } from "./shard-state.ts";

/** What the commits need of the shard around them. */
export interface CommitSurroundings {
  /** Makes sure that the alarm goes off by then. */
  arm(at: number): void;
  /** Places ready tasks and sends what there is to send. */
  settle(): void;
  /** Ends this life of the shard: a newer one has taken over. */
  abandon(reason: string): void;
  /** Carries what commits send. */
  messages: MessageQueue;
}

/** Who lets out what has landed. */
export interface CommitEffects {
  landing: ShardLanding;
  limits: ShardLimits;
  peers: ShardPeers;
  loans: ShardLoans;
}

export class ShardCommits {
  #state: ShardState;
  #landing: ShardLanding;
  #limits: ShardLimits;
  #peers: ShardPeers;
  #loans: ShardLoans;
  #database: ShardDatabase;
  #surroundings: CommitSurroundings;
  #epoch = 0;
  #life: "fresh" | "recovering" | "recovered" = "fresh";
  #recovery = Promise.resolve();
  #isRecoveryWanted = false;
  #recoverSentAt = 0;
  #recoverAt = 0;
  #failedRecoveries = 0;
  #isResting = false;
  /** What is in Postgres for this shard may be more than it knows: its timers, its limits. */
  #isAgendaUnknown = false;
  #isLookWanted = false;
  /** The next commit has Postgres plan what starts and results need. */
  #isWarmingWanted = false;
  /** Workflows of which a promotion is being ended. */
  #failingPromotions = new Set<string>();

  constructor(
    state: ShardState,
    { landing, limits, peers, loans }: CommitEffects,
    database: ShardDatabase,
    surroundings: CommitSurroundings,
  ) {
    this.#state = state;
    this.#landing = landing;
    this.#limits = limits;
    this.#peers = peers;
    this.#loans = loans;
    this.#database = database;
    this.#surroundings = surroundings;
  }

  /** Whether it is known what the shard has. If not, finds out. */
  isRecovered(): boolean {
    if (this.#life === "recovered") return true;
    this.#isRecoveryWanted = true;
    this.pump();
    return false;
  }

  /** Once that is known, or could not be found out now. */
  async whenRecovered(): Promise<void> {
    if (!this.isRecovered()) await this.#recovery;
  }

  /** Whether the commit has landed that was last wanted for what it says of the shard. */
  hasLooked(): boolean {
    const isLooking = [...this.#state.committer.flights].some(({ cargo }) => cargo.isAgendaAsked);
    return this.isRecovered() && !this.#isLookWanted && !isLooking;
  }

  /** Whether everything has landed and every row that can go has gone. */
  get isIdle(): boolean {
    return this.#life !== "recovering" && this.#state.committer.isEmpty;
  }

  /** Nothing is to be done before Postgres has something due, or then: the next life need not ask sooner. */
  rest(until: number): void {
    const { storage, agenda, window, turns } = this.#state;
    if (this.#life !== "recovered" || this.#isResting) return;
    this.#isResting = true;
    // What the window waits for goes with this life, and is in Postgres for the next one.
    const due = Math.min(
      agenda.nextDue(),
      window.nextExpiry(),
      window.queueExpiry,
      turns.nextOpening(),
      this.#loans.nextDue,
      until,
    );
    // SQLite keeps no infinity.
    storage.writeRest(Math.min(due, Number.MAX_SAFE_INTEGER));
  }

  /** Whether Postgres has not answered for so long that what is asked for now would wait as well. */
  isHeldUp(now: number): boolean {
    let since = this.#life === "recovering" ? this.#recoverSentAt : Number.POSITIVE_INFINITY;
    for (const { firstSentAt } of this.#state.committer.flights)
      since = Math.min(since, firstSentAt);
    return since + HELD_UP_MS <= now;
  }

  /** When recovery needs the alarm; infinity when it doesn't. */
  get recoveryDue(): number {
    if (this.#life === "recovering") return this.#recoverSentAt + COMMIT_TIMEOUT_MS;
    return this.#failedRecoveries > 0 ? this.#recoverAt : Number.POSITIVE_INFINITY;
  }

  /** Whether to read on in the agenda. What waits here for its turn would only be read again. */
  get #isAgendaShort(): boolean {
    const { agenda, matching, looking, settling } = this.#state;
    return agenda.isExhausted && !matching.isFull && !looking.isFull && !settling.isFull;
  }

  /** Asks what Postgres has for this shard, should this life not have asked yet. */
  wantRecovery(): void {
    this.#isRecoveryWanted = true;
  }

  /**
   * Asks again: Postgres may have something for this shard that no commit of its own has put there.
   * @param isWarming Runs are to come: what else the first of them would wait for is done with it.
   */
  wantAnotherLook({ isWarming = false } = {}): void {
    this.#isWarmingWanted ||= isWarming;
    this.#isRecoveryWanted = this.#isLookWanted = this.#isAgendaUnknown = true;
    this.#state.backlog.reread();
  }

  /** Makes sure that the DAGs of these versions are in memory. */
  async ensureVersions(ids: Iterable<string>): Promise<void> {
    const missing = this.#state.versions.missing(ids);
    if (missing.length === 0) return;
    // A start reads them before it has a commit: what doesn't answer is given up all the same.
    this.#surroundings.arm(Date.now() + COMMIT_TIMEOUT_MS);
    const { tenant } = this.#state.name;
    this.#state.versions.add(await readVersions(this.#database.query, tenant, missing));
  }

  /** Lets every batch fly that may. */
  pump(isLast = false): void {
    const { committer, window, backlog, roster, handouts } = this.#state;
    if (this.#life !== "recovered") {
      if (committer.isEmpty && !this.#isRecoveryWanted) return;
      if (this.#life === "fresh" && this.#recoverAt <= Date.now()) {
        this.#recovery = this.#recover();
      }
      return;
    }
    for (;;) {
      const isWanted =
        backlog.hasDemand((action) => roster.isServed(action)) ||
        backlog.page !== undefined ||
        handouts.hasUnburied ||
        this.#isLookWanted ||
        this.#isAgendaUnknown ||
        this.#isAgendaShort ||
        window.queueExpiry <= Date.now() ||
        (isLast && handouts.hasEmptied);
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
    const { committer, name, agenda, storage } = this.#state;
    if (this.#isResting) storage.clearRest();
    this.#isResting = false;
    const now = Date.now();
    const { cargo, request } = planCommit(batch, now, this.#state);
    // Rule R9: whatever becomes of this life, the alarm wakes the next one.
    this.#surroundings.arm(now + COMMIT_TIMEOUT_MS);
    cargo.isAgendaAsked = this.#isAgendaUnknown || this.#isAgendaShort;
    const unplanned = this.#isWarmingWanted && { starts: [], results: [] };
    this.#isAgendaUnknown = this.#isLookWanted = this.#isWarmingWanted = false;
    if (cargo.isAgendaAsked) agenda.ask();
    const { broker } = this.#surroundings.messages;
    const flight = committer.launch(batch, cargo, now, (seq) => ({
      tenant: name.tenant,
      shard: name.shard,
      epoch: this.#epoch,
      seq,
      at: now,
      ...(broker !== "pgmq" && { broker }),
      ...unplanned,
      ...request,
      ...(cargo.isAgendaAsked && { agenda: AGENDA_PAGE }),
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

  #land(flight: Flight, reply: CommitReply, length: number): void {
    if (flight.tries > 1) {
      // Its first answer was lost, and with it what was spilled and which timers were set.
      this.#isAgendaUnknown = true;
      this.#state.backlog.reread();
    }
    if (reply.sent !== undefined) void this.#announce(reply.sent);
    for (const workflow of reply.failing ?? []) void this.#failPromotion(workflow);
    try {
      this.#landing.land(flight, reply, length);
      if (flight.tries > 1) this.#state.handouts.haunt(flight.seq);
    } catch (error) {
      // What is in memory no longer follows from what is in Postgres: another life starts from there.
      this.#state.log.error("commit.not_landed", { seq: flight.seq, ...errorFields(error) });
      this.#surroundings.abandon(`commit ${flight.seq} could not be let out`);
    }
  }

  /** The broker brings what the commit has sent; what it isn't told, the clock finds. */
  async #announce(sent: SentMessages[]): Promise<void> {
    try {
      await this.#surroundings.messages.announce(sent);
    } catch (error) {
      this.#state.log.warn("messages.not_announced", errorFields(error));
    }
  }

  /** Too many runs of the promoted version have failed. Should this fail too, the next failed run says so again. */
  async #failPromotion(workflow: string): Promise<void> {
    const { name, log } = this.#state;
    if (this.#failingPromotions.has(workflow)) return;
    this.#failingPromotions.add(workflow);
    try {
      const { query } = this.#database;
      const failed = await failPromotion(query, name.tenant, workflow, newId(), Date.now());
      if (failed === undefined) return;
      const { number: version, ended, failed: failures } = failed;
      log.warn("workflow.promotion_failed", { workflow_id: workflow, version, ended, failures });
    } catch (error) {
      log.warn("workflow.promotion_not_ended", { workflow_id: workflow, ...errorFields(error) });
    } finally {
      this.#failingPromotions.delete(workflow);
    }
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
    if (culprit) this.#landing.refuse(culprit, error);
  }

  /** Gives back what a refused flight had reserved. */
  #unload({ cargo }: Flight): void {
    for (const [lane, count] of cargo.reserved) this.#state.window.release(lane, count);
    this.#state.backlog.untaken(cargo.take);
    this.#state.handouts.unbury(cargo.buried);
    if (cargo.isExpiring) this.#state.window.noteQueueExpiry(Date.now());
    if (cargo.page) this.#state.backlog.reread();
    this.#isAgendaUnknown ||= cargo.isAgendaAsked;
    this.#state.handouts.fail(cargo.settlement);
  }

  async #recover(): Promise<void> {
    const { storage, leases, roster, handouts, window, backlog, agenda, name, log } = this.#state;
    this.#life = "recovering";
    const now = Date.now();
    this.#recoverSentAt = now;
    this.#surroundings.arm(now + COMMIT_TIMEOUT_MS);
    const held = [...leases.current()];
    try {
      const reply = await recoverShard(this.#database.query, {
        ...name,
        epoch: storage.readEpoch(),
        at: now,
        leases: held.map(({ task: t, attempt: a }) => ({ t, a })),
        agenda: AGENDA_PAGE,
        holders: this.#state.permits.runs(),
        lanes: LANE_PAGE,
      });
      if (reply.holding) await this.ensureVersions(reply.holding.map(({ v }) => v));
      this.#epoch = reply.epoch;
      storage.writeEpoch(reply.epoch);
      storage.clearRest();
      const leased = new Set(reply.leased);
      // An attempt may have ended since we asked; the rest are not what Postgres has.
      for (const lease of held) {
        if (leased.has(lease.task)) handouts.add(0, lease.task);
        else this.#landing.drop(lease, now);
      }
      this.#peers.heed(reply.map);
      this.#loans.recover(reply.trusted, reply.epoch, now);
      this.#limits.recover(reply, now);
      backlog.read(reply.lanes, { n: LANE_PAGE });
      agenda.read(reply.agenda, AGENDA_PAGE);
      if (reply.expiry !== undefined) window.noteQueueExpiry(reply.expiry);
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
}
