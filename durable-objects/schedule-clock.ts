/**
 * The clock of one tenant's schedules: sleeps until the first of them is due, sees to those that are, and
 * sleeps again. It is told of what is due sooner after a change, and by the minute's duty of what is overdue.
 *
 * Everything is in Postgres: a life of it that ends, wherever, costs nothing but time.
 */
import { DurableObject } from "cloudflare:workers";
import { createLogger, errorFields, type Logger } from "../telemetry/log.ts";

/** While it works, the alarm is set this far ahead, should it not come to its end. */
const ALARM_MARGIN_MS = 10_000;

/** It works so long in one alarm: the platform ends one that takes more CPU than 30 s. */
const TURN_MS = 10_000;

/** First and longest wait before it tries again what it could not do. */
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 60_000;

/**
 * Sees to schedules of the tenant that are due, a page of them; says when the next is: by now, when there are
 * more, and never when it is undefined.
 */
export type Tend = (tenant: string, log: Logger) => Promise<number | undefined>;

export abstract class Clock<
  Config extends { LOG_LEVEL?: string | undefined },
> extends DurableObject<Config> {
  readonly #tenant: string;
  readonly #log: Logger;
  readonly #tend: Tend;
  #isTending = false;
  /** The soonest moment that it was told of while it was at work. */
  #toldOf = Number.POSITIVE_INFINITY;
  #failures = 0;

  constructor(context: DurableObjectState, env: Config, tend: Tend) {
    super(context, env);
    const { name } = context.id;
    if (name === undefined) throw new Error("A clock is known by its tenant's id");
    this.#tenant = name;
    this.#log = createLogger({ tenant_id: name }, env.LOG_LEVEL);
    this.#tend = tend;
  }

  /** Something is due then: it wakes by that time. */
  async nudge(due: number): Promise<void> {
    const alarm = this.#isTending ? null : await this.ctx.storage.getAlarm();
    if (this.#isTending) this.#toldOf = Math.min(this.#toldOf, due);
    else if (alarm === null || due < alarm) await this.#arm(due);
  }

  /** Sees to what is due. At least once: whatever it does may happen again. */
  override async alarm(): Promise<void> {
    if (this.#isTending) return;
    this.#isTending = true;
    let next: number | undefined;
    try {
      // Before anything else: should this life end now, the next one goes on.
      await this.#arm(Date.now() + ALARM_MARGIN_MS);
      next = await this.#work();
      this.#failures = 0;
    } catch (error) {
      // An alarm that throws is tried six times and dropped; this one is set again for ever.
      const waitMs = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** Math.min(this.#failures++, 16));
      this.#log.warn("clock.failed", { ...errorFields(error), retry_ms: waitMs });
      next = Date.now() + waitMs;
    } finally {
      this.#isTending = false;
    }
    next = Math.min(next ?? Number.POSITIVE_INFINITY, this.#toldOf);
    this.#toldOf = Number.POSITIVE_INFINITY;
    if (next < Number.POSITIVE_INFINITY) await this.#arm(next);
    else await this.ctx.storage.deleteAlarm();
  }

  async #work(): Promise<number | undefined> {
    const endsAt = Date.now() + TURN_MS;
    for (;;) {
      const next = await this.#tend(this.#tenant, this.#log);
      if (next === undefined || next > Date.now() || Date.now() >= endsAt) return next;
    }
  }

  /** Never to this very moment: an alarm that is set to the time of the one going off is dropped with it. */
  async #arm(at: number): Promise<void> {
    await this.ctx.storage.setAlarm(Math.max(at, Date.now() + 1));
  }
}
