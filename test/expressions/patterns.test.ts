/**
 * Regular expressions can't be used to hold a thread, nor to fill its memory (`memory.test.ts`). With
 * the platform's own, the first of these takes seconds for 28 characters, and twice that for 29.
 */
import { describe } from "vitest";
import { attacks, joined, listOf, MEGABYTE, TOO_MUCH } from "./attacks.ts";

/** Twenty-eight characters that almost match. */
const ALMOST = "aaaaaaaaaaaaaaaaaaaaaaaaaaab";
/** Lines of growing length, each of other characters. */
const LINES = joined(
  300,
  (length) => joined(length, (index) => String.fromCharCode(37 + ((index + length) % 90))),
  "\n",
);
const HAN = joined(20_000, (index) => String.fromCharCode(0x4e_00 + index));

/** No run of it is like another; the same in every run of the tests. */
function flips(length: number, share: number): string {
  let seed = 1;
  const next = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  return joined(length, () => (next() < share ? "a" : "b"));
}

describe("a pattern", () => {
  attacks({
    "that backtracks": {
      source: `input.matches("^(a+)+$")`,
      input: ALMOST,
      expected: false,
    },
    "that backtracks, as a function": {
      source: `matches(input, "^(a+)+$")`,
      input: ALMOST,
      expected: false,
    },
    "that backtracks, from the data": {
      source: "input.matches(other)",
      input: ALMOST,
      other: "^(a+)+$",
      expected: false,
    },
    "over a long text": {
      source: `input.matches("^(a+)+$")`,
      input: `${MEGABYTE}b`,
      expected: TOO_MUCH,
    },
    "of nested repeats": {
      source: `input.matches("((a{0,30}){0,30}){0,30}b")`,
      input: MEGABYTE,
      expected: "error bad_pattern",
    },
    "of a large group, repeated": {
      source: `input.matches("(${"ab".repeat(300)}){900}")`,
      input: "ab",
      expected: "error bad_pattern",
    },
    "with exponentially many states": {
      source: `input.matches("(a|b)*a(a|b){200}[^ab]")`,
      input: flips(20_000, 0.5),
      expected: TOO_MUCH,
    },
    "with very many small states": {
      source: `input.matches("a[ab]{40}[^ab]")`,
      input: flips(12_000, 0.1),
      expected: TOO_MUCH,
    },
    "with many optional parts": {
      source: `input.matches("(a?){200}[bc]")`,
      input: "a".repeat(50_000),
      expected: false,
    },
    "with assertions everywhere": {
      source: `input.matches("\\\\b[x-z]oo|\\\\b[x-z]ar")`,
      input: "foo bar ".repeat(20_000),
      expected: TOO_MUCH,
    },
    "of Unicode classes": {
      source: `input.matches("\\\\pL\\\\p{Greek}\\\\p{Han}")`,
      input: "x",
      expected: "error bad_pattern",
    },
    "over a large alphabet that it has to look at": {
      source: `input.matches("x[^y]*[zw]")`,
      input: `x${HAN}`,
      expected: TOO_MUCH,
    },
    "with a state for each length of line": {
      source: `input.matches(".{0,300}[$!]")`,
      input: LINES,
      expected: TOO_MUCH,
    },
    "over a large alphabet": { source: `input.matches("[^x]y")`, input: HAN, expected: false },
    "from the data, a new one each time": {
      source: "other.exists(p, input.matches(p))",
      input: "abc",
      other: listOf(10_000, (n) => `(abcdefghij${n}){90}`),
      expected: TOO_MUCH,
    },
    "among very many": {
      source: joined(60, () => `input.matches("(ab){999}")`, "||"),
      expected: "error bad_pattern",
    },
  });
});
