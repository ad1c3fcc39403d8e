/**
 * Compiled expressions of one signature, the last used ones, so that a shard or an isolate compiles
 * an expression once and forgets it when it is no longer asked for. What failed is kept as well.
 */
import { type Compilation, compileExpression, type Signature } from "./compile.ts";
import type { ResultKind } from "./json-results.ts";

export class ExpressionCache<Kind extends ResultKind = ResultKind> {
  readonly #signature: Signature<Kind>;
  readonly #capacity: number;
  /** The least recently used first. */
  readonly #compilations = new Map<string, Compilation<Kind>>();

  readonly #admission: number;
  #refused = 0;

  /**
   * `capacity`: expressions kept. One takes some 10 KB, a large one 100 KB. `admission`: once it is full, one
   * newcomer in so many takes the place of another. More than 1 where more expressions than it can keep are
   * asked for in turn: each would else be gone before it is asked for again.
   */
  constructor(signature: Signature<Kind>, capacity: number, admission = 1) {
    this.#signature = signature;
    this.#capacity = capacity;
    this.#admission = admission;
  }

  get size(): number {
    return this.#compilations.size;
  }

  compile(source: string): Compilation<Kind> {
    const known = this.#compilations.get(source);
    const compilation = known ?? compileExpression(source, this.#signature);
    const isFull = this.size >= this.#capacity;
    if (known === undefined && isFull && ++this.#refused % this.#admission !== 0) {
      return compilation;
    }
    this.#compilations.delete(source);
    this.#compilations.set(source, compilation);
    const [oldest] = this.#compilations.keys();
    if (this.size > this.#capacity && oldest !== undefined) this.#compilations.delete(oldest);
    return compilation;
  }
}
