/** What is the whole tenant's: `client.tenant`. */
import type { TenantShards as Shards } from "../protocol/shard-bodies.ts";
import type { Http } from "./http.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** How many shards there are: `client.tenant.shards`. */
export class TenantShards {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Those that take new runs, and those that only finish what they have. */
  async get({ signal }: CallOptions = {}): Promise<Shards> {
    return await this.#http.request<Shards>("GET", "/tenant/shards", { signal });
  }

  /**
   * Spreads runs over so many shards, from 1 to 64. Runs that have been started stay where they are; a shard beyond
   * the number closes when it has finished its own. Workers follow by themselves.
   *
   * @example
   * await skein.tenant.shards.set(4);
   */
  async set(count: number, { signal }: CallOptions = {}): Promise<Shards> {
    const body = JSON.stringify({ count });
    return await this.#http.request<Shards>("PUT", "/tenant/shards", { body, signal });
  }
}

export class Tenant {
  readonly shards: TenantShards;

  constructor(http: Http) {
    this.shards = new TenantShards(http);
  }
}
