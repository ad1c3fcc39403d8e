/**
 * What can be held against an expression before there is data: calls of functions that are not
 * there, too many loops, keys that would be lost, literals that can never be converted. Each throws
 * a `Refusal` with its place.
 */
import type { Allowance } from "./allowance.ts";
import { Refusal } from "./errors.ts";
import { calledFunction, childrenOf, isLoop, type Evaluator, type Node, walk } from "./library.ts";
import { MAX_BINDS, MAX_MACRO_NESTING, MAX_MACROS } from "./limits.ts";
import { compilePattern } from "./patterns.ts";
import { FUNCTION_PRICES, MACROS } from "./prices.ts";

/** Before the type check, which remembers every name it is asked for. */
export function checkShape(root: Node): void {
  let loops = 0;
  let binds = 0;
  walk(root, (node) => {
    const name = calledFunction(node);
    if (name !== undefined && !FUNCTION_PRICES.has(name) && !MACROS.has(name)) {
      refuse(node, "unknown_function", `There is no function ${name}().`);
    }
    if (isLoop(node) && ++loops > MAX_MACROS) {
      refuse(node, "too_complex", `An expression may have ${MAX_MACROS} macros over lists.`);
    }
    if (name === "bind" && ++binds > MAX_BINDS) {
      refuse(node, "too_complex", `An expression may have ${MAX_BINDS} cel.bind().`);
    }
    if (node.op === "map") node.args.forEach(([key]) => checkKey(key as Node));
  });
  checkNesting(root, 0);
}

function checkNesting(node: Node, depth: number): void {
  if (!isLoop(node)) {
    for (const child of childrenOf(node)) checkNesting(child, depth);
    return;
  }
  if (depth === MAX_MACRO_NESTING) {
    refuse(
      node,
      "too_complex",
      `Macros over lists may be ${MAX_MACRO_NESTING} deep within each other.`,
    );
  }
  const [list, ...body] = childrenOf(node);
  if (list !== undefined) checkNesting(list, depth);
  for (const part of body) checkNesting(part, depth + 1);
}

/** The library leaves such entries out without a word. */
function checkKey(key: Node): void {
  if (key.op !== "value" || typeof key.args !== "string") return;
  if (["__proto__", "constructor", "prototype"].includes(key.args)) {
    refuse(key, "type_error", `A map can't have the key "${key.args}". Use another name.`);
  }
}

const CONVERSIONS = new Set(["bool", "double", "duration", "int", "timestamp", "uint"]);

/** After the type check. Literals are as good when the expression is stored as they will ever be. */
export function checkLiterals(root: Node, evaluator: Evaluator, allowance: Allowance): void {
  walk(root, (node) => {
    const name = calledFunction(node);
    if (name === "matches") checkPattern(childrenOf(node)[1], allowance);
    if (name === undefined || !CONVERSIONS.has(name)) return;
    if (childrenOf(node).every(({ op }) => op === "value")) tryConversion(node, name, evaluator);
  });
}

function checkPattern(pattern: Node | undefined, allowance: Allowance): void {
  if (pattern?.op !== "value" || typeof pattern.args !== "string") return;
  try {
    compilePattern(pattern.args, allowance);
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const isSize = thrown.code === "too_much_work";
    refuse(pattern, "bad_pattern", isSize ? TOO_LARGE_PATTERN : thrown.message);
  }
}

const TOO_LARGE_PATTERN =
  "The pattern is too large once its repeats are written out, or together with those before it. " +
  "Shorten it, or repeat less.";

function tryConversion(node: Node, name: string, evaluator: Evaluator): void {
  try {
    node.evaluate(evaluator, node, undefined);
  } catch {
    refuse(node, "bad_literal", `${name}() can't convert this literal. ${EXAMPLES[name] ?? ""}`);
  }
}

const EXAMPLES: Record<string, string> = {
  duration: 'Write a duration as "1h30m" or "250ms".',
  timestamp: 'Write a timestamp as "2026-02-28T12:00:00Z".',
};

function refuse(node: Node, code: Refusal["code"], message: string): never {
  throw new Refusal(code, message, { start: node.start, end: node.end });
}
