/**
 * Handles what a broker has brought, the same way for each: opens the messages, gives them to their
 * handlers by tenant and kind, buries what was refused for good, and tells the broker the rest.
 *
 * A message is done when its row is gone; that is its handler's work, in one commit with the effect.
 */
import type { Query } from "../database/connect.ts";
import type { Delivery, MessageRow } from "../database/message-rows.ts";
import { buryMessages, openMessages } from "../database/messages.ts";
import { errorFields, type Logger } from "../telemetry/log.ts";
import { OPEN_BYTES, RETRY_MAX_MS, retryMs } from "./limits.ts";
import type { DeliveredBatch, Outcome, Settlement } from "./message-queue.ts";
import type { Rests } from "./rests.ts";

/** Handles a tenant's messages of one kind; what it doesn't mention is tried again. */
export type HandleMessages = (
  tenant: string,
  messages: MessageRow[],
) => Promise<ReadonlyMap<string, Outcome>>;

export interface ConsumeParts {
  query: Query;
  log: Logger;
  /** Who handles a kind; undefined: nobody does. */
  handlerOf(kind: string): HandleMessages | undefined;
  /** Tenants that needn't be tried, where the consumer remembers them. */
  rests?: Rests;
}

export interface Consumed {
  /** With those that were gone or refused. */
  done: number;
  later: number;
  refused: number;
  /** Tenants that could take nothing. */
  busy: ReadonlySet<string>;
  /** Tenants that take messages again: what was put off may be tried. */
  back: ReadonlySet<string>;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export async function consume(batch: DeliveredBatch, parts: ConsumeParts): Promise<Consumed> {
  const { query, log, rests } = parts;
  const settlement: Settlement = { done: [], later: [] };
  const asked: Delivery[] = [];
  for (const delivery of batch.deliveries) {
    if (!isOurs(delivery)) {
      log.error("message.not_ours", { queue: batch.queue });
      settlement.done.push(delivery);
    } else if (rests?.isResting(delivery.tenant, Date.now())) {
      settlement.later.push({ delivery, delayMs: RETRY_MAX_MS });
    } else asked.push(delivery);
  }
  const { opened, left } =
    asked.length > 0 ? await openMessages(query, asked, OPEN_BYTES) : { opened: [], left: [] };
  const outcomes = await handleAll(opened, parts);
  await bury(opened, outcomes, parts);

  const handled = new Set(opened.map(({ id }) => id));
  const unopened = new Set(left);
  const served = new Set<string>();
  const busy = new Map<string, number>();
  for (const delivery of asked) {
    const { id, tenant, reads } = delivery;
    const outcome = handled.has(id) ? (outcomes.get(id) ?? { kind: "later" as const }) : undefined;
    if (unopened.has(id)) settlement.later.push({ delivery, delayMs: 0 });
    else if (outcome?.kind !== "later") {
      settlement.done.push(delivery);
      if (outcome !== undefined) served.add(tenant);
    } else if (outcome.isTenantBusy && rests) {
      const delayMs = busy.get(tenant) ?? rests.begin(tenant, Date.now());
      busy.set(tenant, delayMs);
      settlement.later.push({ delivery, delayMs });
    } else settlement.later.push({ delivery, delayMs: outcome.delayMs ?? retryMs(reads) });
  }
  await batch.settle(settlement);
  return {
    done: settlement.done.length,
    later: settlement.later.length,
    refused: [...outcomes.values()].filter(({ kind }) => kind === "refused").length,
    busy: new Set(busy.keys()),
    back: new Set([...served].filter((tenant) => !busy.has(tenant) && rests?.end(tenant))),
  };
}

/** Whatever else somebody has put into the queue would be refused again and again. */
function isOurs({ tenant, id }: Delivery): boolean {
  return UUID.test(tenant) && UUID.test(id);
}

async function handleAll(
  opened: MessageRow[],
  { handlerOf, log }: ConsumeParts,
): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  const groups = Map.groupBy(opened, ({ tenant, kind }) => `${tenant} ${kind}`);
  await Promise.all(
    [...groups.values()].map(async (group) => {
      const [first] = group;
      if (first === undefined) return;
      const { tenant, kind } = first;
      const handle = handlerOf(kind);
      if (handle === undefined) {
        for (const { id } of group) outcomes.set(id, { kind: "refused", reason: unknown(kind) });
        return;
      }
      try {
        for (const [id, outcome] of await handle(tenant, group)) outcomes.set(id, outcome);
      } catch (error) {
        log.error("messages.failed", { tenant_id: tenant, kind, ...errorFields(error) });
      }
    }),
  );
  return outcomes;
}

/** What can't be buried now is tried again, and refused again. */
async function bury(
  opened: MessageRow[],
  outcomes: Map<string, Outcome>,
  { query, log }: ConsumeParts,
): Promise<void> {
  const refused = opened.flatMap(({ tenant, id }) => {
    const outcome = outcomes.get(id);
    return outcome?.kind === "refused" ? [{ tenant, id, reason: outcome.reason }] : [];
  });
  if (refused.length === 0) return;
  try {
    await buryMessages(query, refused);
    for (const { tenant, id, reason } of refused) {
      log.error("message.died", { tenant_id: tenant, message_id: id, code: reason.code });
    }
  } catch (error) {
    log.error("messages.not_buried", { count: refused.length, ...errorFields(error) });
    for (const { id } of refused) outcomes.delete(id);
  }
}

function unknown(kind: string): { code: "unknown_kind"; message: string } {
  return {
    code: "unknown_kind",
    message: `Nothing here handles messages of the kind "${kind}": they may be of a newer version.`,
  };
}
