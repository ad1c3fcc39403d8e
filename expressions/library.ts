/**
 * What Skein uses of the CEL library beyond its documentation: the inside of a checked node and of
 * an evaluator. Nothing else may reach in there. The library's version is exact for this reason, and
 * `test/expressions/` fails when a new one is different.
 */
import type { ASTNode } from "@marcbachmann/cel-js";

/** Something that is done to operands; the type check puts it in place. */
export interface Operation {
  handle?: (first: unknown, second: unknown, third: unknown, fourth: unknown) => unknown;
}

/** Where a macro keeps the element it is at; it would keep it after the evaluation as well. */
export interface Overlay {
  reuse(parent: unknown): unknown;
  iterValue: unknown;
  accuValue: unknown;
}

interface Inside extends Operation {
  readonly meta: {
    /** What stands for the node: a loop for a macro over a list, the value for a constant. */
    alternate?: Operation & { args: { iterCtx?: Overlay } };
    /** Any other macro: `has`, `cel.bind`, `or`, `orValue`. */
    macro?: { bindCtx?: Overlay };
  };
  evaluate(evaluator: Evaluator, node: Node, context: unknown): unknown;
}

export type Node = ASTNode & Inside;

/** The type of a value, as the library knows it. */
export interface Type {
  kind: string;
  field(object: unknown, key: unknown, node: unknown, evaluator: Evaluator): unknown;
}

export interface Registry {
  findMacro(name: string, hasReceiver: boolean, argumentCount: number): unknown;
  getListType(element: Type): Type;
  getMapType(key: Type, value: Type): Type;
  getOptionalType(value: Type): Type;
}

export interface Evaluator {
  readonly registry: Registry;
  readonly dynType: Type;
  readonly mapType: Type;
  debugType(value: unknown): Type;
  debugTypeDeep(value: unknown): Type;
}

/** A node's operands, in the order they are evaluated. */
export function childrenOf(node: ASTNode): Node[] {
  switch (node.op) {
    case "value":
    case "id":
      return [];
    case "!_":
    case "-_":
      return [node.args as Node];
    case ".":
    case ".?":
      return [node.args[0] as Node];
    case "call":
      return node.args[1] as Node[];
    case "rcall":
      return [node.args[1], ...node.args[2]] as Node[];
    case "map":
      return node.args.flat() as Node[];
    default:
      return node.args as Node[];
  }
}

/** Calls `visit` for a node and everything below it. */
export function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const child of childrenOf(node)) walk(child, visit);
}

/** The name of the function a node calls. */
export function calledFunction(node: Node): string | undefined {
  return node.op === "call" || node.op === "rcall" ? node.args[0] : undefined;
}

/** Whether the node is a macro that walks a list or the keys of a map. */
export function isLoop(node: Node): boolean {
  return node.op === "rcall" && node.meta.alternate !== undefined;
}
