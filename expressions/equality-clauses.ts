/**
 * The equalities without which an expression can't be true: what an index of expressions is made of.
 * Sound only because an expression that fails doesn't match: whoever skips it for an equality that
 * doesn't hold never learns of its error.
 */
import type { Json } from "../protocol/json.ts";
import type { Node } from "./library.ts";

/** The value at `path` must be one of these, or the expression is not true. */
export interface EqualityClause {
  /** The variable's name, then keys: `["input", "customer", "id"]`. */
  path: string[];
  /** As `equalityKey` makes them of data. */
  keys: string[];
}

/** From the conjuncts on top of the expression: `path == literal`, its mirror, `path in [literals]`. */
export function findEqualityClauses(root: Node): EqualityClause[] {
  if (root.op === "&&") return root.args.flatMap((side) => findEqualityClauses(side as Node));
  if (root.op === "in") return clauseOf(root.args[0] as Node, listOf(root.args[1] as Node));
  if (root.op !== "==") return [];
  const [left, right] = root.args as [Node, Node];
  return [...clauseOf(left, [right]), ...clauseOf(right, [left])];
}

/** The pairs of paths whose values must be equal, or the expression is not true. */
export function findEqualPaths(root: Node): [string[], string[]][] {
  if (root.op === "&&") return root.args.flatMap((side) => findEqualPaths(side as Node));
  if (root.op !== "==") return [];
  const [left, right] = (root.args as [Node, Node]).map(pathOf);
  return left && right ? [[left, right]] : [];
}

function clauseOf(side: Node, literals: Node[] | undefined): EqualityClause[] {
  const path = pathOf(side);
  const keys = literals?.map(keyOfLiteral);
  if (path === undefined || keys === undefined) return [];
  const known = keys.filter((key) => key !== undefined);
  return known.length === keys.length ? [{ path, keys: known }] : [];
}

function listOf(node: Node): Node[] | undefined {
  return node.op === "list" ? (node.args as Node[]) : undefined;
}

/** `a.b["c"]` as `["a", "b", "c"]`. */
function pathOf(node: Node): string[] | undefined {
  // An id with an alternate is one of CEL's constants, such as `int`.
  if (node.op === "id") return node.meta.alternate === undefined ? [node.args] : undefined;
  if (node.op !== "." && node.op !== "[]") return undefined;
  const [object, key] = node.args;
  const path = pathOf(object as Node);
  const name = typeof key === "string" ? key : key.op === "value" ? key.args : undefined;
  return path === undefined || typeof name !== "string" ? undefined : [...path, name];
}

function keyOfLiteral(node: Node): string | undefined {
  if (node.op === "-_") {
    const value = node.args.op === "value" ? node.args.args : undefined;
    return typeof value === "bigint" || typeof value === "number"
      ? keyOfNumber(-value as bigint | number)
      : undefined;
  }
  if (node.op !== "value") return undefined;
  const { args: value } = node;
  if (typeof value === "bigint" || typeof value === "number") return keyOfNumber(value);
  return typeof value === "string" || typeof value === "boolean" ? equalityKey(value) : undefined;
}

/** An int beyond what a double holds exactly may equal a number that prints differently. */
function keyOfNumber(value: bigint | number): string | undefined {
  const number = Number(value);
  return typeof value === "number" || Number.isSafeInteger(number)
    ? equalityKey(number)
    : undefined;
}

/** The same for all values that are equal in CEL: 7 and 7.0, but not "7"; undefined when not indexed. */
export function equalityKey(value: Json | undefined): string | undefined {
  if (typeof value === "string") return `s${value}`;
  if (typeof value === "boolean") return `b${value}`;
  if (typeof value === "number") return `n${value === 0 ? 0 : value}`; // -0 equals 0
  return undefined;
}

/** What the data has at the path, read as an expression reads it. */
export function valueAt(
  values: Readonly<Record<string, Json>>,
  path: readonly string[],
): Json | undefined {
  let value: Json | undefined = values;
  for (const key of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    value = Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}
