/**
 * `@neondatabase/serverless` for the simulation: the same two ways to Postgres, a connection and
 * HTTP, to the simulated database. The types, parsers and errors are the real ones.
 */
import { thisProcess } from "../simulated-process.ts";
import type { Rows, Session, Statement } from "../simulated-database.ts";

export { DatabaseError, NeonDbError, types } from "@neondatabase/serverless";

/** Settings of the real driver that the product makes; there is nothing to set here. */
export const neonConfig: Record<string, unknown> = {};

type Listener = (error?: Error) => void;

export class Client {
  readonly #process = thisProcess();
  readonly #listeners = new Map<string, Listener[]>();
  #session: Session | undefined;

  on(event: "error" | "end", listener: Listener): this {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return this;
  }

  async connect(): Promise<void> {
    const { database } = this.#process.surroundings;
    this.#session = await database.open(this.#process, (error) => {
      this.#emit("error", error);
      this.#emit("end");
    });
  }

  async query(statement: { name?: string; text: string; values?: unknown[] }): Promise<Rows> {
    if (this.#session === undefined) throw new Error("Client is not connected");
    const { name, text, values = [] } = statement;
    return await this.#session.send({ name: name ?? text, text, values, rowMode: "object" });
  }

  end(): Promise<void> {
    this.#session?.close();
    return Promise.resolve();
  }

  #emit(event: string, error?: Error): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(error);
  }
}

interface HttpOptions {
  arrayMode?: boolean;
  fullResults?: boolean;
}

/** A statement that is sent when somebody waits for it, or with others in one transaction. */
class HttpStatement implements PromiseLike<unknown> {
  readonly statement: Statement;
  readonly #isFull: boolean;

  constructor(text: string, values: unknown[], { arrayMode, fullResults }: HttpOptions) {
    this.statement = { name: text, text, values, rowMode: arrayMode ? "array" : "object" };
    this.#isFull = fullResults ?? false;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- the real driver's statements are thenable
  then<One = unknown, Other = never>(
    resolve?: ((value: unknown) => One | PromiseLike<One>) | null,
    reject?: ((reason: unknown) => Other | PromiseLike<Other>) | null,
  ): Promise<One | Other> {
    return this.#send().then(resolve, reject);
  }

  async #send(): Promise<unknown> {
    const process = thisProcess();
    const [rows] = await process.surroundings.database.sendOverHttp(process, [this.statement]);
    return this.#isFull ? rows : rows?.rows;
  }
}

interface Sql {
  query: (text: string, values?: unknown[], options?: HttpOptions) => HttpStatement;
  transaction: (statements: HttpStatement[], options?: HttpOptions) => Promise<Rows[]>;
}

export function neon(_url: string): Sql {
  return {
    query: (text, values = [], options = {}) => new HttpStatement(text, values, options),
    transaction: async (statements) => {
      const process = thisProcess();
      const sent = statements.map(({ statement }) => statement);
      return await process.surroundings.database.sendOverHttp(process, sent);
    },
  };
}
