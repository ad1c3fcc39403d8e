/**
 * What a function costs on the data it is given, in steps. The names in here are all that an
 * expression may call: a function without a price would be work without a bound.
 */

/** The operands of a call, the receiver first. */
export type Operands = readonly unknown[];

/** Characters and list elements that are worth one step, where nothing else is said; measured. */
export const CHARACTERS = 64;
export const ELEMENTS = 8;

/** Formatting a date in a time zone. */
const ZONE_STEPS = 150;

/** Longer texts are searched for without the tables that keep a search linear. */
const SHORT_NEEDLE = 256;

/** Of a text or of bytes. */
export function lengthOf(value: unknown): number {
  return typeof value === "string" || value instanceof Uint8Array ? value.length : 0;
}

/** Reading every text or list once. */
function reading(operands: Operands): number {
  let steps = 0;
  for (const value of operands) steps += 1 + sizePrice(value);
  return steps;
}

/** Reading or copying one text or list. */
export function sizePrice(value: unknown): number {
  return Array.isArray(value) ? value.length / ELEMENTS : lengthOf(value) / CHARACTERS;
}

/** Counting characters one by one, or the keys of a map. */
function counting([value]: Operands): number {
  return 1 + (typeof value === "string" ? value.length / 32 : keyPrice(value));
}

/** Listing the keys of a map: a step for each, as there is no other way to count them either. */
export function keyPrice(value: unknown): number {
  return isMap(value) ? Object.keys(value).length : 0;
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}

function searching([text, needle]: Operands): number {
  const length = lengthOf(text);
  const sought = lengthOf(needle);
  return 1 + (sought <= SHORT_NEEDLE ? length / CHARACTERS : (length * sought) / 2_048);
}

/** From the end there are no tables at all. */
function searchingBackwards([text, needle]: Operands): number {
  return 1 + (lengthOf(text) * Math.max(32, lengthOf(needle))) / 2_048;
}

/** One character at a time. */
function rewriting([text]: Operands): number {
  return 1 + lengthOf(text) / 8;
}

function splitting(operands: Operands): number {
  return searching(operands) + lengthOf(operands[0]) / 16;
}

/** All that may come of it is written: each occurrence can be replaced by a long text. */
function replacing(operands: Operands): number {
  const [text, old, by] = operands;
  const occurrences = 1 + lengthOf(text) / Math.max(1, lengthOf(old));
  return splitting(operands) + (occurrences * lengthOf(by)) / CHARACTERS;
}

function joining([list, separator]: Operands): number {
  if (!Array.isArray(list)) return 1;
  let characters = list.length * lengthOf(separator);
  for (const text of list) characters += lengthOf(text);
  return 1 + list.length / ELEMENTS + characters / CHARACTERS;
}

/** The library looks for a unit from every digit on, and from each again for a point. */
function readingDuration([text]: Operands): number {
  return 1 + lengthOf(text) ** 3 / 500;
}

function inZone(operands: Operands): number {
  return operands.length > 1 ? ZONE_STEPS : 1;
}

const nothing = (): number => 1;

export const FUNCTION_PRICES: ReadonlyMap<string, (operands: Operands) => number> = new Map(
  Object.entries({
    // conversions
    bool: reading,
    bytes: reading,
    double: reading,
    duration: readingDuration,
    dyn: nothing,
    int: reading,
    string: reading,
    timestamp: reading,
    type: nothing,
    uint: reading,
    // texts and lists
    charAt: nothing,
    contains: searching,
    endsWith: reading,
    indexOf: searching,
    join: joining,
    lastIndexOf: searchingBackwards,
    lowerAscii: rewriting,
    matches: nothing, // takes its price itself
    replace: replacing,
    reverse: rewriting,
    size: counting,
    split: splitting,
    startsWith: reading,
    substring: nothing,
    trim: reading,
    upperAscii: rewriting,
    // timestamps and durations
    getDate: inZone,
    getDayOfMonth: inZone,
    getDayOfWeek: inZone,
    getDayOfYear: inZone,
    getFullYear: inZone,
    getHours: inZone,
    getMilliseconds: inZone,
    getMinutes: inZone,
    getMonth: inZone,
    getSeconds: inZone,
    // optionals
    hasValue: nothing,
    none: nothing,
    of: nothing,
    value: nothing,
  }),
);

/** Macros: has, optionals and bind are done once where they stand, the others are loops. */
export const MACROS: ReadonlySet<string> = new Set([
  "has",
  "or",
  "orValue",
  "bind",
  "all",
  "exists",
  "exists_one",
  "map",
  "filter",
]);
