/**
 * What is wrong with an expression, and where in its source.
 */
import type { ExpressionErrorCode } from "../protocol/errors.ts";
import { MAX_EXCERPT_WIDTH } from "./limits.ts";

export interface ExpressionError {
  code: ExpressionErrorCode;
  /** What is wrong, and what to do. Never quotes the data. */
  message: string;
  /** Where in the source; absent when an evaluation can't tell. */
  position?: Position;
  /** The line of the source with a caret under the position. */
  excerpt?: string;
}

export interface Position {
  /** Characters from the start of the source, from 0. */
  start: number;
  end: number;
  /** Both from 1. */
  line: number;
  column: number;
}

export interface Range {
  start: number;
  end: number;
}

/** Thrown by what Skein adds to the library, while an expression is checked or evaluated. */
export class Refusal extends Error {
  readonly code: ExpressionErrorCode;
  readonly range: Range | undefined;

  constructor(code: ExpressionErrorCode, message: string, range?: Range) {
    super(message);
    this.code = code;
    this.range = range;
  }
}

/** Position and excerpt of a range of the source. */
export function place(
  source: string,
  range: Range | undefined,
): Pick<ExpressionError, "position" | "excerpt"> {
  if (range === undefined) return {};
  const start = Math.min(range.start, source.length);
  const end = Math.max(start, Math.min(range.end, source.length));
  const lineStart = start === 0 ? 0 : source.lastIndexOf("\n", start - 1) + 1;
  const lineEnd = source.indexOf("\n", start);
  const column = start - lineStart;
  const cut = Math.max(0, column - MAX_EXCERPT_WIDTH / 2);
  const line = source
    .slice(lineStart, lineEnd === -1 ? source.length : lineEnd)
    .slice(cut, cut + MAX_EXCERPT_WIDTH)
    .replaceAll("\t", " ");
  return {
    position: {
      start,
      end,
      line: countLines(source, lineStart),
      column: column + 1,
    },
    excerpt: `${line}\n${" ".repeat(column - cut)}^`,
  };
}

/** The number of the line that starts at `lineStart`. */
function countLines(source: string, lineStart: number): number {
  let line = 1;
  for (
    let at = source.indexOf("\n");
    at !== -1 && at < lineStart;
    at = source.indexOf("\n", at + 1)
  )
    line++;
  return line;
}
