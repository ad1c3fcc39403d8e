/**
 * What a database error means for its caller: the one place that knows SQLSTATEs.
 */

/** Raised by `v1.commit` when a newer life of the shard has recovered. */
export const STALE_EPOCH = "SK001";

/**
 * `stale_epoch`: stop. `refused`: Postgres has decided against this statement and will again.
 * `unknown`: nobody can say whether it took effect; the same bytes may be sent again.
 */
export type DatabaseFailure = "stale_epoch" | "refused" | "unknown";

/** Classes of SQLSTATE that say nothing about the statement, only about the moment. */
const PASSING_CLASSES = new Set([
  "08", // connection
  "25", // transaction state, such as one left over on a pooled connection
  "40", // serialization, deadlock
  "53", // resources
  "57", // operator: shutdown, cancelled
  "58", // system
  "XX", // internal, as Neon's proxy reports a compute that starts
]);

export function classifyFailure(error: unknown): DatabaseFailure {
  const code = sqlState(error);
  if (code === undefined) return "unknown";
  if (code === STALE_EPOCH) return "stale_epoch";
  return PASSING_CLASSES.has(code.slice(0, 2)) ? "unknown" : "refused";
}

/** Whether a statement broke a unique constraint of this name. */
export function isDuplicate(error: unknown, constraint: string): boolean {
  return (
    sqlState(error) === "23505" &&
    typeof error === "object" &&
    error !== null &&
    "constraint" in error &&
    error.constraint === constraint
  );
}

function sqlState(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  const { code } = error;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}
