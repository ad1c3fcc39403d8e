/** Tables of the project's documents, for tests that hold them to the code. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

export interface Table {
  columns: string[];
  rows: string[][];
}

/** The first table of a document, behind a heading if one is given, whose first column has this name. */
export function readTable(path: string, firstColumn: string, heading = ""): Table {
  const text = readFileSync(join(ROOT, path), "utf8");
  const lines = text.slice(Math.max(0, text.indexOf(heading))).split("\n");
  const start = lines.findIndex((line) => cellsOf(line)[0] === firstColumn);
  if (start === -1) throw new Error(`${path} has no table with a column ${firstColumn} first`);
  const end = lines.findIndex((line, index) => index > start && !line.startsWith("|"));
  const [header = "", _rule, ...rows] = lines.slice(start, end === -1 ? undefined : end);
  return { columns: cellsOf(header), rows: rows.map(cellsOf) };
}

function cellsOf(line: string): string[] {
  if (!line.startsWith("|")) return [];
  return line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
}
