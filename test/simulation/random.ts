/**
 * Chance that can be repeated: a stream of numbers that follows from its name alone. Each part of a
 * simulation draws from a stream of its own, so that one more draw in one part doesn't change what
 * happens in the others.
 */

export class Random {
  readonly #name: string;
  #state: number;

  constructor(name: string) {
    this.#name = name;
    this.#state = hashOf(name);
  }

  /** Another stream, named after this one; what has been drawn from this one doesn't matter. */
  stream(name: string): Random {
    return new Random(`${this.#name}/${name}`);
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0; // 2^32 / golden ratio: visits every value once
    return mixed(this.#state) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** As `between`, but mostly near `least`: most things are quick, and a few take very long. */
  skewed(least: number, most: number): number {
    return least + Math.floor(this.next() ** 4 * (most - least + 1));
  }

  chance(probability: number): boolean {
    // Always draws: what follows must not depend on whether this could happen at all.
    return this.next() < probability;
  }

  pick<Item>(items: readonly [Item, ...Item[]]): Item;
  pick<Item>(items: readonly Item[]): Item | undefined;
  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.next() * items.length)];
  }

  /** One of the names, each as often as its weight says. */
  weighted<Name extends string>(weights: { readonly [Key in Name]: number }): Name {
    const names = Object.keys(weights) as Name[];
    const [first] = names;
    if (first === undefined) throw new Error("There is nothing to draw from");
    let left = this.next() * names.reduce((sum, name) => sum + weights[name], 0);
    for (const name of names) if ((left -= weights[name]) < 0) return name;
    return first;
  }

  /** One of the names, each with its probability; undefined for the rest. */
  maybe<Name extends string>(probabilities: { readonly [Key in Name]?: number }): Name | undefined {
    let left = this.next();
    for (const [name, probability] of Object.entries<number | undefined>(probabilities)) {
      if ((left -= probability ?? 0) < 0) return name as Name;
    }
    return undefined;
  }

  fillBytes(bytes: Uint8Array): void {
    for (let index = 0; index < bytes.length; index++) bytes[index] = Math.floor(this.next() * 256);
  }

  /** A UUIDv4. */
  uuid(): string {
    const bytes = new Uint8Array(16);
    this.fillBytes(bytes);
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [
      hex.slice(0, 8),
      hex.slice(8, 12),
      hex.slice(12, 16),
      hex.slice(16, 20),
      hex.slice(20),
    ].join("-");
  }
}

/** A 32-bit hash of a text. */
export function hashOf(text: string, start = 0x811c9dc5): number {
  let hash = start;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return mixed(hash >>> 0);
}

/** Spreads every bit of a 32-bit number over all of it. */
function mixed(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return (bits ^ (bits >>> 15)) >>> 0;
}
