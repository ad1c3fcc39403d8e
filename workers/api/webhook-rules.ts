/**
 * What the fields of a webhook may say together: rules that no field can be held to alone. Pure.
 */
import type { PutWebhook, WebhookProvider } from "../../protocol/webhook-bodies.ts";
import { secretHeadersOf } from "../webhooks/providers.ts";
import { keyOf } from "../webhooks/signatures.ts";
import { contentOf } from "../webhooks/signed-claims.ts";
import type { Broken } from "./limit-rules.ts";

/** Fields that only some providers have. */
const OWN_FIELDS = {
  signature: ["hmac"],
  keyHeader: ["api-key"],
  deliveryHeader: ["hmac", "basic", "api-key"],
} as const satisfies Partial<Record<keyof PutWebhook, WebhookProvider[]>>;

export function brokenInWebhook(webhook: PutWebhook): Broken[] {
  const { provider, signature, secrets = [] } = webhook;
  const broken: Broken[] = [];
  const add = (path: Broken["path"], message: string) => broken.push({ path, message });
  for (const [field, providers] of Object.entries(OWN_FIELDS)) {
    const isOwn = (providers as readonly string[]).includes(provider);
    if (!isOwn && webhook[field as keyof PutWebhook] !== undefined) {
      add([field], `is of ${providers.join(", ")} only, not of ${provider}`);
    }
  }
  if (provider === "hmac" && signature === undefined) {
    add(["signature"], "is missing: it says how deliveries are signed, such as by its header");
  }
  if (webhook.toleranceMs !== undefined && !hasSignedTime(webhook)) {
    add(["toleranceMs"], "does nothing: no time is signed");
  }
  for (const [index, secret] of secrets.entries()) {
    if (provider === "basic" && !secret.includes(":")) {
      add(["secrets", index], "must be a user and a password, with a colon between them");
    }
    if (keyOf(secret, signature?.secretEncoding ?? "text") === undefined) {
      add(["secrets", index], "must be base64, as secretEncoding says");
    }
  }
  const hidden = secretHeadersOf(webhook);
  for (const [index, header] of (webhook.headers ?? []).entries()) {
    if (hidden.includes(header.toLowerCase())) {
      add(["headers", index], "is for verification only: no event keeps it");
    }
  }
  return [...broken, ...brokenContent(webhook)];
}

function hasSignedTime({ provider, signature }: PutWebhook): boolean {
  return provider === "stripe" || provider === "slack" || signature?.timestampHeader !== undefined;
}

/** What is signed must have all that is verified, and nothing that there is no header for. */
function brokenContent({ signature, deliveryHeader }: PutWebhook): Broken[] {
  if (signature === undefined) return [];
  const content = contentOf(signature);
  const count = (part: string) => content.split(part).length - 1;
  const add = (message: string): Broken[] => [{ path: ["signature", "content"], message }];
  if (count("{body}") !== 1) return add("must have {body} once");
  if (count("{timestamp}") > 0 !== (signature.timestampHeader !== undefined)) {
    return add("must have {timestamp} if there is a timestampHeader, and only then");
  }
  if (count("{id}") > 0 && deliveryHeader === undefined) {
    return add("can have {id} only if there is a deliveryHeader");
  }
  return [];
}
