/**
 * Keeps the library's memory bounded, and its reading of JSON right, by changing an environment from
 * within. The library remembers each type and each function name it meets for as long as the isolate
 * lives: lists of maps of lists in the data, or names made up in expressions, would fill it.
 */
import type { Environment } from "@marcbachmann/cel-js";

import type { Evaluator, Registry, Type } from "./library.ts";
import { MACROS } from "./prices.ts";

const PROBE = "evaluator_of_this_environment";

/** Registers what `confine` asks an environment with; its clones inherit it. */
export function addProbe(environment: Environment): void {
  environment.registerFunction(`${PROBE}(ast): dyn`, () => ({
    typeCheck: ({ dynType }: Evaluator) => dynType,
    evaluate: (evaluator: Evaluator) => evaluator,
  }));
}

/** To be called before the environment meets an expression. */
export function confine(environment: Environment): Evaluator {
  const evaluator = environment.evaluate(`${PROBE}(0)`) as Evaluator;
  confineTypes(evaluator.registry, evaluator.dynType);
  confineNames(evaluator.registry);
  const { mapType } = evaluator;
  const typeOf = evaluator.debugType.bind(evaluator);
  evaluator.debugType = (value) => (hasConstructorField(value) ? mapType : typeOf(value));
  evaluator.debugTypeDeep = evaluator.debugType; // of a list it looked at the first element, and so on
  return evaluator;
}

/** Lists, maps and optionals of anything but scalars are of `dyn`, so there are some hundred types. */
function confineTypes(registry: Registry, dyn: Type): void {
  const flat = (type: Type): Type =>
    type.kind === "list" || type.kind === "map" || type.kind === "optional" ? dyn : type;
  const { getListType, getMapType, getOptionalType } = registry;
  registry.getListType = (element) => getListType.call(registry, flat(element));
  registry.getMapType = (key, value) => getMapType.call(registry, flat(key), flat(value));
  registry.getOptionalType = (value) => getOptionalType.call(registry, flat(value));
}

/** The parser asks for a macro at every call; asked for an unknown one, the registry keeps its name. */
function confineNames(registry: Registry): void {
  const { findMacro } = registry;
  registry.findMacro = (name, ...rest) =>
    MACROS.has(name) ? findMacro.call(registry, name, ...rest) : false;
}

/**
 * The library tells a map by its `constructor`, and JSON may have a field of that name: such an
 * object is a map like any other.
 */
export function hasConstructorField(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const constructor: unknown = value.constructor;
  return typeof constructor !== "function" && constructor !== undefined;
}
