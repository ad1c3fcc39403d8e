/**
 * The only reader of a queue of pgmq: reads in large batches, has each handled, and sleeps when the queue
 * is empty. It is nudged after a commit that sent something, and once a minute by the clock when something
 * is visible; it never looks by itself, but when it knows that something becomes visible then.
 *
 * Nothing of its own must survive: what it had in hand when it died becomes visible again.
 */
import { DurableObject } from "cloudflare:workers";
import { type DatabaseConfig, type Query, queryOverHttp } from "../database/connect.ts";
import { consume, type ConsumeParts } from "../messages/consume.ts";
import { parseDrainName } from "../messages/drain-name.ts";
import {
  DRAIN_TURN_MS,
  HIDDEN_SECONDS,
  MIN_REST_MS,
  QUERY_TIMEOUT_MS,
  retryMs,
} from "../messages/limits.ts";
import { readPgmq } from "../messages/pgmq-queue.ts";
import type { QueueName } from "../protocol/message-bodies.ts";
import { createLogger, errorFields, type Logger } from "../telemetry/log.ts";

/** Who handles the messages: known to the edge Worker only. */
export type HandlerOf = ConsumeParts["handlerOf"];

export abstract class Drain<Config extends DatabaseConfig> extends DurableObject<Config> {
  readonly #queue: QueueName;
  readonly #query: Query;
  readonly #log: Logger;
  readonly #handlerOf: HandlerOf;
  /** Tenants that could take nothing, and until when they are left alone. */
  readonly #rests = new Map<string, number>();
  #isNudged = false;
  #isDraining = false;
  #failures = 0;

  constructor(context: DurableObjectState, env: Config, handlerOf: HandlerOf) {
    super(context, env);
    const { queue, partition } = parseDrainName(context.id.name);
    this.#queue = queue;
    this.#query = queryOverHttp(env, QUERY_TIMEOUT_MS);
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
      await this.#arm(HIDDEN_SECONDS * 1_000);
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
      const { batch, nextMs } = await readPgmq(this.#query, this.#queue);
      if (batch.deliveries.length > 0) await this.#consume(batch);
      else return nextMs;
      if (Date.now() >= endsAt) return 0;
    }
  }

  async #consume(batch: Parameters<typeof consume>[0]): Promise<void> {
    const { busy, ...counts } = await consume(batch, {
      query: this.#query,
      log: this.#log,
      handlerOf: this.#handlerOf,
      restMs: (tenant) => this.#restMs(tenant),
    });
    for (const [tenant, ms] of busy) this.#rests.set(tenant, Date.now() + ms);
    this.#log.info("drain.read", { ...counts, busy_tenants: busy.size });
  }

  #restMs(tenant: string): number | undefined {
    const until = this.#rests.get(tenant);
    if (until === undefined) return undefined;
    const leftMs = until - Date.now();
    if (leftMs > 0) return leftMs;
    this.#rests.delete(tenant);
    return undefined;
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
