/**
 * The only reader of a queue of pgmq, in one database: reads in large batches, has each handled, and sleeps when the queue
 * is empty. It is nudged after a commit that sent something, and once a minute by the clock when something
 * is visible; it never looks by itself, but when it knows that something becomes visible then.
 *
 * Nothing of its own must survive: what it had in hand when it died the next life reads first.
 */
import { DurableObject } from "cloudflare:workers";
import { type DatabaseConfig, type Query, queryOverHttp } from "../database/connect.ts";
import { showQueue } from "../database/messages.ts";
import { numberedDatabase } from "../database/tenant-database.ts";
import { consume, type ConsumeParts } from "../messages/consume.ts";
import { parseDrainName } from "../messages/drain-name.ts";
import { DRAIN_TURN_MS, MIN_REST_MS, QUERY_TIMEOUT_MS, retryMs } from "../messages/limits.ts";
import { readPgmq } from "../messages/pgmq-queue.ts";
import { Rests } from "../messages/rests.ts";
import type { QueueName } from "../protocol/message-bodies.ts";
import { createLogger, errorFields, type Logger } from "../telemetry/log.ts";

/** While it works, the alarm is set this far ahead, should it not come to its end. */
const ALARM_MARGIN_MS = 10_000;

/** Who handles the messages: known to the edge Worker only. */
export type HandlerOf = ConsumeParts["handlerOf"];

export abstract class Drain<Config extends DatabaseConfig> extends DurableObject<Config> {
  readonly #queue: QueueName;
  readonly #query: Query;
  readonly #log: Logger;
  readonly #handlerOf: HandlerOf;
  readonly #rests = new Rests();
  /** It has not read yet: what an earlier life had in hand is to be read again at once. */
  #isFresh = true;
  #isNudged = false;
  #isDraining = false;
  #failures = 0;

  constructor(context: DurableObjectState, env: Config, handlerOf: HandlerOf) {
    super(context, env);
    const { queue, partition } = parseDrainName(context.id.name);
    this.#queue = queue;
    this.#query = queryOverHttp(numberedDatabase(env, partition), QUERY_TIMEOUT_MS);
    this.#log = createLogger({ queue, partition }, env.LOG_LEVEL);
    this.#handlerOf = handlerOf;
  }

  /** There may be something to read. */
  async nudge(): Promise<void> {
    this.#isNudged = true;
    if (!this.#isDraining) await this.#arm(0);
  }

  /** Reads until nothing is visible. At least once: whatever it does may happen again. */
  override async alarm(): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      // Before anything else: should this life end now, the next one finds what it had in hand.
      await this.#arm(ALARM_MARGIN_MS);
      const nextMs = await this.#drain();
      this.#failures = 0;
      await this.#rest(nextMs);
    } catch (error) {
      // An alarm that throws is tried six times and dropped; this one is set again for ever.
      const waitMs = retryMs(++this.#failures);
      this.#log.warn("drain.failed", { ...errorFields(error), retry_ms: waitMs });
      await this.#arm(waitMs);
    } finally {
      this.#isDraining = false;
    }
  }

  /** Returns when there is more to read, in milliseconds; undefined: nothing is left. */
  async #drain(): Promise<number | undefined> {
    const endsAt = Date.now() + DRAIN_TURN_MS;
    for (;;) {
      this.#isNudged = false;
      const isFirst = this.#isFresh;
      const { batch, nextMs } = await readPgmq(this.#query, this.#queue, { isFirst });
      this.#isFresh = false;
      if (batch.deliveries.length > 0) await this.#consume(batch);
      else return nextMs;
      if (Date.now() >= endsAt) return 0;
    }
  }

  async #consume(batch: Parameters<typeof consume>[0]): Promise<void> {
    const { busy, back, ...counts } = await consume(batch, {
      query: this.#query,
      log: this.#log,
      handlerOf: this.#handlerOf,
      rests: this.#rests,
    });
    for (const tenant of back) await showQueue(this.#query, this.#queue, tenant);
    this.#log.info("drain.read", { ...counts, busy_tenants: busy.size });
  }

  /** Sleeps until there is more, or for good. A nudge that came after the last look counts. */
  async #rest(nextMs: number | undefined): Promise<void> {
    if (this.#isNudged) return await this.#arm(0);
    if (nextMs !== undefined) return await this.#arm(Math.max(MIN_REST_MS, nextMs));
    this.#rests.clear();
    await this.ctx.storage.deleteAlarm();
  }

  /** Never to this very moment: an alarm that is set to the time of the one going off is dropped with it. */
  async #arm(ms: number): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + Math.max(1, ms));
  }
}
