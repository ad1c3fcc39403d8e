/**
 * Finds near-duplicates by word overlap (Jaccard: shared words over all words of both). Exact, and
 * fast against thousands of texts: equal word sets are kept once, and only sets that share one of
 * a text's rarest words are compared with it. Pure; what was seen is given to it in order.
 */

export interface Near {
  subject: string;
  /** Shared words over all words of both: 1 is the same words. */
  overlap: number;
}

interface WordSet {
  words: ReadonlySet<string>;
  /** Where each subject first had these words. */
  firstPositions: Map<string, number>;
}

/** With fewer words than this, overlap is chance. */
export const MIN_WORDS = 3;

export class SeenTexts {
  readonly #sets = new Map<string, WordSet>();
  readonly #setsByWord = new Map<string, WordSet[]>();
  /** Positions of every text about a subject, rising. */
  readonly #positions = new Map<string, number[]>();
  #count = 0;

  /** How many texts have been added; the next one's position. */
  get count(): number {
    return this.#count;
  }

  /** Adds the next text: what it is about, and its words. */
  add(subject: string, words: Iterable<string>): void {
    const position = this.#count++;
    listAt(this.#positions, subject).push(position);
    const set = this.#setOf(new Set(words));
    if (!set.firstPositions.has(subject)) set.firstPositions.set(subject, position);
  }

  /** How many texts about this subject came before the position. */
  earlier(subject: string, before: number): number {
    const positions = this.#positions.get(subject) ?? [];
    const index = positions.findIndex((position) => position >= before);
    return index === -1 ? positions.length : index;
  }

  /**
   * Other subjects with a text before the position that overlaps by at least `atLeast` (above 0),
   * most alike first, then by name; each subject once.
   */
  nearest(subject: string, words: Iterable<string>, atLeast: number, before: number): Near[] {
    const wanted = new Set(words);
    if (wanted.size < MIN_WORDS) return [];
    const best = new Map<string, number>();
    for (const set of this.#candidates(wanted, atLeast)) {
      const overlap = jaccard(wanted, set.words);
      if (overlap < atLeast) continue;
      for (const [other, position] of set.firstPositions) {
        if (other === subject || position >= before) continue;
        best.set(other, Math.max(overlap, best.get(other) ?? 0));
      }
    }
    return [...best]
      .map(([other, overlap]) => ({ subject: other, overlap }))
      .toSorted((a, b) => b.overlap - a.overlap || (a.subject < b.subject ? -1 : 1));
  }

  #setOf(words: ReadonlySet<string>): WordSet {
    const signature = [...words].toSorted().join(" ");
    const known = this.#sets.get(signature);
    if (known !== undefined) return known;
    const set = { words, firstPositions: new Map<string, number>() };
    this.#sets.set(signature, set);
    for (const word of words) listAt(this.#setsByWord, word).push(set);
    return set;
  }

  #candidates(wanted: ReadonlySet<string>, atLeast: number): Set<WordSet> {
    // Overlapping by t needs at least t·n of the n wanted words. A set without any of the rarest
    // n − ⌈t·n⌉ + 1 has too few left, whichever they are.
    const rarestFirst = [...wanted]
      .map((word) => this.#setsByWord.get(word) ?? [])
      .toSorted((a, b) => a.length - b.length);
    // The margin keeps a product like 0.55 × 100 from being rounded up past the exact bound.
    const enough = wanted.size - Math.ceil(atLeast * wanted.size - 1e-9) + 1;
    return new Set(rarestFirst.slice(0, enough).flat());
  }
}

/** Shared words over all words of both; 0 when both are empty. */
export function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const [small, large] = a.size <= b.size ? [a, b] : [b, a];
  let shared = 0;
  for (const word of small) if (large.has(word)) shared += 1;
  const all = a.size + b.size - shared;
  return all === 0 ? 0 : shared / all;
}

function listAt<Key, Item>(lists: Map<Key, Item[]>, key: Key): Item[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}
