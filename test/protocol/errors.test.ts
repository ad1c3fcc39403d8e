/** Every error code is told in docs/errors.md with what to do, and some test provokes it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  DELIVERY_FAILURES,
  EXPRESSION_ERRORS,
  PROBLEMS,
  SESSION_ERRORS,
  TASK_ERRORS,
} from "../../protocol/errors.ts";
import { DEAD_CODES } from "../../protocol/message-bodies.ts";
import { readTable } from "./document.ts";

const DOCUMENT = "docs/errors.md";
const TESTS = join(import.meta.dirname, "..");

/** The tests that let the real thing tell a code; others only play the side that is told. */
const PROVOKING = ["api", "shard", "functions", "expressions"];

/** Codes that no test can have the real thing tell, each with the reason. */
const NOT_PROVOKED: Record<string, string> = {};

const bare = (cell = ""): string => cell.replaceAll("`", "");

interface Section {
  heading: string;
  codes: string[];
  /** The status or close code of each, where the second column tells it. */
  numbers?: number[];
}

const SECTIONS: Section[] = [
  {
    heading: "## Answers of the HTTP API",
    codes: Object.keys(PROBLEMS),
    numbers: Object.values(PROBLEMS).map(({ status }) => status),
  },
  { heading: "## Errors of tasks and runs", codes: Object.keys(TASK_ERRORS) },
  { heading: "## Why messages are dead", codes: [...DEAD_CODES] },
  { heading: "## Errors of expressions", codes: Object.keys(EXPRESSION_ERRORS) },
  { heading: "## Refused deliveries", codes: Object.keys(DELIVERY_FAILURES) },
  {
    heading: "## Errors of a worker's session",
    codes: Object.keys(SESSION_ERRORS),
    numbers: Object.values(SESSION_ERRORS).map(({ close }) => close),
  },
];

describe.each(SECTIONS)("$heading", ({ heading, codes, numbers }) => {
  const { columns, rows } = readTable(DOCUMENT, "code", heading);

  test("lists every code, and no other", () => {
    expect(rows.map(([code]) => bare(code)).toSorted()).toEqual(codes.toSorted());
  });

  test("says of each what it means and what to do, and which number comes with it", () => {
    expect(columns.slice(-2)).toEqual(["means", "what to do"]);
    for (const row of rows) {
      const [code, ...cells] = row;
      expect(row).toHaveLength(columns.length);
      for (const text of cells.slice(-2)) expect(text, code).toMatch(/\w+ .*\w/);
      if (numbers) expect(Number(cells[0]), code).toBe(numbers[codes.indexOf(bare(code))]);
    }
  });
});

test("every code is provoked by a test", () => {
  const texts = PROVOKING.flatMap((folder) =>
    readdirSync(join(TESTS, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      // It reads the document that promises codes; it provokes none.
      .filter((file) => file !== "openapi.test.ts")
      .map((file) => readFileSync(join(TESTS, folder, file), "utf8")),
  );
  const codes = SECTIONS.flatMap((section) => section.codes);
  // Tests of expressions write an answer that is an error as "error CODE".
  const isProvoked = (code: string): boolean =>
    texts.some((text) => text.includes(`"${code}"`) || text.includes(`"error ${code}"`));
  const unprovoked = codes.filter((code) => !isProvoked(code));
  expect(unprovoked).toEqual(Object.keys(NOT_PROVOKED));
});
