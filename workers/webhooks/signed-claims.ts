/**
 * What a signed delivery claims: its signatures, when it was sent, and the bytes that they are over. Pure.
 */
import type { DeliveryFailureCode } from "../../protocol/errors.ts";
import type {
  HmacAlgorithm,
  HmacSignature,
  WebhookDefinition,
} from "../../protocol/webhook-bodies.ts";
import { deliveryHeaderOf, STRIPE_SIGNATURE_HEADER } from "./providers.ts";
import { type Bytes, decode, encode } from "./signatures.ts";

/** A delivery as it came. */
export interface Delivery {
  headers: Headers;
  body: Bytes;
}

export interface Claim {
  algorithm: HmacAlgorithm;
  /** The bytes that are signed. */
  content: Bytes;
  signatures: Uint8Array[] | Extract<DeliveryFailureCode, `${string}_signature`>;
  sentAtMs: number | "missing_timestamp" | "not_signed";
}

/** Signatures of one header: a sender makes one with each secret that it has while they are rotated. */
const MAX_SIGNATURES = 5;

/** From here on a time in digits is in milliseconds: in seconds it would be the year 5138. */
const FIRST_MILLISECONDS = 100_000_000_000;

export function claimOfHmac(
  signature: HmacSignature,
  definition: WebhookDefinition,
  { headers, body }: Delivery,
): Claim {
  const { timestampHeader, algorithm = "sha256", encoding = "hex", prefix = "" } = signature;
  const timestamp = timestampHeader === undefined ? undefined : headers.get(timestampHeader);
  const given = headers.get(signature.header);
  const idHeader = deliveryHeaderOf(definition);
  const id = idHeader === undefined ? "" : (headers.get(idHeader) ?? "");
  const signatures = (given ?? "")
    .split(" ")
    .filter((text) => text.startsWith(prefix))
    .slice(0, MAX_SIGNATURES)
    .map((text) => decode(text.slice(prefix.length), encoding))
    .filter((bytes) => bytes !== undefined);
  return {
    algorithm,
    content: fill(contentOf(signature), { timestamp: timestamp ?? "", id }, body),
    signatures: signatures.length > 0 ? signatures : whyNone(given),
    sentAtMs: timestamp === undefined ? "not_signed" : momentOf(timestamp),
  };
}

/** What is signed where the webhook does not say. */
export function contentOf({ content, timestampHeader }: HmacSignature): string {
  return content ?? (timestampHeader === undefined ? "{body}" : "{timestamp}.{body}");
}

/** `t=1492774577,v1=HEX,v1=HEX,v0=HEX`: only `v1` counts. */
export function claimOfStripe({ headers, body }: Delivery): Claim {
  const given = headers.get(STRIPE_SIGNATURE_HEADER);
  const parts = (given ?? "").split(",").map((part) => part.trim().split("=", 2));
  const timestamp = parts.find(([name]) => name === "t")?.[1] ?? null;
  const signatures = parts
    .filter(([name]) => name === "v1")
    .slice(0, MAX_SIGNATURES)
    .map(([, hex = ""]) => decode(hex, "hex"))
    .filter((bytes) => bytes !== undefined);
  return {
    algorithm: "sha256",
    content: fill("{timestamp}.{body}", { timestamp: timestamp ?? "", id: "" }, body),
    signatures: signatures.length > 0 ? signatures : whyNone(given),
    sentAtMs: momentOf(timestamp),
  };
}

function whyNone(given: string | null): "missing_signature" | "malformed_signature" {
  return given === null ? "missing_signature" : "malformed_signature";
}

function momentOf(timestamp: string | null): number | "missing_timestamp" {
  if (timestamp === null || !/^\d{1,15}$/.test(timestamp)) return "missing_timestamp";
  const time = Number(timestamp);
  return time < FIRST_MILLISECONDS ? time * 1_000 : time;
}

/** The template with its parts in their places; the body as the bytes that it came in. */
function fill(template: string, texts: { timestamp: string; id: string }, body: Uint8Array): Bytes {
  const [before = "", after = ""] = template
    .split("{body}", 2)
    .map((part) =>
      part.replaceAll(/\{(timestamp|id)\}/g, (_, name: "timestamp" | "id") => texts[name]),
    );
  const [head, tail] = [encode(before), encode(after)];
  const content = new Uint8Array(head.length + body.length + tail.length);
  content.set(head);
  content.set(body, head.length);
  content.set(tail, head.length + body.length);
  return content;
}
