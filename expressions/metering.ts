/**
 * Has a checked expression pay for what it does to the data: every operation whose cost grows with
 * the data takes its price from the allowance first. Must be done once, after the type check, which
 * puts the operations on the nodes.
 */
import type { Allowance } from "./allowance.ts";
import { hasConstructorField } from "./confinement.ts";
import {
  calledFunction,
  childrenOf,
  type Evaluator,
  isLoop,
  type Node,
  type Operation,
  walk,
} from "./library.ts";
import {
  spendOnComparison,
  spendOnLoop,
  spendOnMembership,
  spendOnOrder,
  spendOnSum,
} from "./operator-prices.ts";
import { FUNCTION_PRICES, type Operands } from "./prices.ts";
import { REPLACEMENTS } from "./replacements.ts";

export function meter(root: Node, allowance: Allowance): void {
  walk(root, (node) => {
    // A node's source makes each error format its line: 10 µs, where the error itself takes one.
    Object.defineProperty(node, "input", { value: "" });
    if (isLoop(node)) meterLoop(node, allowance);
    else if (calledFunction(node) !== undefined) meterCall(node, allowance);
    else if (node.op === "." || node.op === "[]") readConstructorFields(node);
    else meterOperator(node, allowance);
  });
}

function payBefore(
  operation: Operation | undefined,
  pay: (first: unknown, second: unknown) => void,
): void {
  const handle = operation?.handle;
  if (operation === undefined || handle === undefined) {
    throw new Error("An operation of the CEL library can't be metered: is it another version?");
  }
  operation.handle = (first, second, third, fourth) => {
    pay(first, second);
    return handle(first, second, third, fourth);
  };
}

function meterLoop(node: Node, allowance: Allowance): void {
  const [, , ...body] = childrenOf(node); // after the list and the variable
  const perElement = body.reduce((sum, part) => sum + countOnce(part), 1);
  payBefore(node.meta.alternate, (items) => spendOnLoop(items, perElement, allowance));
}

/** The nodes of a body that are evaluated once an element; a loop within pays for its own body. */
function countOnce(node: Node): number {
  const children = isLoop(node) ? childrenOf(node).slice(0, 1) : childrenOf(node);
  return children.reduce((sum, child) => sum + countOnce(child), 1);
}

function meterCall(node: Node, allowance: Allowance): void {
  if (node.meta.macro !== undefined) return; // evaluates its operands once, and they pay
  const name = calledFunction(node) ?? "";
  const price = FUNCTION_PRICES.get(name);
  const replacement = REPLACEMENTS.get(name);
  const { handle } = node;
  if (replacement !== undefined && handle !== undefined) {
    node.handle = (operands, second, third, fourth) =>
      replacement(operands as Operands, allowance) ?? handle(operands, second, third, fourth);
  }
  payBefore(node, (operands) => allowance.spend(price?.(operands as Operands) ?? Infinity));
}

/** Nodes within has() have no operation of their own; has() asks the evaluator, which is confined. */
function readConstructorFields(node: Node): void {
  const { handle } = node;
  if (handle === undefined) return;
  node.handle = (object, key, itself, evaluator) =>
    hasConstructorField(object)
      ? (evaluator as Evaluator).mapType.field(object, key, itself, evaluator as Evaluator)
      : handle(object, key, itself, evaluator);
}

type Spend = (left: unknown, right: unknown, allowance: Allowance) => void;

const OPERATORS: Partial<Record<Node["op"], Spend>> = {
  "==": spendOnComparison,
  "!=": spendOnComparison,
  in: spendOnMembership,
  "+": spendOnSum,
  "<": spendOnOrder,
  "<=": spendOnOrder,
  ">": spendOnOrder,
  ">=": spendOnOrder,
};

function meterOperator(node: Node, allowance: Allowance): void {
  const spend = OPERATORS[node.op];
  if (spend === undefined || isBoundByLiteral(node)) return;
  payBefore(node, (left, right) => spend(left, right, allowance));
}

/** Costs no more than the literal is long, which the source's own bounds see to. */
function isBoundByLiteral(node: Node): boolean {
  const [left, right] = childrenOf(node);
  if (left === undefined || right === undefined) return false;
  if (node.op === "in") return isLiteral(right);
  if (node.op === "+") return isNumber(left) || isNumber(right);
  return isLiteral(left) || isLiteral(right);
}

function isLiteral({ op, args }: Node): boolean {
  return op === "value" || (op === "list" && (args as Node[]).every((item) => item.op === "value"));
}

function isNumber({ op, args }: Node): boolean {
  return op === "value" && (typeof args === "number" || typeof args === "bigint");
}
