/**
 * SQL over HTTP as Neon speaks it: the body and headers of `POST /sql` to queries on a pool, and
 * their results to the answer's JSON. Every value stays the text Postgres gave. A connection goes
 * back to the pool only when it is idle.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Pool, PoolClient, QueryArrayConfig, QueryArrayResult } from "pg";

export interface SqlAnswer {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
}

interface NeonQuery {
  query: string;
  params?: unknown[];
  arrayMode?: boolean;
}

/** For a pool whose values must stay text. */
export const RAW_TEXT = { getTypeParser: () => (value: string) => value };

const ISOLATION_LEVELS: Record<string, string> = {
  ReadUncommitted: "READ UNCOMMITTED",
  ReadCommitted: "READ COMMITTED",
  RepeatableRead: "REPEATABLE READ",
  Serializable: "SERIALIZABLE",
};
const BATCH_HEADERS = [
  "neon-batch-isolation-level",
  "neon-batch-read-only",
  "neon-batch-deferrable",
] as const;
const ERROR_FIELDS = [
  "severity",
  "code",
  "detail",
  "hint",
  "position",
  "internalPosition",
  "internalQuery",
  "where",
  "schema",
  "table",
  "column",
  "dataType",
  "constraint",
  "file",
  "line",
  "routine",
] as const;

/** Stops the query of a client that has gone; resolves once it can't hit another query. */
export type CancelQuery = (client: PoolClient) => Promise<void>;

/** Runs one `POST /sql`. When `signal` aborts (the caller has gone) its query is cancelled. */
export async function answerSql(
  pool: Pool,
  headers: IncomingHttpHeaders,
  body: string,
  signal: AbortSignal,
  cancel?: CancelQuery,
): Promise<SqlAnswer> {
  try {
    if (headers["neon-raw-text-output"] !== "true") {
      throw refusal(
        "0A000",
        "Only answers in raw text are spoken here (Neon-Raw-Text-Output: true).",
      );
    }
    const isArrayMode = headers["neon-array-mode"] === "true";
    const request = readRequest(body);
    if ("query" in request) {
      const result = await withClient(pool, signal, cancel, (client) =>
        runQuery(client, request, isArrayMode),
      );
      return { status: 200, body: result };
    }
    const begin = beginStatement(headers);
    const results = await withClient(pool, signal, cancel, (client) =>
      runBatch(client, begin, request.queries, isArrayMode),
    );
    return { status: 200, headers: echoedHeaders(headers), body: { results } };
  } catch (error) {
    return errorAnswer(error);
  }
}

/** An error as Postgres would raise it. */
export function refusal(code: string, message: string, severity = "ERROR"): Error {
  return Object.assign(new Error(message), { code, severity });
}

/** 400 with Postgres's own fields for an SQL error; 500 when the database could not be asked. */
export function errorAnswer(error: unknown): SqlAnswer {
  const fields: Partial<Record<string, unknown>> = error instanceof Error ? { ...error } : {};
  const message = error instanceof Error ? error.message : String(error);
  const code = fields["code"];
  const isSqlError = typeof code === "string" && /^[0-9A-Z]{5}$/.test(code);
  if (!isSqlError) {
    return { status: 500, body: { message: `The database can't be reached: ${message || code}` } };
  }
  const body: Record<string, unknown> = { message };
  for (const field of ERROR_FIELDS) body[field] = fields[field] ?? null;
  return { status: 400, body };
}

function readRequest(body: string): NeonQuery | { queries: NeonQuery[] } {
  let request: unknown;
  try {
    request = JSON.parse(body);
  } catch {
    throw refusal("08P01", "The body of a query must be JSON.");
  }
  if (isQuery(request)) return request;
  const queries = isObject(request) ? request["queries"] : undefined;
  if (Array.isArray(queries) && queries.every(isQuery)) return { queries };
  throw refusal("08P01", 'The body must be {"query", "params"} or {"queries": [...]}.');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isQuery(value: unknown): value is NeonQuery & Record<string, unknown> {
  if (!isObject(value) || typeof value["query"] !== "string") return false;
  return value["params"] === undefined || Array.isArray(value["params"]);
}

function beginStatement(headers: IncomingHttpHeaders): string {
  const level = headers["neon-batch-isolation-level"];
  let statement = "BEGIN";
  if (typeof level === "string") {
    const name = ISOLATION_LEVELS[level];
    if (name === undefined) throw refusal("08P01", `There is no isolation level "${level}".`);
    statement += ` ISOLATION LEVEL ${name}`;
  }
  if (headers["neon-batch-read-only"] === "true") statement += " READ ONLY";
  if (headers["neon-batch-deferrable"] === "true") statement += " DEFERRABLE";
  return statement;
}

function echoedHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const echoed: Record<string, string> = {};
  for (const name of BATCH_HEADERS) {
    const value = headers[name];
    if (typeof value === "string") echoed[name] = value;
  }
  return echoed;
}

async function withClient<Result>(
  pool: Pool,
  signal: AbortSignal,
  cancel: CancelQuery | undefined,
  run: (client: PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  let cancelling: Promise<void> | undefined;
  const onGone = (): void => {
    cancelling ??= cancel?.(client).catch(() => {});
  };
  try {
    if (signal.aborted) throw refusal("57014", "The caller has gone.");
    signal.addEventListener("abort", onGone, { once: true });
    return await run(client);
  } finally {
    signal.removeEventListener("abort", onGone);
    await cancelling;
    // A connection that is not idle, or may still be hit by a cancel, is not given to anybody else.
    client.release(cancelling !== undefined || client.getTransactionStatus() !== "I");
  }
}

async function runBatch(
  client: PoolClient,
  begin: string,
  queries: NeonQuery[],
  isArrayMode: boolean,
): Promise<object[]> {
  await client.query(begin);
  try {
    const results: object[] = [];
    for (const query of queries) results.push(await runQuery(client, query, isArrayMode));
    await client.query("COMMIT");
    return results;
  } catch (error) {
    // If this fails too the connection is discarded: it is not idle.
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

async function runQuery(
  client: PoolClient,
  query: NeonQuery,
  isArrayMode: boolean,
): Promise<object> {
  // The extended protocol takes one statement, without parameters too, as Neon does.
  const config: QueryArrayConfig & { queryMode: "extended" } = {
    text: query.query,
    values: (query.params ?? []).map(parameterText),
    rowMode: "array",
    queryMode: "extended",
  };
  const result: QueryArrayResult<unknown[]> = await client.query(config);
  const fields = result.fields.map((field) => ({
    name: field.name,
    dataTypeID: field.dataTypeID,
    tableID: field.tableID,
    columnID: field.columnID,
    dataTypeSize: field.dataTypeSize,
    dataTypeModifier: field.dataTypeModifier,
    format: "text",
  }));
  const rowAsArray = query.arrayMode ?? isArrayMode;
  const rows = rowAsArray
    ? result.rows
    : result.rows.map((row) => Object.fromEntries(row.map((value, i) => [fields[i]?.name, value])));
  return { command: result.command, rowCount: result.rowCount, rows, fields, rowAsArray };
}

/** A JSON parameter as Postgres text. The driver sends text or null; other clients may not. */
function parameterText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return value;
  return Array.isArray(value) ? arrayText(value) : JSON.stringify(value);
}

function arrayText(values: unknown[]): string {
  const items = values.map((value) => {
    if (value === null) return "NULL";
    if (Array.isArray(value)) return arrayText(value);
    return typeof value === "object"
      ? JSON.stringify(JSON.stringify(value))
      : JSON.stringify(value);
  });
  return `{${items.join(",")}}`;
}
