/**
 * The CEL that Skein speaks: the library, with its variables, additions and bounds.
 */
import { Environment, type ParseResult } from "@marcbachmann/cel-js";

import { addFunctions, addOperators } from "./additions.ts";
import { addProbe, confine } from "./confinement.ts";
import type { Evaluator } from "./library.ts";
import { PARSER_LIMITS } from "./limits.ts";

/** What a variable may hold: JSON of one kind, or an object with these fields and no others. */
export type VariableKind = "any" | "string" | "number" | "bool" | { [field: string]: VariableKind };
export type Variables = Readonly<Record<string, VariableKind>>;

/** CEL for one set of variables. */
export interface Language {
  parse(source: string): ParseResult;
  evaluator: Evaluator;
}

/** Making one takes a millisecond. Callers declare their variables once, as constants. */
const languages = new WeakMap<Variables, Language>();

export function languageFor(variables: Variables): Language {
  const known = languages.get(variables);
  if (known !== undefined) return known;
  const language = createLanguage((environment) => {
    for (const [name, kind] of Object.entries(variables)) declare(environment, name, kind);
  });
  languages.set(variables, language);
  return language;
}

let base: Environment | undefined;

/** CEL with whatever `declareVariables` declares. */
export function createLanguage(declareVariables: (environment: Environment) => void): Language {
  base ??= createBase();
  const environment = base.clone();
  declareVariables(environment);
  const evaluator = confine(environment);
  return { parse: (source) => environment.parse(source), evaluator };
}

function createBase(): Environment {
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
    limits: PARSER_LIMITS,
  });
  addOperators(environment);
  addFunctions(environment);
  addProbe(environment);
  return environment;
}

const TYPES = { any: "dyn", string: "string", number: "double", bool: "bool" } as const;

type Schema = { [field: string]: string | Schema };

function declare(environment: Environment, name: string, kind: VariableKind): void {
  if (typeof kind === "string") environment.registerVariable(name, TYPES[kind]);
  else environment.registerVariable({ name, schema: schemaOf(kind) });
}

function schemaOf(fields: { [field: string]: VariableKind }): Schema {
  return Object.fromEntries(
    Object.entries(fields).map(([field, kind]) => [
      field,
      typeof kind === "string" ? TYPES[kind] : schemaOf(kind),
    ]),
  );
}
