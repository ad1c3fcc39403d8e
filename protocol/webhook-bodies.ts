/**
 * Bodies of the HTTP API about webhooks: where deliveries of other services come in. As in `http.ts`,
 * times are ISO 8601 in UTC.
 */
import type { DeliveryFailureCode } from "./errors.ts";

/** Who sends: three services by name, and three ways for all others to say who they are. */
export const WEBHOOK_PROVIDERS = ["github", "stripe", "slack", "hmac", "basic", "api-key"] as const;
export type WebhookProvider = (typeof WEBHOOK_PROVIDERS)[number];

export const HMAC_ALGORITHMS = ["sha256", "sha512", "sha1"] as const;
export type HmacAlgorithm = (typeof HMAC_ALGORITHMS)[number];

export const HMAC_ENCODINGS = ["hex", "base64"] as const;
export type HmacEncoding = (typeof HMAC_ENCODINGS)[number];

/** How a secret is written: its letters are the key, or they are base64, perhaps behind `whsec_`. */
export const SECRET_ENCODINGS = ["text", "base64"] as const;
export type SecretEncoding = (typeof SECRET_ENCODINGS)[number];

/** How a sender of the provider `hmac` signs. */
export interface HmacSignature {
  /** The header with the signature, or several of them with spaces between. */
  header: string;
  /** Default `sha256`. */
  algorithm?: HmacAlgorithm;
  /** Default `hex`. */
  encoding?: HmacEncoding;
  /** Default `text`. */
  secretEncoding?: SecretEncoding;
  /** What the header has before each signature, such as `sha256=`. Default nothing. */
  prefix?: string;
  /** The header with the time of sending, in seconds or milliseconds since 1970. Default none. */
  timestampHeader?: string;
  /**
   * What is signed: a text with `{body}` and, where there are headers for them, `{timestamp}` and `{id}`.
   * Default `{timestamp}.{body}` with a `timestampHeader`, else `{body}`.
   */
  content?: string;
}

/** A webhook without its secrets. */
export interface WebhookDefinition {
  provider: WebhookProvider;
  /** For people. */
  description?: string;
  /**
   * CEL over `headers` (by their names in small letters) and `body`: the key of a delivery's event.
   * Default by provider.
   */
  eventKey?: string;
  /** CEL over the same: the event's scope. Default none, as when it answers the empty text. */
  scope?: string;
  /** Headers that are kept in the event's metadata, at most 10. Default by provider. */
  headers?: string[];
  /** Milliseconds that a signed time may differ from Skein's clock. Default five minutes. */
  toleranceMs?: number;
  /** Of `hmac`: how it is signed. */
  signature?: HmacSignature;
  /** Of `api-key`: the header with the key. Default `x-api-key`. */
  keyHeader?: string;
  /** Of `hmac`, `basic` and `api-key`: the header by which a repeated delivery is recognised. */
  deliveryHeader?: string;
}

/** With the defaults of its provider. */
export type StoredWebhook = WebhookDefinition & { eventKey: string; headers: string[] };

export interface PutWebhook extends WebhookDefinition {
  /**
   * Any of them verifies a delivery, at most 3: give the new one beside the old one while you rotate. Of
   * `basic` each is `user:password`. Left out: those that are stored. Never shown again.
   */
  secrets?: string[];
}

/** As it is stored, and how many secrets it has. */
export interface Webhook extends StoredWebhook {
  name: string;
  secretCount: number;
  /** Where its deliveries are sent, relative to the API's address. */
  path: string;
  createdAt: string;
  updatedAt: string;
}

/** A delivery that was refused. */
export interface WebhookFailure {
  code: DeliveryFailureCode;
  /** Of an expression or an event: what is wrong with it. Never quotes the delivery. Else null. */
  detail: string | null;
  at: string;
}
