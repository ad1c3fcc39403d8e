/**
 * Reads a delivery's body: first its bytes, within bounds; once they are verified, what they say. JSON, or
 * a form, whatever the sender calls it.
 */
import type { Json } from "../../protocol/json.ts";
import { MAX_DELIVERY_BYTES } from "../../protocol/limits.ts";
import type { WebhookProvider } from "../../protocol/webhook-bodies.ts";
import { depthOf, MAX_JSON_DEPTH, unstorableIn } from "../api/storable.ts";
import { RefusedDelivery } from "./refused-delivery.ts";
import type { Bytes } from "./signatures.ts";
import type { Delivery } from "./signed-claims.ts";

const FORM_TYPE = /^application\/x-www-form-urlencoded\b/i;

/** Those that send JSON within a form, as its only field. */
const JSON_IN_FORMS: readonly WebhookProvider[] = ["github", "slack"];
const JSON_FIELD = "payload";

/** Stops reading once there is too much of it. */
export async function readBytes(request: Request): Promise<Bytes> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > MAX_DELIVERY_BYTES) return refuseLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  // It is cancelled when this throws.
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > MAX_DELIVERY_BYTES) return refuseLarge();
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

export function isForm(headers: Headers): boolean {
  return FORM_TYPE.test(headers.get("content-type") ?? "");
}

/** What a verified body says. */
export function parseBody({ headers, body }: Delivery, provider: WebhookProvider): Json {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(body);
  } catch {
    return refuseMalformed("The body is not UTF-8.");
  }
  if (!isForm(headers)) return parseJson(text);
  const fields = formOf(text);
  const { [JSON_FIELD]: inner } = fields;
  const isAlone = Object.keys(fields).length === 1 && typeof inner === "string";
  if (isAlone && JSON_IN_FORMS.includes(provider)) return parseJson(inner);
  refuseUnstorable(JSON.stringify(fields)); // writes as escapes what can't be stored
  return fields;
}

/** The fields by name; one that is there several times has a list. */
function formOf(text: string): { [field: string]: string | string[] } {
  const form = new URLSearchParams(text);
  return Object.fromEntries(
    [...new Set(form.keys())].map((name) => {
      const [value = "", ...more] = form.getAll(name);
      return [name, more.length === 0 ? value : [value, ...more]];
    }),
  );
}

function parseJson(text: string): Json {
  refuseUnstorable(text);
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    if (text === "") return refuseMalformed("The body is empty. Send JSON.");
    return refuseMalformed(`${cause instanceof Error ? cause.message : String(cause)}.`);
  }
}

/** Its tenant is not told the detail: it quotes the body. */
function refuseMalformed(detail: string): never {
  throw new RefusedDelivery("malformed_body", "malformed_json", detail);
}

function refuseUnstorable(text: string): void {
  const found = unstorableIn(text);
  if (found !== undefined) {
    refuseInvalid(`The body has ${found.why}, which Skein can't store.`);
  }
  const depth = depthOf(text);
  if (depth > MAX_JSON_DEPTH) {
    refuseInvalid(`The body is nested ${depth} deep; at most ${MAX_JSON_DEPTH} are taken.`);
  }
}

function refuseInvalid(detail: string): never {
  throw new RefusedDelivery("invalid_event", "invalid_request", detail, detail);
}

function refuseLarge(): never {
  throw new RefusedDelivery(
    "delivery_too_large",
    "payload_too_large",
    `At most ${MAX_DELIVERY_BYTES} bytes are taken.`,
  );
}
