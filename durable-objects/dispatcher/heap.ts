/**
 * A binary heap: gives back first what comes first by `isBefore`. What is in it must not change its
 * place in that order meanwhile.
 */
export class Heap<Item> {
  #items: Item[] = [];
  #isBefore: (a: Item, b: Item) => boolean;

  constructor(isBefore: (a: Item, b: Item) => boolean) {
    this.#isBefore = isBefore;
  }

  get size(): number {
    return this.#items.length;
  }

  /** In no order. */
  get items(): readonly Item[] {
    return this.#items;
  }

  peek(): Item | undefined {
    return this.#items[0];
  }

  push(item: Item): void {
    this.#rise(item, this.#items.push(item) - 1);
  }

  pop(): Item | undefined {
    const [first] = this.#items;
    const last = this.#items.pop();
    if (last !== undefined && this.#items.length > 0) this.#sink(last, 0);
    return first;
  }

  /** Takes an item out, wherever it is. */
  remove(item: Item): void {
    const at = this.#items.indexOf(item);
    if (at < 0) return;
    const last = this.#items.pop() as Item;
    if (at === this.#items.length) return;
    this.#rise(last, this.#sink(last, at));
  }

  #rise(item: Item, from: number): void {
    const items = this.#items;
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = items[above] as Item;
      if (!this.#isBefore(item, parent)) break;
      items[at] = parent;
      at = above;
    }
    items[at] = item;
  }

  /** Where it has come to rest. */
  #sink(item: Item, from: number): number {
    const items = this.#items;
    let at = from;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      const right = below + 1;
      if (right < items.length && this.#isBefore(items[right] as Item, items[below] as Item)) {
        below = right;
      }
      const child = items[below] as Item;
      if (!this.#isBefore(child, item)) break;
      items[at] = child;
      at = below;
    }
    items[at] = item;
    return at;
  }
}
