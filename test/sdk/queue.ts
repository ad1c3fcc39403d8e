/** Things that come in order, waited for by tests. It never sleeps; it fails loudly, with what was missing. */

/** Far beyond what anything here takes; only a broken product reaches it. */
const LIMIT_MS = 8_000;

// A test that fakes time must not hold its own watchdog.
const realSetTimeout = setTimeout;
const realClearTimeout = clearTimeout;

export class Queue<Item> {
  readonly #items: Item[] = [];
  readonly #waiting: ((item: Item) => void)[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(item: Item): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#items.push(item);
    else waiting(item);
  }

  next(what: string): Promise<Item> {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift() as Item);
    return new Promise((resolve, reject) => {
      const timer = realSetTimeout(() => reject(new Error(`${what} never came`)), LIMIT_MS);
      this.#waiting.push((item) => {
        realClearTimeout(timer);
        resolve(item);
      });
    });
  }
}
