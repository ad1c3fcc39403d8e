/**
 * Ways to Postgres, all through Neon's protocol. A request of the edge Worker uses one HTTP call a
 * statement; a shard at work holds a WebSocket connection, which saves a third of the latency.
 */
import { Client, neon, neonConfig } from "@neondatabase/serverless";

export interface DatabaseConfig {
  /** postgres://user:password@host/database; on Neon the pooled address. */
  DATABASE_URL: string;
  /** host:port of a Neon proxy other than Neon's own, spoken to without TLS. */
  NEON_ENDPOINT?: string | undefined;
  LOG_LEVEL?: string | undefined;
}

declare const isOfTheMap: unique symbol;

/** One of the databases there are. Only `tenant-database.ts` makes one, which knows whose data is in it. */
export interface Database extends DatabaseConfig {
  /** In the map. */
  readonly number: number;
  readonly [isOfTheMap]: true;
}

/** Runs one statement; rows are objects. Throws what `errors.ts` classifies. */
export type Query = (text: string, parameters: unknown[]) => Promise<Record<string, unknown>[]>;

/** Points the driver at the configured proxy; with none it finds Neon by the host's name. */
export function configureDriver({ NEON_ENDPOINT: endpoint }: DatabaseConfig): void {
  if (endpoint === undefined) return;
  neonConfig.fetchEndpoint = () => `http://${endpoint}/sql`;
  neonConfig.wsProxy = () => `${endpoint}/v2`;
  neonConfig.useSecureWebSocket = false;
  neonConfig.pipelineConnect = false;
}

/** With `timeoutMs`, a statement that takes longer fails; whether it took effect nobody knows. */
export function queryOverHttp(database: Database, timeoutMs?: number): Query {
  configureDriver(database);
  const sql = neon(database.DATABASE_URL);
  if (timeoutMs === undefined) return (text, parameters) => sql.query(text, parameters);
  return (text, parameters) => {
    const fetchOptions = { signal: AbortSignal.timeout(timeoutMs) };
    return sql.query(text, parameters, { fetchOptions });
  };
}

/**
 * A connection that stays open between statements. It keeps a Durable Object awake, so its owner
 * closes it soon after the last use. Losing it is an ordinary event: `onLost` tells, once.
 */
export class HeldConnection {
  #client: Client;
  #isOpen = true;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async open(database: Database, onLost: () => void): Promise<HeldConnection> {
    configureDriver(database);
    const client = new Client(database.DATABASE_URL);
    const held = new HeldConnection(client);
    const lost = (): void => {
      if (!held.#isOpen) return;
      held.#isOpen = false;
      onLost();
    };
    client.on("error", lost);
    client.on("end", lost);
    await client.connect();
    return held;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Runs a statement that is prepared once a connection under `name`. */
  async query(
    name: string,
    text: string,
    parameters: unknown[],
  ): Promise<Record<string, unknown>[]> {
    const result = await this.#client.query({ name, text, values: parameters });
    return result.rows as Record<string, unknown>[];
  }

  /** Closes it; statements still running fail. */
  close(): void {
    this.#isOpen = false;
    // What is said to a connection that is being given up has no bearing on anything.
    this.#client.end().catch(() => {});
  }
}
