/**
 * Long sources, loops in loops, values that grow: none of them can be used to hold the thread. What
 * is refused is refused by size, so the same data is always refused.
 */
import { describe } from "vitest";
import type { Json } from "../../protocol/json.ts";
import { attacks, joined, listOf, MEGABYTE, TOO_MUCH } from "./attacks.ts";

const NUMBERS = listOf(500_000, () => 1);
const RECORDS = listOf(10_000, (index) => ({ qty: index, name: `n${index}` }));
const DEEP = listOf(490, () => 0).reduce<Json>((inner) => [inner], 1);
const MANY_KEYS = Object.fromEntries(Array.from({ length: 130_000 }, (_, n) => [`k${n}`, 1]));

describe("a source", () => {
  attacks({
    "of nested parentheses": {
      source: "(".repeat(2_000) + "1" + ")".repeat(2_000),
      expected: "error too_complex",
    },
    "of nested lists": {
      source: "[".repeat(2_000) + "1" + "]".repeat(2_000),
      expected: "error too_complex",
    },
    "of nested calls": {
      source: "size(".repeat(600) + "'x'" + ")".repeat(600),
      expected: "error too_complex",
    },
    "of negations": { source: `${"!".repeat(4_000)}true`, expected: "error too_complex" },
    "of very many terms": {
      source: joined(600, () => "true", "&&"),
      expected: "error too_complex",
    },
    "with a very long list": {
      source: `[${joined(1_900, () => "1", ",")}]`,
      expected: "error too_complex",
    },
    "with a very long text": { source: `"${MEGABYTE}"`, expected: "error too_large" },
    "with three macros in each other": {
      source: "input.all(x, input.all(y, input.all(z, x + y + z > 0)))",
      expected: "error too_complex",
    },
    "with five macros": {
      source: joined(5, () => "input.all(x, x > 0)", "&&"),
      expected: "error too_complex",
    },
    "with five binds": {
      source: `${"cel.bind(x, 1, ".repeat(5)}x${")".repeat(5)}`,
      expected: "error too_complex",
    },
    "with a duration of digits": {
      source: `duration("${"1".repeat(4_000)}")`,
      expected: "error bad_literal",
    },
  });
});

describe("a macro", () => {
  attacks({
    "in a macro, over a hundred elements": {
      source: "input.all(x, input.all(y, x + y >= 0))",
      input: listOf(100, (n) => n),
      expected: true,
    },
    "in a macro, over a thousand": {
      source: "input.all(x, input.all(y, x + y >= 0))",
      input: listOf(1_000, (n) => n),
      expected: TOO_MUCH,
    },
    "over half a million elements": {
      source: "input.all(x, x > 0)",
      input: NUMBERS,
      expected: TOO_MUCH,
    },
    "whose error is absorbed": {
      source: "input.all(x, x > 0) || true",
      input: NUMBERS,
      expected: TOO_MUCH,
    },
    "over very many keys": {
      source: `input.exists(key, key == "q")`,
      input: MANY_KEYS,
      expected: TOO_MUCH,
    },
    "whose every element fails": {
      source: "input.exists(x, x.nope == 1)",
      input: RECORDS,
      expected: "error no_such_key",
    },
    "whose every element fails, far down": {
      source: `${" ".repeat(3_900)}input.exists(x, x.nope == 1)`,
      input: RECORDS,
      expected: "error no_such_key",
    },
    "whose every element fails often": {
      source: `input.exists(x, ${joined(20, (n) => `x.k${n} == 1`, "||")})`,
      input: RECORDS,
      expected: TOO_MUCH,
    },
    "over deep elements": {
      source: `input.exists(x, ${joined(15, () => "size(x) > 1", "||")})`,
      input: listOf(1_000, () => DEEP),
      expected: false,
    },
    "with a membership": {
      source: "input.exists(x, x in other)",
      input: RECORDS.map((_, n) => n),
      other: NUMBERS.map(() => -1),
      expected: TOO_MUCH,
    },
    "with a membership of a literal": {
      source: "input.exists(x, 1 in other)",
      input: RECORDS.map((_, n) => n),
      other: NUMBERS.map(() => -1),
      expected: TOO_MUCH,
    },
    "with a search": {
      source: "input.exists(x, other.contains(x))",
      input: listOf(10_000, () => "b"),
      other: MEGABYTE,
      expected: TOO_MUCH,
    },
    "with a time zone": {
      source: `input.exists(x, timestamp(x).getHours("America/New_York") == 25)`,
      input: listOf(10_000, () => "2026-01-01T00:00:00Z"),
      expected: TOO_MUCH,
    },
    "that makes a text a list of lists": {
      source: `input.split("").map(x, input.split("")).size()`,
      input: "a".repeat(10_000),
      expected: TOO_MUCH,
    },
  });
});

