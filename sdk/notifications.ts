/**
 * Notifications: `client.notifications`. An endpoint of yours is told when runs end.
 */
import type { Page } from "../protocol/http.ts";
import type {
  EndState,
  Notification,
  PutNotification,
  StoredNotification,
} from "../protocol/notification-bodies.ts";
import type { Http } from "./http.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

export interface PutNotificationOptions {
  /** Where it is sent to, by POST: `https:`, or `http:` of this very machine. */
  url: string;
  /** Of runs that end so. Default `["failed"]`. */
  on?: readonly EndState[] | undefined;
  /** Of runs of these workflows, at most 100. Default of all, but for children, whose parents are told. */
  workflows?: readonly string[] | undefined;
  /**
   * What signs it: `whsec_` and the base64 of 24 to 64 bytes; two while one takes the place of another. Default
   * those that are stored; of a new notification one that is made for it.
   */
  secrets?: readonly string[] | undefined;
}

export class Notifications {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Stores a notification, or changes it. A new one's `secret` is in this answer and never again: with it
   * the endpoint verifies what it gets, by any library for Standard Webhooks. Throws `SkeinError`
   * `invalid_request` or `too_many_notifications` (100 a tenant).
   *
   * @example
   * const { secret } = await skein.notifications.put("alerts", {
   *   url: "https://hooks.example.com/skein",
   *   on: ["failed", "cancelled"],
   * });
   */
  async put(
    name: string,
    { url, on, workflows, secrets }: PutNotificationOptions,
    { signal }: CallOptions = {},
  ): Promise<StoredNotification> {
    const body: PutNotification = {
      url,
      ...(on !== undefined && { on: [...on] }),
      ...(workflows !== undefined && { workflows: [...workflows] }),
      ...(secrets !== undefined && { secrets: [...secrets] }),
    };
    return await this.#http.request("PUT", pathOf(name), { body: JSON.stringify(body), signal });
  }

  /** Throws `SkeinError` `notification_not_found`. Its secrets are never shown. */
  async get(name: string, { signal }: CallOptions = {}): Promise<Notification> {
    return await this.#http.request("GET", pathOf(name), { signal });
  }

  /** A page of notifications, by name: 50, or `limit`, at most 200. */
  async list({
    cursor,
    limit,
    signal,
  }: CallOptions & { cursor?: string | undefined; limit?: number | undefined } = {}): Promise<
    Page<Notification>
  > {
    return await this.#http.request("GET", "/notifications", { query: { cursor, limit }, signal });
  }

  /**
   * Deletes a notification; what has not been delivered to it fails. Throws `SkeinError`
   * `notification_not_found`, also when an earlier sending of the same call has deleted it.
   */
  async delete(name: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("DELETE", pathOf(name), { signal });
  }
}

function pathOf(name: string): string {
  return `/notifications/${encodeURIComponent(name)}`;
}
