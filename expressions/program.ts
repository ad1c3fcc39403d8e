/**
 * A parsed, checked and metered expression, as the library runs it. Throws what is wrong, and its
 * values are CEL's; `compile.ts` and `expression.ts` make of it what others may use.
 */
import type { ParseResult } from "@marcbachmann/cel-js";

import { MAX_EXPRESSION_LENGTH } from "../protocol/limits.ts";
import { Allowance } from "./allowance.ts";
import { checkLiterals, checkShape } from "./checks.ts";
import type { Language } from "./environment.ts";
import { Refusal } from "./errors.ts";
import { type Node, type Overlay, walk } from "./library.ts";
import { meter } from "./metering.ts";

/** The data, by the names of the variables. */
export type Values = Readonly<Record<string, unknown>>;

export class Program {
  readonly root: Node;
  /** CEL's name of what it answers; `dyn` when that depends on the data. */
  readonly type: string;
  readonly allowance = new Allowance();
  #evaluate: ParseResult;
  #overlays: Overlay[];

  constructor(source: string, { parse, evaluator }: Language) {
    checkLength(source);
    this.#evaluate = parse(source);
    this.root = this.#evaluate.ast as Node;
    checkShape(this.root);
    this.type = typeOf(this.#evaluate);
    meter(this.root, this.allowance);
    checkLiterals(this.root, evaluator, this.allowance);
    this.#overlays = overlaysOf(this.root);
  }

  run(values: Values): unknown {
    this.allowance.refill();
    try {
      return this.#evaluate(values);
    } finally {
      this.#forget();
      this.allowance.check();
    }
  }

  /** A cached program would else keep the data it has read last, megabytes of it. */
  #forget(): void {
    for (const overlay of this.#overlays) {
      overlay.reuse(undefined);
      overlay.iterValue = undefined;
      overlay.accuValue = undefined;
    }
  }
}

function checkLength(source: string): void {
  if (source.length <= MAX_EXPRESSION_LENGTH) return;
  throw new Refusal(
    "too_large",
    `The expression has ${source.length} characters, and may have ${MAX_EXPRESSION_LENGTH}. ` +
      "Shorten it, or move it to a step.",
    { start: MAX_EXPRESSION_LENGTH, end: source.length },
  );
}

function typeOf(parsed: ParseResult): string {
  const { error, type } = parsed.check();
  if (type === undefined) throw error;
  return type;
}

function overlaysOf(root: Node): Overlay[] {
  const overlays: Overlay[] = [];
  walk(root, ({ meta }) => {
    const overlay = meta.alternate?.args.iterCtx ?? meta.macro?.bindCtx;
    if (overlay !== undefined) overlays.push(overlay);
  });
  return overlays;
}
