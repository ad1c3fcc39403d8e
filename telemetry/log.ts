/**
 * Structured logs: one JSON object a line, with a stable event name and the ids to follow one run
 * through every part. Never carries inputs, outputs, payloads or tokens.
 */

const LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LEVELS)[number];

/** The ids that lines are joined by, and whatever else an event has to tell. */
export interface LogFields {
  tenant_id?: string;
  workflow_id?: string;
  run_id?: string;
  task_id?: string;
  attempt?: number;
  shard?: number;
  session_id?: string;
  request_id?: string;
  [field: string]: string | number | boolean | null | undefined;
}

export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/** A logger that adds `base` to every line and is silent below `level` (default `info`). */
export function createLogger(base: LogFields, level: string | undefined): Logger {
  const threshold = Math.max(0, LEVELS.indexOf((level ?? "info") as LogLevel));
  const write = (rank: number, event: string, fields?: LogFields): void => {
    if (rank < threshold) return;
    const line = { time: new Date().toISOString(), level: LEVELS[rank], event, ...base, ...fields };
    console.log(JSON.stringify(line));
  };
  return {
    debug: (event, fields) => write(0, event, fields),
    info: (event, fields) => write(1, event, fields),
    warn: (event, fields) => write(2, event, fields),
    error: (event, fields) => write(3, event, fields),
  };
}

/** An error as fields of a line: its text, and the SQLSTATE or code it carries. */
export function errorFields(error: unknown): { error: string; error_code?: string } {
  if (!(error instanceof Error)) return { error: String(error) };
  const code = "code" in error ? error.code : undefined;
  return { error: error.message, ...(typeof code === "string" && { error_code: code }) };
}
