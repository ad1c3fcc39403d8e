/**
 * What an expression answers, as JSON: CEL has values that JSON has not.
 */
import { Optional } from "@marcbachmann/cel-js";
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";

import type { Json } from "../protocol/json.ts";
import { formatDuration, formatTimestamp } from "./additions.ts";
import type { Allowance } from "./allowance.ts";
import { Refusal } from "./errors.ts";

/** What an expression is asked for; a `key` is a text or a number. */
export type ResultKind = "bool" | "string" | "number" | "key" | "any";

export interface ResultValues {
  bool: boolean;
  string: string;
  number: number;
  key: string | number;
  any: Json;
}

/** CEL's types that answer a kind; `dyn` is known only when it is evaluated. */
const ANSWERS: Record<ResultKind, (type: string) => boolean> = {
  bool: (type) => type === "bool",
  string: (type) => type === "string",
  number: isNumber,
  key: (type) => type === "string" || isNumber(type),
  any: () => true,
};

function isNumber(type: string): boolean {
  return type === "int" || type === "uint" || type === "double";
}

/** The kind in words. */
const NOUNS: Record<ResultKind, string> = {
  bool: "bool",
  string: "string",
  number: "number",
  key: "string or number",
  any: "value",
};

/** Throws a `Refusal` when an expression of this type can't answer what it is asked for. */
export function checkResultType(type: string, kind: ResultKind, source: string): void {
  if (ANSWERS[kind](type) || type.startsWith("dyn")) return;
  throw new Refusal(
    "wrong_result",
    `The expression must answer a ${NOUNS[kind]}, and answers ${type}. ${ADVICE[kind]}`,
    { start: 0, end: source.length },
  );
}

const ADVICE: Record<ResultKind, string> = {
  bool: "Compare it with something.",
  string: "Convert it with string().",
  number: "Convert it with int(), double() or size().",
  key: "Convert it with string().",
  any: "",
};

/** Throws a `Refusal` when the value is not of the kind. */
export function toResult<Kind extends ResultKind>(
  value: unknown,
  kind: Kind,
  allowance: Allowance,
): ResultValues[Kind] {
  const json = typeof value === "boolean" ? value : toJson(value, allowance);
  const type = typeof json === "boolean" ? "bool" : typeof json;
  const isKey = kind === "key" && (type === "string" || type === "number");
  if (kind === "any" || kind === type || isKey) return json as ResultValues[Kind];
  throw new Refusal("wrong_result", `The expression must answer a ${NOUNS[kind]}. ${ADVICE[kind]}`);
}

/** Parts may stand in many places of a value: each is paid for where it stands. */
function toJson(value: unknown, allowance: Allowance): Json {
  allowance.spend(1);
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return checkNumber(value);
    case "bigint":
      return checkInteger(value);
    default:
      return objectToJson(value, allowance);
  }
}

function objectToJson(value: unknown, allowance: Allowance): Json {
  if (value === null) return null;
  if (Array.isArray(value)) return value.map((element) => toJson(element, allowance));
  if (value instanceof Date) return formatTimestamp(value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof UnsignedInt) return checkInteger(value.valueOf());
  if (value instanceof Optional) {
    return value.hasValue() ? toJson(value.value(), allowance) : null;
  }
  if (value instanceof Map) {
    const present = [...value].filter(([, element]) => element !== undefined);
    return entriesToJson(present, allowance);
  }
  if (isPlain(value)) return entriesToJson(Object.entries(value), allowance);
  throw new Refusal("wrong_result", "The expression answers something that JSON can't hold.");
}

function entriesToJson(entries: [unknown, unknown][], allowance: Allowance): Json {
  allowance.spend(entries.length);
  return Object.fromEntries(
    entries.map(([key, element]) => [String(key), toJson(element, allowance)]),
  );
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function checkNumber(value: number): number {
  if (Number.isFinite(value)) return value;
  throw new Refusal("evaluation_failed", "The expression answers a number that is not finite.");
}

function checkInteger(value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new Refusal(
    "evaluation_failed",
    "The expression answers an int beyond 2^53, which JSON can't hold: convert it with string().",
  );
}
