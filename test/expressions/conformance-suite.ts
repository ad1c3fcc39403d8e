/**
 * The published conformance tests of CEL, read from `@bufbuild/cel-spec`: those that an expression
 * over JSON can meet. Left out are tests of protocol buffer messages, of type checks without a
 * value, and of functions that a test declares itself.
 */
import { tests as root } from "@bufbuild/cel-spec/testdata/conformance.js";

/** A value as protocol buffers write it in JSON: one field, named after its type. */
export type ProtoValue = Record<string, unknown>;

export interface ConformanceTest {
  section: string;
  name: string;
  source: string;
  bindings: Record<string, ProtoValue>;
  variables: string[];
  /** Undefined when the test expects an error. */
  value: ProtoValue | undefined;
}

interface Original {
  name?: string;
  expr: string;
  checkOnly?: boolean;
  container?: string;
  value?: ProtoValue;
  typedResult?: { result?: ProtoValue };
  evalError?: unknown;
  typeEnv?: { name: string; function?: unknown }[];
  bindings?: Record<string, { value?: ProtoValue }>;
}

interface Suite {
  name: string;
  suites?: Suite[];
  tests?: { original: Original }[];
}

/** About messages as a whole, or, in the case of `block_ext`, about an optimizer's inside. */
const SECTIONS_LEFT_OUT = new Set([
  "block_ext",
  "dynamic",
  "enums",
  "proto2",
  "proto2_ext",
  "proto3",
  "unknowns",
  "wrappers",
]);

const MESSAGES =
  /TestAllTypes|NestedTestAllTypes|TestRequired|google\.protobuf\.(?!Timestamp\b|Duration\b)\w|messageType|proto[23]/;

export function readConformanceTests(): ConformanceTest[] {
  return ((root as Suite).suites ?? [])
    .filter(({ name }) => !SECTIONS_LEFT_OUT.has(name))
    .flatMap((section) => testsOf(section).map((test) => toTest(section.name, test)))
    .filter((test) => test !== undefined);
}

function testsOf({ suites = [], tests = [] }: Suite): Original[] {
  return [...tests.map(({ original }) => original), ...suites.flatMap(testsOf)];
}

function toTest(section: string, original: Original): ConformanceTest | undefined {
  const { bindings = {}, typeEnv = [], evalError, typedResult } = original;
  if (original.checkOnly || typeEnv.some((entry) => entry.function !== undefined)) return undefined;
  if (MESSAGES.test(JSON.stringify(original))) return undefined;
  return {
    section,
    name: original.name ?? original.expr,
    source: original.expr,
    bindings: Object.fromEntries(
      Object.entries(bindings).map(([name, { value = {} }]) => [name, value]),
    ),
    variables: [...new Set([...Object.keys(bindings), ...typeEnv.map(({ name }) => name)])],
    value:
      evalError === undefined
        ? (original.value ?? typedResult?.result ?? { boolValue: true })
        : undefined,
  };
}
