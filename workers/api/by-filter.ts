/**
 * What calls share that repeat everything a filter means, in pieces of a bounded size: runs, and events.
 */
import { queryOverHttp } from "../../database/connect.ts";
import { claimKey } from "../../database/idempotency.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { newId } from "../../protocol/ids.ts";
import { MAX_BODY_BYTES, MAX_BY_FILTER } from "../../protocol/limits.ts";
import type { Environment } from "../environment.ts";

/** As many as one call may repeat, and one at least: no more than the body of a bulk call may carry. */
export function takeFitting<Found>(found: Found[], bytesOf: (found: Found) => number): Found[] {
  let bytes = 0;
  const tooMany = found.findIndex((one, index) => {
    bytes += bytesOf(one);
    return index > 0 && bytes > MAX_BODY_BYTES;
  });
  return found.slice(0, tooMany === -1 ? MAX_BY_FILTER : Math.min(tooMany, MAX_BY_FILTER));
}

/**
 * An id above those of everything that was there before the first of a row of calls: only that is repeated, so
 * that no repetition is repeated in turn. A call that is sent again learns it by its key.
 */
export async function idOfFirstCall(
  env: Environment,
  tenant: string,
  { kind, key }: { kind: "replay" | "event_replay"; key: string | undefined },
): Promise<string> {
  const id = newId();
  if (key === undefined) return id;
  return await claimKey(queryOverHttp(databaseOf(env, tenant)), tenant, {
    kind,
    key,
    id,
    at: Date.now(),
  });
}
