/**
 * A shard's way to Postgres: held connections, one for each commit in flight, opened when needed
 * and closed when idle. When none can be opened, a statement goes over HTTP.
 */
import {
  type Database,
  type DatabaseConfig,
  HeldConnection,
  type Query,
  queryOverHttp,
} from "./connect.ts";
import { COMMIT_STATEMENT, readCommitReply } from "./functions.ts";
import type { CommitReply } from "./rows.ts";
import { databaseOf } from "./tenant-database.ts";

export interface CommitAnswer {
  reply: CommitReply;
  /** Characters of the reply's JSON, as a measure of what it brings into memory. */
  length: number;
}

export class ShardDatabase {
  #database: Database;
  #idle: HeldConnection[] = [];
  #busy = new Set<HeldConnection>();
  /** Statements on their way, or waiting for a connection to open. */
  #underWay = 0;
  #usedAt = 0;
  #givenUp = giveUpSignal();

  constructor(given: DatabaseConfig, tenant: string) {
    this.#database = databaseOf(given, tenant);
  }

  /** Of the database, in the map. */
  get number(): number {
    return this.#database.number;
  }

  /** When a statement last began or ended; undefined when none is on its way and no connection open. */
  get connectionUsedAt(): number | undefined {
    return this.#idle.length + this.#underWay > 0 ? this.#usedAt : undefined;
  }

  async commit(request: string): Promise<CommitAnswer> {
    const [row] = await this.#send("commit", COMMIT_STATEMENT, [request]);
    const text = String(row?.["reply"]);
    return { reply: readCommitReply(text), length: text.length };
  }

  query: Query = (text, parameters) => this.#send(text, text, parameters);

  /** Gives up every connection; statements on their way fail, their outcome unknown. */
  closeAll(): void {
    this.#givenUp.reject(new Error("The connection was given up before Postgres answered"));
    this.#givenUp = giveUpSignal();
    for (const connection of [...this.#idle, ...this.#busy]) connection.close();
    this.#idle = [];
    this.#busy.clear();
  }

  async #send(
    name: string,
    text: string,
    parameters: unknown[],
  ): Promise<Record<string, unknown>[]> {
    this.#underWay++;
    this.#usedAt = Date.now();
    try {
      return await Promise.race([this.#run(name, text, parameters), this.#givenUp.promise]);
    } finally {
      this.#underWay--;
      this.#usedAt = Date.now();
    }
  }

  async #run(
    name: string,
    text: string,
    parameters: unknown[],
  ): Promise<Record<string, unknown>[]> {
    const givenUp = this.#givenUp;
    const connection = await this.#acquire();
    if (givenUp !== this.#givenUp) {
      // It took so long to open that nobody waits for it, nor would close it.
      connection?.close();
      return await givenUp.promise;
    }
    if (connection === undefined) return queryOverHttp(this.#database)(text, parameters);
    this.#busy.add(connection);
    try {
      return await connection.query(name, text, parameters);
    } finally {
      this.#busy.delete(connection);
      if (connection.isOpen) this.#idle.push(connection);
    }
  }

  /** Undefined when no connection can be opened. */
  async #acquire(): Promise<HeldConnection | undefined> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    try {
      return await HeldConnection.open(this.#database, () => {
        this.#idle = this.#idle.filter(({ isOpen }) => isOpen);
      });
    } catch {
      return undefined; // HTTP will say what is wrong, or work
    }
  }
}

/** A promise that only ever fails, for statements to be raced with. */
function giveUpSignal(): PromiseWithResolvers<never> {
  const signal = Promise.withResolvers<never>();
  signal.promise.catch(() => {}); // nobody may be waiting
  return signal;
}
