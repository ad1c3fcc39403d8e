/** Virtual time: what is to happen at which moment, in its order. */
import { vi } from "vitest";

interface Moment {
  at: number;
  run: () => void;
}

export class Timeline {
  now = 1_000_000;
  #moments: Moment[] = [];
  #soonest: () => Moment | undefined;

  /** @param soonest What else is to happen, of which the moment may change: alarms. */
  constructor(soonest: () => Moment | undefined) {
    this.#soonest = soonest;
    vi.setSystemTime(this.now);
  }

  /** Of several at one moment the first to be said comes first. */
  later(ms: number, run: () => void): void {
    const moment = { at: this.now + ms, run };
    const index = this.#moments.findIndex(({ at }) => at > moment.at);
    this.#moments.splice(index < 0 ? this.#moments.length : index, 0, moment);
  }

  /** Lets time pass, and everything happen that is due. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      const [first] = this.#moments;
      const other = this.#soonest();
      const isFirst = first !== undefined && first.at <= (other?.at ?? Number.POSITIVE_INFINITY);
      const next = isFirst ? first : other;
      if (next === undefined || next.at > end) break;
      if (isFirst) this.#moments.shift();
      this.#set(Math.max(this.now, next.at));
      next.run();
      await settled();
    }
    this.#set(end);
  }

  #set(now: number): void {
    this.now = now;
    vi.setSystemTime(now);
  }
}

/** All that follows from an event without time passing. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}
