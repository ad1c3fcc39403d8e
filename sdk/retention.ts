/** How long history is kept: `client.retention`. */
import type { Retention as Period } from "../protocol/history-bodies.ts";
import type { Http } from "./http.ts";

export class Retention {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** For how many days a run may be read after its end; null: for ever. */
  async get({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<number | null> {
    return (await this.#http.request<Period>("GET", "/tenant/retention", { signal })).days;
  }

  /**
   * Keeps history for so many days, from 1 to 3,650, or with null for ever. What is older can't be read from now
   * on; it is dropped a week after the change at the earliest.
   *
   * @example
   * await skein.retention.set(30);
   */
  async set(
    days: number | null,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    await this.#http.request("PUT", "/tenant/retention", {
      body: JSON.stringify({ days }),
      signal,
    });
  }
}
