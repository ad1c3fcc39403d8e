/**
 * Chance that can be repeated: numbers from a seed. It decides what is thrown and at whom; when
 * real processes get to run is decided by nobody, so a seed repeats a plan and not a history.
 */
import { createHash } from "node:crypto";

export class SeededRandom {
  readonly #seed: string;
  #drawn = 0;

  constructor(seed: string) {
    this.#seed = seed;
  }

  /** A sequence of its own, so that what one part draws changes nothing for the others. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.#seed}/${name}`);
  }

  /** A whole number from 0 up to, but without, `below`. */
  below(below: number): number {
    const digest = createHash("sha256")
      .update(`${this.#seed}#${this.#drawn++}`)
      .digest();
    return Math.floor((digest.readUInt32BE() / 2 ** 32) * below);
  }

  /** The values in another order. */
  shuffle<Value>(values: readonly Value[]): Value[] {
    const left = [...values];
    return values.flatMap(() => left.splice(this.below(left.length), 1));
  }
}
