/**
 * Deliveries as their senders make them, signed with Node's own cryptography by the recipes in the
 * senders' documents.
 */
import { createHmac, randomUUID } from "node:crypto";

export interface SentDelivery {
  headers: Record<string, string>;
  body: string | Uint8Array<ArrayBuffer>;
}

const JSON_TYPE = { "content-type": "application/json" };
export const FORM_TYPE = { "content-type": "application/x-www-form-urlencoded" };

export function hmac(
  secret: string,
  content: string | Uint8Array,
  algorithm = "sha256",
  encoding: "hex" | "base64" = "hex",
): string {
  return createHmac(algorithm, secret).update(content).digest(encoding);
}

/** A time in seconds, as Stripe and Slack write it. */
export function secondsOf(ms: number): number {
  return Math.floor(ms / 1_000);
}

export function fromGithub(
  secret: string,
  payload: unknown,
  { event = "issues", delivery = randomUUID() as string } = {},
): SentDelivery {
  const body = typeof payload === "string" ? payload : JSON.stringify(payload);
  return {
    headers: {
      ...JSON_TYPE,
      "user-agent": "GitHub-Hookshot/044aadd",
      "x-github-event": event,
      "x-github-delivery": delivery,
      "x-hub-signature-256": `sha256=${hmac(secret, body)}`,
    },
    body,
  };
}

/** Signed with each of the secrets, as Stripe does while one replaces another. */
export function fromStripe(secrets: string[], payload: unknown, sentAtMs: number): SentDelivery {
  const body = JSON.stringify(payload, null, 2);
  const time = secondsOf(sentAtMs);
  const signatures = secrets.map((secret) => `v1=${hmac(secret, `${time}.${body}`)}`);
  const signature = [`t=${time}`, ...signatures, `v0=${"0".repeat(64)}`].join(",");
  return { headers: { ...JSON_TYPE, "stripe-signature": signature }, body };
}

export function fromSlack(
  secret: string,
  payload: string | object,
  sentAtMs: number,
): SentDelivery {
  const isForm = typeof payload === "string";
  const body = isForm ? payload : JSON.stringify(payload);
  const time = secondsOf(sentAtMs);
  return {
    headers: {
      ...(isForm ? FORM_TYPE : JSON_TYPE),
      "x-slack-request-timestamp": String(time),
      "x-slack-signature": `v0=${hmac(secret, `v0:${time}:${body}`)}`,
    },
    body,
  };
}

export function withBasic(credentials: string, payload: unknown): SentDelivery {
  const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
  return { headers: { ...JSON_TYPE, authorization }, body: JSON.stringify(payload) };
}

export function withKey(key: string, payload: unknown, header = "x-api-key"): SentDelivery {
  return { headers: { ...JSON_TYPE, [header]: key }, body: JSON.stringify(payload) };
}
