/**
 * The log of one attempt. It never throws into a handler and never lets one fill the database: a
 * line is cut, and lines beyond the limit are dropped, the last one saying so.
 */
import { MAX_LOG_LINE_BYTES, MAX_LOG_LINES } from "../../protocol/limits.ts";
import type { LogLine } from "../../protocol/session.ts";
import type { LogFields, TaskLog } from "../context.ts";
import { cutToBytes, encodeJson, exceedsBytes } from "../json.ts";
import type { Attempt } from "./attempt.ts";

export class AttemptLog implements TaskLog {
  readonly #attempt: Attempt;
  #lines = 0;

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
  }

  debug(message: string, fields?: LogFields): void {
    this.#write("debug", message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#write("info", message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#write("warn", message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#write("error", message, fields);
  }

  #write(level: LogLine["level"], message: string, fields: LogFields | undefined): void {
    this.#lines += 1;
    if (this.#lines > MAX_LOG_LINES || this.#attempt.isAbandoned) return;
    const line =
      this.#lines === MAX_LOG_LINES
        ? lineText("warn", `Further lines are dropped: an attempt has at most ${MAX_LOG_LINES}`)
        : lineText(level, message, fields);
    this.#attempt.route.line(this.#attempt, line);
  }
}

function lineText(level: LogLine["level"], message: string, fields?: LogFields): string {
  const line: LogLine = {
    level,
    message: cutToBytes(String(message), MAX_LOG_LINE_BYTES),
    at: Date.now(),
  };
  if (fields === undefined) return JSON.stringify(line);
  const fieldsJson = fieldsText(fields);
  if (exceedsBytes(line.message + fieldsJson, MAX_LOG_LINE_BYTES)) {
    return JSON.stringify({ ...line, fields: { dropped: "The fields were too large to keep" } });
  }
  return `${JSON.stringify(line).slice(0, -1)},"fields":${fieldsJson}}`;
}

function fieldsText(fields: LogFields): string {
  try {
    return encodeJson(fields, "The fields of a log line");
  } catch (error) {
    return JSON.stringify({ dropped: error instanceof Error ? error.message : String(error) });
  }
}
