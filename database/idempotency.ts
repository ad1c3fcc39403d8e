/**
 * Idempotency keys of what is not done by a commit.
 */
import type { Query } from "./connect.ts";

/** Claims a key for `claim.id`; returns the id that has it: that one, or the first one's. */
export async function claimKey(
  query: Query,
  tenant: string,
  claim: { kind: string; key: string; id: string; at: number },
): Promise<string> {
  const { kind, key, id, at } = claim;
  const [row] = await query("select v1.claim_key($1, $2, $3, $4, $5) as first", [
    tenant,
    kind,
    key,
    id,
    new Date(at).toISOString(),
  ]);
  return String(row?.["first"]);
}
