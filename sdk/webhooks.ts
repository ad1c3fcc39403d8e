/**
 * Webhooks: `client.webhooks`. Where deliveries of other services come in and become events.
 */
import type { Page } from "../protocol/http.ts";
import { MAX_TOLERANCE_MS } from "../protocol/limits.ts";
import type {
  HmacSignature,
  PutWebhook,
  Webhook,
  WebhookFailure,
  WebhookProvider,
} from "../protocol/webhook-bodies.ts";
import { type Duration, durationMs } from "./duration.ts";
import type { Http } from "./http.ts";
import { encodeJson } from "./json.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

/**
 * A webhook as it is stored, whole: what is left out of a later `put` is gone, but `secrets`.
 *
 * @example
 * { provider: "stripe", secrets: [secret], tolerance: "1m", scope: "body.account" }
 */
export interface PutWebhookOptions {
  /** Who sends: a service by its name, or how another one says who it is. */
  provider: WebhookProvider;
  /**
   * Any of them verifies a delivery, at most 3; of `basic` each is `user:password`. Default those that
   * are stored. No call ever shows them.
   */
  secrets?: readonly string[] | undefined;
  /** For people. */
  description?: string | undefined;
  /** CEL over `headers` and `body`: the key of a delivery's event. Default by provider. */
  eventKey?: string | undefined;
  /** CEL over the same: the event's scope. Default none. */
  scope?: string | undefined;
  /** Headers that the event's metadata keeps, at most 10. Default by provider. */
  headers?: readonly string[] | undefined;
  /** How far a signed time may be from Skein's clock. Default five minutes, at most a day. */
  tolerance?: Duration | undefined;
  /** Of `hmac`: how it is signed. */
  signature?: HmacSignature | undefined;
  /** Of `api-key`: the header with the key. Default `x-api-key`. */
  keyHeader?: string | undefined;
  /** Of `hmac`, `basic` and `api-key`: the header by which a repeated delivery is recognised. */
  deliveryHeader?: string | undefined;
}

export class Webhooks {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Stores a webhook, or changes it: in force at the next delivery. `path` of the answer is where its
   * sender sends, relative to Skein's address. Throws `SkeinError` `invalid_request`, also for an
   * expression, with its place, and `too_many_webhooks` (1,000 a tenant).
   *
   * @example
   * const { path } = await skein.webhooks.put("repo", { provider: "github", secrets: [secret] });
   */
  async put(
    name: string,
    options: PutWebhookOptions,
    { signal }: CallOptions = {},
  ): Promise<Webhook> {
    const body = encodeJson(webhookBody(name, options), `The webhook "${name}"`);
    return await this.#http.request("PUT", webhookPath(name), { body, signal });
  }

  /** A webhook, without its secrets. Throws `SkeinError` `webhook_not_found`. */
  async get(name: string, { signal }: CallOptions = {}): Promise<Webhook> {
    return await this.#http.request("GET", webhookPath(name), { signal });
  }

  /** A page of webhooks, by name: 50, or `limit`, at most 200. */
  async list({
    cursor,
    limit,
    signal,
  }: CallOptions & { cursor?: string | undefined; limit?: number | undefined } = {}): Promise<
    Page<Webhook>
  > {
    return await this.#http.request("GET", "/webhooks", { query: { cursor, limit }, signal });
  }

  /**
   * Why deliveries were refused: the last hundred, the newest first. Throws `SkeinError`
   * `webhook_not_found`.
   *
   * @example
   * const [last] = await skein.webhooks.failures("repo"); // { code: "wrong_signature", … }
   */
  async failures(name: string, { signal }: CallOptions = {}): Promise<WebhookFailure[]> {
    const path = `${webhookPath(name)}/failures`;
    const answer = await this.#http.request<{ items: WebhookFailure[] }>("GET", path, { signal });
    return answer.items;
  }

  /**
   * Deletes a webhook, with its secrets: what comes later is refused. Throws `SkeinError`
   * `webhook_not_found`, also when an earlier sending of the same call has deleted it.
   */
  async delete(name: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("DELETE", webhookPath(name), { signal });
  }
}

function webhookBody(name: string, { tolerance, ...options }: PutWebhookOptions): PutWebhook {
  return {
    ...(Object.fromEntries(
      Object.entries(options).filter(([, value]) => value !== undefined),
    ) as unknown as PutWebhook),
    ...(tolerance !== undefined && {
      toleranceMs: durationMs(tolerance, `The tolerance of webhook "${name}"`, {
        maximumMs: MAX_TOLERANCE_MS,
      }),
    }),
  };
}

function webhookPath(name: string): string {
  return `/webhooks/${encodeURIComponent(name)}`;
}
