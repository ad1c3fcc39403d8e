/**
 * The values of the conformance tests as the CEL library has them, and whether two are the same,
 * types included.
 */
import { Optional } from "@marcbachmann/cel-js";
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";

import type { ProtoValue } from "./conformance-suite.ts";

/** Not for `typeValue`: a type has no value outside an expression. */
export function fromProto(proto: ProtoValue): unknown {
  const [[kind, value] = ["nullValue", null]] = Object.entries(proto);
  switch (kind) {
    case "int64Value":
      return BigInt(value as string);
    case "uint64Value":
      return new UnsignedInt(BigInt(value as string));
    case "doubleValue":
      return Number(value);
    case "bytesValue":
      return new Uint8Array(Buffer.from(value as string, "base64"));
    case "nullValue":
      return null;
    case "listValue":
      return ((value as { values?: ProtoValue[] }).values ?? []).map(fromProto);
    case "mapValue":
      return new Map(
        ((value as { entries?: { key: ProtoValue; value: ProtoValue }[] }).entries ?? []).map(
          (entry) => [fromProto(entry.key), fromProto(entry.value)],
        ),
      );
    case "objectValue":
      return fromMessage(value as { "@type": string; value?: string });
    default:
      return value;
  }
}

function fromMessage({ "@type": type, value = "" }: { "@type": string; value?: string }): unknown {
  if (type.endsWith("Timestamp")) return new Date(value);
  const [, sign = "", seconds = "0", fraction = ""] = /^(-?)(\d+)(?:\.(\d+))?s$/.exec(value) ?? [];
  const nanos = Number(fraction.padEnd(9, "0"));
  return sign === "-"
    ? new Duration(-BigInt(seconds), -nanos)
    : new Duration(BigInt(seconds), nanos);
}

/** Whether an expression has answered what the test expects. */
export function isExpected(actual: unknown, expected: ProtoValue): boolean {
  if ("typeValue" in expected) {
    return (actual as { name?: unknown } | null)?.name === nameOfType(`${expected["typeValue"]}`);
  }
  return isSame(actual, fromProto(expected));
}

function nameOfType(name: string): string {
  return name === "null_type" ? "null" : name;
}

function isSame(actual: unknown, expected: unknown): boolean {
  if (actual instanceof Optional) return false;
  if (Array.isArray(expected)) {
    return (
      Array.isArray(actual) &&
      actual.length === expected.length &&
      expected.every((value, index) => isSame(actual[index], value))
    );
  }
  if (expected instanceof Map) return isSameMap(actual, expected);
  if (expected instanceof Uint8Array) {
    return actual instanceof Uint8Array && Buffer.compare(actual, expected) === 0;
  }
  if (expected instanceof Date) return actual instanceof Date && +actual === +expected;
  if (expected instanceof UnsignedInt) {
    return actual instanceof UnsignedInt && actual.valueOf() === expected.valueOf();
  }
  if (expected instanceof Duration) {
    return (
      actual instanceof Duration &&
      actual.seconds === expected.seconds &&
      actual.nanos === expected.nanos
    );
  }
  return Object.is(actual, expected) || (actual === 0 && expected === 0);
}

/** The library makes plain objects of map literals, with keys of text. */
function isSameMap(actual: unknown, expected: Map<unknown, unknown>): boolean {
  if (typeof actual !== "object" || actual === null) return false;
  const entries = actual instanceof Map ? [...actual] : Object.entries(actual);
  const texts = new Map(entries.map(([key, value]) => [`${key}`, value as unknown]));
  return (
    texts.size === expected.size &&
    [...expected].every(([key, value]) => texts.has(`${key}`) && isSame(texts.get(`${key}`), value))
  );
}
