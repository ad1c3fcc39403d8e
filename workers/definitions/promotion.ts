/**
 * Which version a new run is bound to while one is promoted beside the active one: by a hash of the run's key,
 * so that all runs of a key are on one side, and stay there while the share rises. Pure.
 *
 * Postgres works out the same for children: migrations/functions/version_of_run.sql.
 */
import { createHash } from "node:crypto";
import type { PromotedRow } from "../../database/definition-rows.ts";
import type { Json } from "../../protocol/json.ts";

/** Shares are in hundredths of a percent. */
export const WHOLE_SHARE = 10_000;

/** Longer numbers are not written alike everywhere. */
const PLAIN_NUMBER = /^-?\d{1,15}$/;

/** @param otherwise The key of a run that has none where the promotion looks for it. */
export function isPromoted(
  { version, share, key }: Pick<PromotedRow, "version" | "share" | "key">,
  run: { input: Json; metadata: Json },
  otherwise: string,
): boolean {
  const text = (key && keyAt(run, key)) ?? otherwise;
  const hash = createHash("sha256").update(`${version}/${text}`).digest();
  return hash.readUInt32BE(0) % WHOLE_SHARE < share;
}

/** A text, a truth value or a whole number; anything else is no key. */
function keyAt(run: Json, path: readonly string[]): string | undefined {
  let found: Json | undefined = run;
  for (const member of path) {
    if (typeof found !== "object" || found === null || Array.isArray(found)) return undefined;
    found = Object.hasOwn(found, member) ? found[member] : undefined;
  }
  if (typeof found === "string") return found;
  if (typeof found === "boolean") return String(found);
  if (typeof found !== "number") return undefined;
  return PLAIN_NUMBER.test(String(found)) ? String(found) : undefined;
}
