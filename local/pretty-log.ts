/**
 * Log lines for people: one JSON object a line becomes one readable line, with time, level and event
 * first, then ids (shortened), then the rest. What is not such an object passes as it is.
 */

export interface PrettyOptions {
  /** Default when standard output is a terminal and NO_COLOR is not set. */
  isColoured?: boolean;
}

type Fields = Record<string, unknown>;

const TIME_FIELDS = ["time", "at", "timestamp", "ts"];
const LEVEL_FIELDS = ["level", "severity"];
const EVENT_FIELDS = ["event", "message", "msg"];
/** In this order; the end of a UUIDv7 tells ids apart, its beginning only tells when. */
const ID_FIELDS = ["tenant_id", "workflow_id", "run_id", "task_id", "session_id", "request_id"];
const SHORT_ID_CHARACTERS = 8;

const COLOURS: Record<string, number> = { debug: 90, info: 36, warn: 33, error: 31 };
const DIM = 90;
const BOLD = 1;

/** Returns a function that makes a line readable. */
export function prettyLog({
  isColoured = process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === "",
}: PrettyOptions = {}): (line: string) => string {
  const paint = (text: string, colour: number): string =>
    isColoured ? `\u001b[${colour}m${text}\u001b[0m` : text;
  return (line) => {
    const fields = readFields(line);
    if (fields === undefined) return line;
    const time = clock(take(fields, TIME_FIELDS));
    const level = String(take(fields, LEVEL_FIELDS) ?? "info");
    const event = show(take(fields, EVENT_FIELDS) ?? "");
    const ids = ID_FIELDS.flatMap((name) => {
      const id = take(fields, [name]);
      return id === undefined || id === null ? [] : [`${name.replace(/_id$/, "")}=${shorten(id)}`];
    });
    const rest = Object.entries(fields).map(([name, value]) => `${name}=${show(value)}`);
    return [
      paint(time, DIM),
      paint(level.padEnd(5), COLOURS[level] ?? DIM),
      paint(event, BOLD),
      paint(ids.join(" "), DIM),
      rest.join(" "),
    ]
      .filter((part) => part.trim() !== "")
      .join(" ");
  };
}

function readFields(line: string): Fields | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined; // It only looked like JSON.
  }
}

function take(fields: Fields, names: string[]): unknown {
  const name = names.find((candidate) => fields[candidate] !== undefined);
  if (name === undefined) return undefined;
  const value = fields[name];
  delete fields[name];
  return value;
}

function clock(time: unknown): string {
  if (typeof time !== "string" && typeof time !== "number") return "";
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString().slice(11, 23);
}

function shorten(id: unknown): string {
  const text = String(id);
  return text.length === 36 ? text.slice(-SHORT_ID_CHARACTERS) : text;
}

function show(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
