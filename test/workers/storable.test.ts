/** JSON text that no store takes, and all the text that looks like it and is fine. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { depthOf, MAX_JSON_DEPTH, unstorableIn } from "../../workers/api/storable.ts";

describe("in a JSON text", () => {
  test.each([
    ['"a\\u0000"', 2, "\\u0000"],
    ['"\\\\\\u0000"', 3, "\\u0000"],
    ['"\\ud83d"', 1, "\\ud83d"],
    ['"\\uDE00"', 1, "\\uDE00"],
    ['"\\ud83d\\ud83d\\ude00"', 1, "\\ud83d"],
    ['"\\ud83d\\ude00\\ude00"', 13, "\\ude00"],
    ['"\\\\ud83d\\ude00"', 8, "\\ude00"],
    ['{"\\u0000":1}', 2, "\\u0000"],
  ])("%s, character %i can't be stored", (text, at, escape) => {
    expect(unstorableIn(text)).toMatchObject({ at, escape });
  });

  test.each([
    '"\\\\u0000"',
    '"\\\\\\\\u0000"',
    '"\\ud83d\\ude00"',
    '"\\uD83D\\uDE00"',
    '"\\\\ud83d"',
    '"u0000"',
    '"\\u0001"',
  ])("%s is fine", (text) => {
    expect(unstorableIn(text)).toBeUndefined();
  });
});

test("a text is refused exactly when what it means holds such a character", () => {
  const piece = fc.constantFrom(
    "\\\\",
    "\\u0000",
    "\\ud83d",
    "\\ude00",
    "\\n",
    "u0000",
    "ud83d",
    "x",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const text = `"${pieces.join("")}"`;
      const meant = JSON.parse(text) as string;
      const isRefused = meant.includes("\0") || meant !== meant.toWellFormed();
      expect(unstorableIn(text) !== undefined).toBe(isRefused);
    }),
  );
});

describe("the depth of a JSON text", () => {
  const padding = " ".repeat(2 * MAX_JSON_DEPTH);
  test.each([
    ["1", 0],
    ["[]", 1],
    ['{"a":[{"b":[]}],"c":{}}', 4],
    ['["[[[[", "\\"[[", "{\\\\"]', 1],
  ])("of %s is %i", (text, depth) => {
    expect(depthOf(text + padding)).toBe(depth);
  });

  test("is known however deep it is", () => {
    expect(depthOf("[".repeat(1_000_000) + "]".repeat(1_000_000))).toBe(1_000_000);
  });
});
