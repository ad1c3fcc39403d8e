/** Messages inside Skein: how many wait, and what is done about those that died: `client.messages`. */
import type { Page } from "../protocol/http.ts";
import type {
  ChangedMessages,
  DeadMessage,
  DeadMessageWithBody,
  QueueState,
} from "../protocol/message-bodies.ts";
import { bulkCalls } from "./bulk.ts";
import type { Http } from "./http.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

export interface ListDeadMessages extends CallOptions {
  /** Only of this kind, such as `event`. */
  kind?: string | undefined;
  /** Messages on a page: 50 by default, at most 200. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

export class Messages {
  /** Messages that were refused for good. */
  readonly dead: DeadMessages;
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
    this.dead = new DeadMessages(http);
  }

  /**
   * Every queue with its depth, the age of its oldest message, and how often one has been read.
   *
   * @example
   * const events = (await skein.messages.queues()).find(({ name }) => name === "events");
   */
  async queues({ signal }: CallOptions = {}): Promise<QueueState[]> {
    return (await this.#http.request<{ items: QueueState[] }>("GET", "/queues", { signal })).items;
  }
}

export class DeadMessages {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** A page of them, in the order in which they were sent, without bodies. */
  async list({ signal, ...query }: ListDeadMessages = {}): Promise<Page<DeadMessage>> {
    return await this.#http.request("GET", "/messages/dead", { query: { ...query }, signal });
  }

  /** One with its body. Throws `SkeinError` `message_not_found`. */
  async get(id: string, { signal }: CallOptions = {}): Promise<DeadMessageWithBody> {
    return await this.#http.request("GET", deadPath(id), { signal });
  }

  /**
   * Sends one again, once what it was refused for is mended. Throws `SkeinError` `message_not_found`, also
   * when an earlier sending of the same call has sent it.
   */
  async resend(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("POST", `${deadPath(id)}/resend`, { signal });
  }

  /** Sends any number again, 1,000 a call; the ids of those that were dead. */
  async resendMany(ids: readonly string[], options: CallOptions = {}): Promise<string[]> {
    return await this.#change("/messages/dead/resend", ids, options);
  }

  /** Deletes one: what it was to do will not happen. Throws `SkeinError` `message_not_found`. */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("DELETE", deadPath(id), { signal });
  }

  /** Deletes any number, 1,000 a call; the ids of those that were dead. */
  async deleteMany(ids: readonly string[], options: CallOptions = {}): Promise<string[]> {
    return await this.#change("/messages/dead/delete", ids, options);
  }

  async #change(path: string, ids: readonly string[], { signal }: CallOptions): Promise<string[]> {
    const changed: string[] = [];
    const texts = ids.map((id) => JSON.stringify(id));
    for (const body of bulkCalls("ids", texts)) {
      const answer = await this.#http.request<ChangedMessages>("POST", path, { body, signal });
      changed.push(...answer.ids);
    }
    return changed;
  }
}

function deadPath(id: string): string {
  return `/messages/dead/${encodeURIComponent(id)}`;
}
