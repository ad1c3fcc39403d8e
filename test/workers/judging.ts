/** Deliveries held against a webhook of one secret, at one time. */
import { expect } from "vitest";
import type { DeliveryFailureCode } from "../../protocol/errors.ts";
import type { WebhookDefinition } from "../../protocol/webhook-bodies.ts";
import { encode } from "../../workers/webhooks/signatures.ts";
import { type Verdict, verify } from "../../workers/webhooks/verify.ts";
import type { SentDelivery } from "../support/signed-deliveries.ts";

export const NOW = 1_800_000_000_000;
export const SECRET = "whsec_one";
export const PAYLOAD = { action: "opened", text: "Grüße, 🦆" };

export function judge(
  definition: WebhookDefinition,
  { headers, body }: SentDelivery,
  secrets = [SECRET],
): Promise<Verdict> {
  const bytes = typeof body === "string" ? encode(body) : body;
  return verify({ definition, secrets }, { headers: new Headers(headers), body: bytes }, NOW);
}

export const VERIFIED = { isVerified: true, fingerprint: expect.any(String) };

export function refused(code: DeliveryFailureCode): Verdict {
  return { isVerified: false, code };
}

/** The delivery without a header, or with another. */
export function having(
  sent: SentDelivery,
  name: string,
  change: (value: string) => string | undefined,
): SentDelivery {
  const { [name]: value = "", ...headers } = sent.headers;
  const changed = change(value);
  return { ...sent, headers: { ...headers, ...(changed !== undefined && { [name]: changed }) } };
}
