/**
 * Everything the demonstration plays on: a Skein of its own, the book and the workers. What is started here is also stopped here, in the reverse order, whatever happened.
 */
import { Client } from "@skein/sdk";
import { startLocalSkein } from "../stage/local-skein.ts";
import { Program } from "../stage/program.ts";
import { type Book, startBook } from "./book.ts";

export class Stage {
  readonly url: string;
  readonly token: string;
  readonly skein: Client;
  readonly book: Book;
  readonly #workers: Program[] = [];
  readonly #stops: (() => Promise<void> | void)[];
  #fail: (error: unknown) => void = () => {};
  /** Rejects when a worker ends though nobody ended it. */
  readonly broken = new Promise<never>((_, reject) => {
    this.#fail = reject;
  });

  private constructor(
    { url, token, book }: { url: string; token: string; book: Book },
    stops: (() => Promise<void> | void)[],
  ) {
    this.url = url;
    this.token = token;
    this.book = book;
    this.skein = new Client({ url, token });
    this.#stops = stops;
    this.broken.catch(() => undefined); // Told to whoever races it; nobody may be racing yet.
  }

  /** Starts the stack and the book; `tell` hears what is being done. */
  static async set(signal: AbortSignal, tell: (line: string) => void): Promise<Stage> {
    const stops: (() => Promise<void> | void)[] = [];
    try {
      const { url, token, stop } = await startLocalSkein(signal, tell);
      stops.push(stop);
      const book = await startBook();
      stops.push(() => book.stop());
      return new Stage({ url, token, book }, stops);
    } catch (error) {
      await stopAll(stops);
      throw error;
    }
  }

  /** Starts a worker process. It is named by its number, from 1. */
  addWorker(): Program {
    const { url, token, book } = this;
    const name = `worker-${this.#workers.length + 1}`;
    const started = new Program(name, new URL("worker.ts", import.meta.url), {
      SKEIN_URL: url,
      SKEIN_TOKEN: token,
      BOOK_URL: book.url,
      WORKER_NAME: name,
    });
    started.failed.catch((error: unknown) => this.#fail(error));
    this.#workers.push(started);
    return started;
  }

  /** Stops everything that was started. */
  async clear(): Promise<void> {
    await Promise.all(this.#workers.map((started) => started.stop()));
    await stopAll(this.#stops);
  }
}

async function stopAll(stops: (() => Promise<void> | void)[]): Promise<void> {
  for (let next = stops.pop(); next !== undefined; next = stops.pop()) await next();
}
