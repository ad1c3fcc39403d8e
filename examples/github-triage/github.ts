/**
 * GitHub's part: sends deliveries to the webhook, signed over their bytes as GitHub signs them. A
 * delivery that gets no answer is sent again, and is still the same delivery.
 */
import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { PublishedEvent, PutWebhookOptions } from "@skein/sdk";
import type { RealDelivery } from "./deliveries.ts";

/** The webhook that takes them, but for its secret. Of all actions one key: the workflows listen to kinds. */
export const GITHUB_WEBHOOK = {
  provider: "github",
  eventKey: '"github:" + headers["x-github-event"]',
} as const satisfies PutWebhookOptions;

/** Milliseconds before each further sending of a delivery that got no answer. */
const WAITS_MS = [50, 200, 1_000, 2_000];

export interface SignedDelivery {
  headers: Record<string, string>;
  body: string;
}

export class GitHub {
  /** The payload URL. */
  readonly #url: string;
  readonly #secret: string;

  constructor(url: string, secret: string) {
    this.#url = url;
    this.#secret = secret;
  }

  /** Sends a delivery of some round; the event that it has become. */
  async deliver(delivery: RealDelivery, round: number): Promise<PublishedEvent> {
    const response = await this.#send(signDelivery(delivery, round, this.#secret));
    if (response.ok) return (await response.json()) as PublishedEvent;
    throw new Error(
      `The webhook answered ${delivery.name} with ${response.status}: ${await response.text()}`,
    );
  }

  /** Sends a delivery that somebody else has signed; the status of the answer. */
  async forge(delivery: RealDelivery): Promise<number> {
    const response = await this.#send(signDelivery(delivery, 0, `not ${this.#secret}`));
    await response.body?.cancel();
    return response.status;
  }

  async #send({ headers, body }: SignedDelivery): Promise<Response> {
    for (const waitMs of WAITS_MS) {
      try {
        const response = await fetch(this.#url, { method: "POST", headers, body });
        if (response.status < 500) return response;
        await response.body?.cancel();
      } catch {
        // An idle connection that was dropped, most often.
      }
      await sleep(waitMs);
    }
    return await fetch(this.#url, { method: "POST", headers, body });
  }
}

/** As GitHub writes it; only that its ids are GUIDs, where these can be read. */
export function signDelivery(
  { kind, name, payload }: RealDelivery,
  round: number,
  secret: string,
): SignedDelivery {
  const body = JSON.stringify(payload);
  const signature = createHmac("sha256", secret).update(body).digest("hex");
  return {
    headers: {
      "content-type": "application/json",
      "x-github-event": kind,
      "x-github-delivery": `${name} of round ${round}`,
      "x-hub-signature-256": `sha256=${signature}`,
    },
    body,
  };
}
