/**
 * The fields of a cron expression: what each may say, and what is wrong with it, by its place in the
 * expression. Pure.
 */

/** Something that is wrong at a place of an expression. */
export interface CronFinding {
  message: string;
  start: number;
  end: number;
}

export interface Field {
  name: string;
  least: number;
  most: number;
  names: readonly string[];
  /** What else a value may be, such as `L`. */
  special?: RegExp;
  /** What to say of a number beyond the bounds. */
  beyond?: Record<string, string>;
}

const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const SECOND: Field = { name: "second", least: 0, most: 59, names: [] };
const MINUTE: Field = {
  name: "minute",
  least: 0,
  most: 59,
  names: [],
  beyond: { "60": "the full hour is 0" },
};
const HOUR: Field = {
  name: "hour",
  least: 0,
  most: 23,
  names: [],
  beyond: { "24": "midnight is 0" },
};
const DAY: Field = {
  name: "day of the month",
  least: 1,
  most: 31,
  names: [],
  special: /^L$/,
  beyond: { "0": "the first day is 1", "32": "the last day is L" },
};
const MONTH: Field = {
  name: "month",
  least: 1,
  most: 12,
  names: MONTHS,
  beyond: { "0": "January is 1, or JAN", "13": "December is 12, or DEC" },
};
const WEEKDAY: Field = {
  name: "day of the week",
  least: 0,
  most: 7,
  names: DAYS,
  special: /^([0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(#[1-5]|L|#L)$/,
  beyond: { "8": "Sunday is 0 or 7, or SUN" },
};

const FIVE = [MINUTE, HOUR, DAY, MONTH, WEEKDAY];
const SIX = [SECOND, ...FIVE];

export const NICKNAMES = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"];

/** Everything that is wrong with the form of an expression; nothing is said of when it comes. */
export function checkFields(source: string): CronFinding[] {
  const words = [...source.matchAll(/\S+/g)].map(({ 0: text, index: start }) => ({ text, start }));
  const [first] = words;
  if (first === undefined) return [whole(source, `is empty: ${FORM}`)];
  if (first.text.startsWith("@")) {
    if (words.length === 1 && NICKNAMES.includes(first.text.toLowerCase())) return [];
    return [whole(source, `is no nickname that there is: use one of ${NICKNAMES.join(", ")}`)];
  }
  const fields = words.length === SIX.length ? SIX : FIVE;
  if (words.length !== fields.length) {
    const lacking = words.length < FIVE.length;
    const extra = words[SIX.length];
    const range = extra && { start: extra.start, end: source.length };
    const count = `has ${words.length} ${words.length === 1 ? "field" : "fields"}`;
    const hint = lacking ? `: ${FORM}` : `, and there are at most 6: ${FORM}`;
    return [{ ...whole(source, count + hint), ...(lacking ? atEnd(source) : range) }];
  }
  return words.flatMap(({ text, start }, index) => {
    const field = fields[index];
    return field === undefined ? [] : checkField(field, text, start);
  });
}

const FORM =
  "give minute, hour, day of the month, month and day of the week, with seconds before them if you need them, such as 30 9 * * MON-FRI";

function whole(source: string, message: string): CronFinding {
  return { message, start: 0, end: source.length };
}

function atEnd(source: string): { start: number; end: number } {
  return { start: source.length, end: source.length };
}

function checkField(field: Field, text: string, start: number): CronFinding[] {
  const findings: CronFinding[] = [];
  let at = start;
  for (const part of text.split(",")) {
    const message = wrongInPart(field, part.toUpperCase());
    if (message !== undefined) {
      findings.push({ message: `${field.name}: ${message}`, start: at, end: at + part.length });
    }
    at += part.length + 1;
  }
  return findings;
}

/** What is wrong with one of the parts between commas. */
function wrongInPart(field: Field, part: string): string | undefined {
  const { least, most } = field;
  if (part === "") return "there is nothing between the commas: leave one out";
  if (field.special?.test(part) === true) return undefined;
  const [range = "", step, more] = part.split("/");
  if (more !== undefined) return `${quoted(part)} has two steps: give one, as in */5`;
  if (step !== undefined) {
    const size = number(step);
    if (size === undefined || size < 1 || size > most - least + 1) {
      return `${quoted(step)} is no step: give 1 to ${most - least + 1}, as in */5`;
    }
    // `5/10` reads as "from 5 on" to some, and as "5" to others.
    if (range !== "*" && !range.includes("-")) {
      return `${quoted(part)} has a step and no range: write ${range || least}-${most}/${step}, or */${step}`;
    }
  }
  if (range === "*") return undefined;
  const [from = "", to, rest] = range.split("-");
  if (rest !== undefined)
    return `${quoted(range)} is no range: give two ends, as in ${least}-${most}`;
  const [low, high] = [valueOf(field, from), to === undefined ? undefined : valueOf(field, to)];
  if (typeof low === "string") return low;
  if (typeof high === "string") return high;
  if (high === undefined || low <= high) return undefined;
  return `${quoted(range)} runs backwards: write ${from}-${most},${least}-${to}`;
}

/** The number that a value stands for, or what is wrong with it. */
function valueOf(field: Field, text: string): number | string {
  const { least, most, names } = field;
  const value = number(text);
  if (value !== undefined) {
    if (value >= least && value <= most) return value;
    const known = field.beyond?.[text];
    return `${text} is not within ${least} and ${most}${known === undefined ? "" : `: ${known}`}`;
  }
  const named = names.indexOf(text);
  if (named !== -1) return named + (field.least === 1 ? 1 : 0);
  const like = names.find((name) => text.startsWith(name.slice(0, 2)));
  const hint = like === undefined ? hintOf(field) : `: did you mean ${like}?`;
  return `${quoted(text)} is no value${hint}`;
}

function hintOf({ least, most, names }: Field): string {
  const [first, last] = [names[0], names.at(-1)];
  const named = first === undefined ? "" : `, or ${first} to ${last}`;
  return `: give ${least} to ${most}${named}, or *`;
}

function number(text: string): number | undefined {
  return /^\d{1,4}$/.test(text) ? Number(text) : undefined;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
