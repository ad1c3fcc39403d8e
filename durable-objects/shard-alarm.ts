/**
 * The shard's one alarm: it is set to the soonest deadline, and written only when that is sooner than it stands.
 */
import { ALARM_DROPPED_MS } from "./dispatcher/limits.ts";

export class ShardAlarm {
  #storage: DurableObjectStorage;
  #at: number | undefined;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** As the life before has left it. */
  async restore(): Promise<void> {
    this.#at = (await this.#storage.getAlarm()) ?? undefined;
  }

  /** It has gone off. */
  ring(): void {
    this.#at = undefined;
  }

  /** When it goes off; undefined without one, or when it is so late that it was dropped. */
  standing(now: number): number | undefined {
    return this.#at !== undefined && this.#at + ALARM_DROPPED_MS > now ? this.#at : undefined;
  }

  /** Sets it, unless it goes off before that anyway. */
  arm(at: number): void {
    if (!Number.isFinite(at)) return;
    const now = Date.now();
    const standing = this.standing(now);
    if (standing !== undefined && standing <= Math.max(at, now + 1)) return;
    void this.#set(at);
  }

  /** Sets it to exactly what is due next, or to none. */
  async rearm(due: number | undefined): Promise<void> {
    if (due !== undefined) return await this.#set(due);
    this.#at = undefined;
    await this.#storage.deleteAlarm();
  }

  /**
   * Never to a moment that has come: an alarm that is set to the time of the one going off is taken
   * for that very one, and is dropped with it.
   */
  async #set(at: number): Promise<void> {
    this.#at = Math.max(at, Date.now() + 1);
    await this.#storage.setAlarm(this.#at);
  }
}