describe("a value", () => {
  const [less, more] = [`${MEGABYTE}a`, `${MEGABYTE}b`];
  attacks({
    "that doubles": {
      source: `cel.bind(s, input + input, cel.bind(t, s + s, cel.bind(u, t + t, cel.bind(v, u + u, v + v + v + v == "x"))))`,
      input: MEGABYTE,
      expected: TOO_MUCH,
    },
    "that contains itself many times over": {
      source:
        "cel.bind(s, [input, input, input, input, input], cel.bind(t, [s, s, s, s, s, s], cel.bind(u, [t, t, t, t, t, t], [u, u, u, u, u])))",
      input: RECORDS.map((_, n) => n),
      expected: TOO_MUCH,
    },
    "of lists that are made to be compared": {
      source: "input.map(x, input) == other.map(x, other)",
      input: listOf(3_000, (n) => n),
      other: listOf(3_000, (n) => n),
      expected: TOO_MUCH,
    },
    "of half a million elements, compared": {
      source: "input == other",
      input: NUMBERS,
      other: [...NUMBERS],
      expected: true,
    },
    "of very many keys, counted": {
      source: joined(40, () => "size(input)", "+"),
      input: MANY_KEYS,
      expected: TOO_MUCH,
    },
    "of many characters, counted": {
      source: joined(40, () => "size(input)", "+"),
      input: MEGABYTE,
      expected: TOO_MUCH,
    },
    "of many characters, compared": {
      source: joined(40, () => "input < other", "&&"),
      input: less,
      other: more,
      expected: TOO_MUCH,
    },
    "searched for a long one": {
      source: "input.contains(other)",
      input: MEGABYTE,
      other: `${"a".repeat(5_000)}b${"a".repeat(5_000)}`,
      expected: TOO_MUCH,
    },
    "searched for a shorter one": {
      source: "input.contains(other)",
      input: MEGABYTE,
      other: `${"a".repeat(127)}b${"a".repeat(127)}`,
      expected: false,
    },
    "searched from its end": {
      source: `input.lastIndexOf(other) > 0 || input.lastIndexOf(other) > 0`,
      input: MEGABYTE,
      other: `${"a".repeat(127)}b${"a".repeat(127)}`,
      expected: TOO_MUCH,
    },
    "of changing letters, changed": {
      source: "input.lowerAscii().upperAscii() == input.reverse()",
      input: "aA".repeat(300_000),
      expected: TOO_MUCH,
    },
    "replaced by a long one": {
      source: `input.replace("a", other)`,
      input: MEGABYTE,
      other: MEGABYTE,
      expected: TOO_MUCH,
    },
    "replaced everywhere by a long one": {
      source: `input.replace("", other)`,
      input: "a".repeat(10_000),
      other: MEGABYTE,
      expected: TOO_MUCH,
    },
    joined: {
      source: "input.join(other)",
      input: listOf(10_000, () => "a"),
      other: MEGABYTE,
      expected: TOO_MUCH,
    },
    "read as a duration": {
      source: "duration(input)",
      input: "1".repeat(100_000),
      expected: TOO_MUCH,
    },
    "read as a duration, just so": {
      source: "duration(input)",
      input: "1".repeat(360),
      expected: "error evaluation_failed",
    },
  });
});
