/**
 * What is known of each provider: how it signs, and what is made of its deliveries where their webhook
 * does not say. Pure.
 */
import type {
  HmacSignature,
  StoredWebhook,
  WebhookDefinition,
  WebhookProvider,
} from "../../protocol/webhook-bodies.ts";

/** The header of an API key, where its webhook names none. */
export const DEFAULT_KEY_HEADER = "x-api-key";

/** Headers that say who sends: no event keeps them and no expression sees them. */
const CREDENTIAL_HEADERS = ["authorization", "proxy-authorization", "cookie"];

export const STRIPE_SIGNATURE_HEADER = "stripe-signature";

/** How those sign that sign as `hmac` does, in their own documents' words. */
const KNOWN_SIGNATURES: Partial<Record<WebhookProvider, HmacSignature>> = {
  github: { header: "x-hub-signature-256", prefix: "sha256=" },
  slack: {
    header: "x-slack-signature",
    prefix: "v0=",
    timestampHeader: "x-slack-request-timestamp",
    content: "v0:{timestamp}:{body}",
  },
};

const DELIVERY_HEADERS: Partial<Record<WebhookProvider, string>> = { github: "x-github-delivery" };

const EVENT_KEYS: Partial<Record<WebhookProvider, string>> = {
  github: '"github:" + headers["x-github-event"] + (has(body.action) ? ":" + body.action : "")',
  stripe: '"stripe:" + body.type',
  // An event, a slash command such as /deploy, or something that was clicked.
  slack:
    '"slack:" + (has(body.event) ? body.event.type : has(body.command) ? body.command : body.type)',
};

const KEPT_HEADERS: Partial<Record<WebhookProvider, string[]>> = { github: ["x-github-event"] };

export function withDefaults(name: string, definition: WebhookDefinition): StoredWebhook {
  const { provider, eventKey, headers } = definition;
  return {
    ...definition,
    eventKey: eventKey ?? EVENT_KEYS[provider] ?? JSON.stringify(`webhook:${name}`),
    headers: headers?.map((header) => header.toLowerCase()) ?? KEPT_HEADERS[provider] ?? [],
  };
}

/** How deliveries are signed; undefined of Stripe's own way, and of those that send credentials. */
export function signatureOf({ provider, signature }: WebhookDefinition): HmacSignature | undefined {
  return KNOWN_SIGNATURES[provider] ?? signature;
}

/** The header with a delivery's own id. */
export function deliveryHeaderOf({
  provider,
  deliveryHeader,
}: WebhookDefinition): string | undefined {
  return DELIVERY_HEADERS[provider] ?? deliveryHeader;
}

export function keyHeaderOf({ keyHeader }: WebhookDefinition): string {
  return keyHeader ?? DEFAULT_KEY_HEADER;
}

/** Headers that are for verification only, in small letters. */
export function secretHeadersOf(definition: WebhookDefinition): string[] {
  const { provider } = definition;
  const own = {
    stripe: STRIPE_SIGNATURE_HEADER,
    "api-key": keyHeaderOf(definition),
  }[provider as string];
  const signature = signatureOf(definition)?.header;
  const named = [own, signature].filter((header) => header !== undefined);
  return [...CREDENTIAL_HEADERS, ...named.map((header) => header.toLowerCase())];
}
