/**
 * Where the chaos is played: a real Postgres with its default durability, and the whole of Skein in
 * front of it, each part a process that can be killed, stopped and started again.
 */
import { CRON_MS } from "../../local/command.ts";
import { type Postgres, startPostgres } from "../../local/postgres.ts";
import type { Stack } from "../../local/stack.ts";
import type { ShardLoad } from "../../protocol/http.ts";
import type { Client } from "../../sdk/index.ts";
import { type OpenStack, openStack } from "../support/open-stack.ts";
import { History } from "./history.ts";

export interface ChaosWorldOptions {
  /** What is being done, for people who wait. */
  tell?: (line: string) => void;
  /** Each line that Skein logs. */
  log?: (line: string) => void;
  signal?: AbortSignal;
}

export class ChaosWorld {
  readonly postgres: Postgres;
  readonly #open: OpenStack;
  readonly #cron: NodeJS.Timeout;

  private constructor(postgres: Postgres, open: OpenStack) {
    this.postgres = postgres;
    this.#open = open;
    // As in production; a workerd that is dead just now misses one.
    const tick = (): void => void open.stack.workerd.runScheduled().catch(() => undefined);
    this.#cron = setInterval(tick, CRON_MS);
  }

  static async start({ tell, log, signal }: ChaosWorldOptions = {}): Promise<ChaosWorld> {
    tell?.("Starting Postgres");
    const postgres = await startPostgres();
    try {
      const open = await openStack({
        databaseUrl: postgres.url,
        variables: { LOG_LEVEL: log ? "info" : "error" },
        ...(log && { log }),
        ...(tell && { tell }),
        signal,
      });
      return new ChaosWorld(postgres, open);
    } catch (error) {
      await postgres.stop();
      throw error;
    }
  }

  get stack(): Stack {
    return this.#open.stack;
  }
  get client(): Client {
    return this.#open.client;
  }
  /** The tenant's id. */
  get tenant(): string {
    return this.#open.tenant;
  }
  /** What a worker needs to know. */
  get address(): { url: string; token: string } {
    return { url: this.stack.url, token: this.#open.token };
  }

  /** Drops the tenant's shard from memory as soon as it is quiet; its sockets stay. */
  async hibernateShard(): Promise<void> {
    const name = `${this.#open.tenant}/0`;
    await this.stack.workerd.evictShard({ name, webSockets: "hibernate" });
  }

  /** What the shard has in memory. */
  async readShard(): Promise<ShardLoad> {
    const { url, token } = this.address;
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${url}/api/v1/shards/0`, { headers });
    return (await answer.json()) as ShardLoad;
  }

  async read<Answer>(ask: (history: History) => Promise<Answer>): Promise<Answer> {
    return await History.read(this.postgres.url, this.#open.tenant, ask);
  }

  async stop(): Promise<void> {
    clearInterval(this.#cron);
    await this.#open.close();
    await this.postgres.stop();
  }
}
