/**
 * Whether a delivery comes from who it says, over the bytes as they came. A delivery of no webhook, and
 * one whose signature is missing, cost as much as any other that is refused.
 */
import type { DeliveryFailureCode } from "../../protocol/errors.ts";
import { DEFAULT_TOLERANCE_MS } from "../../protocol/limits.ts";
import type { WebhookDefinition } from "../../protocol/webhook-bodies.ts";
import { keyHeaderOf, signatureOf } from "./providers.ts";
import {
  type Bytes,
  decodeBase64,
  digests,
  encode,
  encodeBase64Url,
  isAnyOf,
  keyOf,
  sign,
} from "./signatures.ts";
import { type Claim, claimOfHmac, claimOfStripe, type Delivery } from "./signed-claims.ts";

/** A webhook as it verifies. */
export interface Verifier {
  definition: WebhookDefinition;
  secrets: readonly string[];
}

export type Verdict =
  /** `fingerprint`: of all that was signed; undefined where only the sender was verified. */
  | { isVerified: true; fingerprint: string | undefined }
  | { isVerified: false; code: DeliveryFailureCode };

/** `verifier` is undefined when there is no such webhook. */
export async function verify(
  verifier: Verifier | undefined,
  delivery: Delivery,
  nowMs: number,
): Promise<Verdict> {
  const { definition, secrets } = verifier ?? NOBODY;
  if (definition.provider === "stripe") {
    return await verifySignature(definition, secrets, claimOfStripe(delivery), nowMs);
  }
  const signature = signatureOf(definition);
  if (signature !== undefined) {
    const claim = claimOfHmac(signature, definition, delivery);
    return await verifySignature(definition, secrets, claim, nowMs);
  }
  return await verifyCredentials(definition, secrets, delivery);
}

/** What nobody can sign for, or give the credentials of. */
const NOBODY: Verifier = { definition: { provider: "github" }, secrets: [] };

async function verifySignature(
  { toleranceMs = DEFAULT_TOLERANCE_MS, signature }: WebhookDefinition,
  secrets: readonly string[],
  { algorithm, content, signatures, sentAtMs }: Claim,
  nowMs: number,
): Promise<Verdict> {
  const keys = secrets
    .map((secret) => keyOf(secret, signature?.secretEncoding ?? "text"))
    .filter((key) => key !== undefined);
  const made = await sign(algorithm, keys, content);
  const [fingerprint = new Uint8Array()] = await digests([content]);
  const isRight = isAnyOf(made, Array.isArray(signatures) ? signatures : []);
  if (!Array.isArray(signatures)) return refused(signatures);
  if (sentAtMs === "missing_timestamp") return refused(sentAtMs);
  if (!isRight) return refused("wrong_signature");
  if (sentAtMs !== "not_signed" && Math.abs(nowMs - sentAtMs) > toleranceMs) {
    return refused("timestamp_out_of_tolerance");
  }
  return { isVerified: true, fingerprint: encodeBase64Url(fingerprint) };
}

async function verifyCredentials(
  definition: WebhookDefinition,
  secrets: readonly string[],
  { headers, body }: Delivery,
): Promise<Verdict> {
  await Promise.all([sign("sha256", [], body), digests([body])]); // for the time it takes
  const given =
    definition.provider === "basic" ? givenBasic(headers) : givenKey(definition, headers);
  const [digest, ...known] = await digests([given ?? new Uint8Array(), ...secrets.map(encode)]);
  const isRight = digest !== undefined && isAnyOf(known, [digest]);
  if (given === undefined) return refused("missing_credentials");
  return isRight ? { isVerified: true, fingerprint: undefined } : refused("wrong_credentials");
}

function givenBasic(headers: Headers): Bytes | undefined {
  const [, encoded] = /^basic +(\S+)$/i.exec(headers.get("authorization") ?? "") ?? [];
  return encoded === undefined ? undefined : decodeBase64(encoded);
}

function givenKey(definition: WebhookDefinition, headers: Headers): Bytes | undefined {
  const key = headers.get(keyHeaderOf(definition));
  return key === null ? undefined : encode(key);
}

function refused(code: DeliveryFailureCode): Verdict {
  return { isVerified: false, code };
}
