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

  /** `capacity`: expressions kept. One takes some 10 KB, a large one 100 KB. */
  constructor(signature: Signature<Kind>, capacity: number) {
    this.#signature = signature;
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#compilations.size;
  }

  compile(source: string): Compilation<Kind> {
    const compilation =
      this.#compilations.get(source) ?? compileExpression(source, this.#signature);
    this.#compilations.delete(source);
    this.#compilations.set(source, compilation);
    const [oldest] = this.#compilations.keys();
    if (this.size > this.#capacity && oldest !== undefined) this.#compilations.delete(oldest);
    return compilation;
  }
}
