/**
 * What JSON text may hold although no store takes it: the character U+0000, halves of surrogate
 * pairs, and nesting without end. Looks at the text, so that it is known before anything parses it.
 * Pure.
 */

/**
 * Arrays and objects within each other. Parsing, cloning to a shard and Postgres' jsonb each recurse,
 * and each gives up somewhere beyond a thousand.
 */
export const MAX_JSON_DEPTH = 500;

const SUSPICIOUS = /\\u(?:0000|d[89a-f])/i;
/** Any escape; a surrogate pair is one. */
const ESCAPE = /\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|u[\da-fA-F]{4}|[^])/g;
const HALF = /^\\u[dD][89a-fA-F][\da-fA-F]{2}$/;

export interface Unstorable {
  /** Its place in the text, from 0. */
  at: number;
  escape: string;
  why: string;
}

/** The first escape that Postgres' text and jsonb can't hold. */
export function unstorableIn(text: string): Unstorable | undefined {
  if (!SUSPICIOUS.test(text)) return undefined;
  for (const { 0: escape, index: at } of text.matchAll(ESCAPE)) {
    if (escape === "\\u0000") return { at, escape, why: "the character U+0000" };
    if (HALF.test(escape)) return { at, escape, why: "half of a surrogate pair" };
  }
  return undefined;
}

const [QUOTE, BACKSLASH, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [
  34, 92, 91, 93, 123, 125,
];

/** How deep the arrays and objects of a JSON text are nested. */
export function depthOf(text: string): number {
  if (text.length < 2 * MAX_JSON_DEPTH) return 0; // each level opens and closes
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === OPEN_ARRAY || code === OPEN_OBJECT) deepest = Math.max(deepest, ++depth);
    else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) depth--;
  }
  return deepest;
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    if (code === BACKSLASH) at++;
  }
  return text.length;
}
