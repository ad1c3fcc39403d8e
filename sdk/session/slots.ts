/**
 * This worker's room for handlers: who has a slot, who is without one for a while, and who waits for
 * one. Never more have one than there are. Handlers that return come before tasks that have not begun.
 */

/**
 * Handlers that may be without their slot at once: each holds its memory, and all are listed in hello,
 * which may list twice the slots of the largest worker. Beyond it a handler keeps its slot.
 */
export const MAX_AWAY = 5_000;

export class Slots<Holder> {
  readonly #count: number;
  readonly #sizeOf: (holder: Holder) => number;
  readonly #holders = new Set<Holder>();
  #used = 0;
  readonly #away = new Set<Holder>();
  // Maps keep their order, and forget one that is no longer wanted at once.
  readonly #returning = new Map<Holder, () => void>();
  readonly #new = new Map<Holder, () => void>();
  #watch: ((holder: Holder, slots: number) => void) | undefined;

  /** @param sizeOf How many slots one takes. */
  constructor(count: number, sizeOf: (holder: Holder) => number = () => 1) {
    this.#count = count;
    this.#sizeOf = sizeOf;
  }

  /** Tasks that have not begun. */
  get waitingCount(): number {
    return this.#new.size;
  }

  /**
   * Calls `listener` with what each takes now, and from then on with every change: of those that have a slot
   * and of those that wait for one.
   */
  watch(listener: (holder: Holder, slots: number) => void): void {
    this.#watch = listener;
    const holders = [...this.#holders, ...this.#returning.keys(), ...this.#new.keys()];
    for (const holder of holders) listener(holder, this.#sizeOf(holder));
  }

  /** Calls `begin` once there is a slot for a task that has not begun: now, or in its turn. */
  take(holder: Holder, begin: () => void): void {
    this.#new.set(holder, begin);
    this.#watch?.(holder, this.#sizeOf(holder));
    this.#fill();
  }

  /** A handler does without its slot for a while. False when too many do: then it keeps it. */
  leave(holder: Holder): boolean {
    if (this.#away.size >= MAX_AWAY || !this.#drop(holder)) return false;
    this.#away.add(holder);
    this.#fill();
    return true;
  }

  /** Calls `goOn` once there is a slot again for a handler that has left its own. */
  takeAgain(holder: Holder, goOn: () => void): void {
    this.#returning.set(holder, goOn);
    this.#watch?.(holder, this.#sizeOf(holder));
    this.#fill();
  }

  /** It waits for a slot again no more, and stays without one. */
  stayAway(holder: Holder): void {
    if (this.#returning.delete(holder)) this.#watch?.(holder, -this.#sizeOf(holder));
  }

  /** It has ended, or will never begin: it has a slot, is without one, or waits for one. */
  giveBack(holder: Holder): void {
    this.#away.delete(holder);
    this.stayAway(holder);
    if (this.#new.delete(holder)) this.#watch?.(holder, -this.#sizeOf(holder));
    if (this.#drop(holder)) this.#fill();
  }

  #drop(holder: Holder): boolean {
    if (!this.#holders.delete(holder)) return false;
    this.#used -= this.#sizeOf(holder);
    this.#watch?.(holder, -this.#sizeOf(holder));
    return true;
  }

  // Each that gets a slot may change both queues: they are looked at anew.
  #fill(): void {
    while (this.#used < this.#count) {
      const queue = this.#returning.size > 0 ? this.#returning : this.#new;
      const [next] = queue;
      if (next === undefined) return;
      const [holder, begin] = next;
      const size = this.#sizeOf(holder);
      // One that is larger than all there is begins alone, rather than never.
      if (this.#used > 0 && this.#used + size > this.#count) return;
      queue.delete(holder);
      this.#away.delete(holder);
      this.#holders.add(holder);
      this.#used += size;
      begin();
    }
  }
}
