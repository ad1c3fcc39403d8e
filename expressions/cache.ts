/**
 * Compiled expressions of one signature, the last used ones, so that a shard or an isolate compiles
 * an expression once and forgets it when it is no longer asked for. What failed is kept as well.
 */
import { type Compilation, compileExpression, type Signature } from "./compile.ts";
import type { ResultKind } from "./json-results.ts";

export interface CacheOptions {
  /** Characters of all that are kept. Default any number. */
  characters?: number;
  /**
   * Once it is full, one newcomer in so many takes the place of others. More than 1 where more are asked for in
   * turn than can be kept: each would else be gone before it is asked for again. Default 1.
   */
  admission?: number;
}

export class ExpressionCache<Kind extends ResultKind = ResultKind> {
  readonly #signature: Signature<Kind>;
  readonly #capacity: number;
  readonly #options: Required<CacheOptions>;
  /** The least recently used first. */
  readonly #compilations = new Map<string, Compilation<Kind>>();
  #characters = 0;
  #newcomers = 0;

  /** `capacity`: expressions kept. Each takes some 2 KB, and 25 bytes a character more. */
  constructor(signature: Signature<Kind>, capacity: number, options: CacheOptions = {}) {
    this.#signature = signature;
    this.#capacity = capacity;
    this.#options = { characters: Number.POSITIVE_INFINITY, admission: 1, ...options };
  }

  get size(): number {
    return this.#compilations.size;
  }

  compile(source: string): Compilation<Kind> {
    const known = this.#compilations.get(source);
    if (known !== undefined) {
      this.#compilations.delete(source);
      this.#compilations.set(source, known);
      return known;
    }
    const compilation = compileExpression(source, this.#signature);
    if (this.#isFullWith(source) && ++this.#newcomers % this.#options.admission !== 0) {
      return compilation;
    }
    this.#compilations.set(source, compilation);
    this.#characters += source.length;
    for (const oldest of this.#compilations.keys()) {
      if (!this.#isFullWith("") || this.size === 1) break;
      this.#compilations.delete(oldest);
      this.#characters -= oldest.length;
    }
    return compilation;
  }

  /** Whether there is too much, with one more. */
  #isFullWith(source: string): boolean {
    const more = source === "" ? 0 : 1;
    const characters = this.#characters + source.length;
    return this.size + more > this.#capacity || characters > this.#options.characters;
  }
}
