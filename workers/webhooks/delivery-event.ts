/**
 * The event that a verified delivery is published as: its key and scope by the webhook's expressions, and
 * an idempotency key by which a delivery that comes again is recognised.
 */
import { ExpressionCache } from "../../expressions/cache.ts";
import { DELIVERY_TEXT, evaluateDelivery } from "../../expressions/delivery-expressions.ts";
import type { PublishEvent } from "../../protocol/http.ts";
import type { Json, Metadata } from "../../protocol/json.ts";
import { MAX_KEPT_HEADER_LENGTH } from "../../protocol/limits.ts";
import type { StoredWebhook } from "../../protocol/webhook-bodies.ts";
import { fieldErrors } from "../api/field-errors.ts";
import { publishEventSchema } from "../api/schemas.ts";
import { deliveryHeaderOf, secretHeadersOf } from "./providers.ts";
import { RefusedDelivery } from "./refused-delivery.ts";
import { digests, encode, encodeBase64Url } from "./signatures.ts";

/** Expressions that an isolate keeps compiled, and characters of them: 6 MB at most of its 128. */
const MAX_COMPILED = 500;
const MAX_CHARACTERS = 200_000;
const texts = new ExpressionCache(DELIVERY_TEXT, MAX_COMPILED, { characters: MAX_CHARACTERS });

export interface VerifiedDelivery {
  webhook: string;
  definition: StoredWebhook;
  headers: Headers;
  body: Json;
  /** Of all that was signed. */
  fingerprint: string | undefined;
}

export async function eventOf(delivery: VerifiedDelivery): Promise<PublishEvent> {
  const { webhook, definition, body } = delivery;
  const headers = visibleHeaders(delivery);
  const evaluate = (field: "eventKey" | "scope", source: string): string => {
    const evaluated = evaluateDelivery(texts, source, { headers, body });
    if (evaluated.ok) return evaluated.value;
    const { message, position } = evaluated.error;
    const where = position && `, line ${position.line}, column ${position.column}`;
    const detail = `The webhook's ${field}${where ?? ""}: ${message}`;
    throw new RefusedDelivery("expression_failed", "invalid_request", detail, detail);
  };
  const id = deliveryIdOf(delivery);
  const scope = definition.scope === undefined ? "" : evaluate("scope", definition.scope);
  return checked({
    key: evaluate("eventKey", definition.eventKey),
    ...(scope !== "" && { scope }),
    payload: body,
    metadata: metadataOf(delivery, headers, id),
    ...(id !== undefined && { idempotencyKey: await idempotencyKey(webhook, id) }),
  });
}

/** What the sender calls the delivery; else what it is recognised by; undefined when by nothing. */
function deliveryIdOf({
  definition,
  headers,
  body,
  fingerprint,
}: VerifiedDelivery): string | undefined {
  const header = deliveryHeaderOf(definition);
  const given = header === undefined ? null : headers.get(header);
  if (given) return given;
  const field = { stripe: "id", slack: "event_id" }[definition.provider as string];
  const own = field === undefined ? undefined : (body as Record<string, Json> | null)?.[field];
  return typeof own === "string" ? own : fingerprint;
}

/** Short enough, whatever the sender's ids are like. */
async function idempotencyKey(webhook: string, id: string): Promise<string> {
  const [digest = new Uint8Array()] = await digests([encode(id)]);
  return `webhook:${webhook}:${encodeBase64Url(digest)}`;
}

/** What expressions are over: by names in small letters, without what is for verification only. */
function visibleHeaders({ definition, headers }: VerifiedDelivery): { [name: string]: string } {
  const hidden = secretHeadersOf(definition);
  return Object.fromEntries([...headers].filter(([name]) => !hidden.includes(name)));
}

function metadataOf(
  { webhook, definition }: VerifiedDelivery,
  headers: { [name: string]: string },
  id: string | undefined,
): Metadata {
  const kept = definition.headers.flatMap((name) => {
    const value = headers[name];
    return value === undefined ? [] : [[name, cut(value)]];
  });
  return {
    ...Object.fromEntries(kept),
    provider: definition.provider,
    webhook,
    ...(id !== undefined && { delivery: cut(id) }),
  };
}

/** The event, if it is one that could be published by `POST /events`. */
function checked(event: PublishEvent): PublishEvent {
  const parsed = publishEventSchema.safeParse(event);
  if (parsed.success) return parsed.data;
  const [first] = fieldErrors(parsed.error, event, "event");
  const detail = `The event's ${first?.path} ${first?.message}.`;
  if (first?.path === "payload") {
    throw new RefusedDelivery("delivery_too_large", "payload_too_large", detail, detail);
  }
  throw new RefusedDelivery("invalid_event", "invalid_request", detail, detail);
}

/** No half of a character is left at the end. */
function cut(text: string): string {
  return text.slice(0, MAX_KEPT_HEADER_LENGTH).toWellFormed();
}
