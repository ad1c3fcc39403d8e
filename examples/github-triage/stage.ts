/**
 * Everything the demonstration plays on: the local stack in a fresh directory, a token, the book and
 * the workers. What is started here is also stopped here, in the reverse order, whatever happened.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@skein/sdk";
import { localToken } from "../../local/local-tenant.ts";
import { startStack } from "../../local/stack.ts";
import { type Book, startBook } from "./book.ts";
import { WorkerProcess } from "./worker-process.ts";

export class Stage {
  readonly url: string;
  readonly token: string;
  readonly skein: Client;
  readonly book: Book;
  readonly #workers: WorkerProcess[] = [];
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
      const directory = mkdtempSync(join(tmpdir(), "skein-demo-"));
      stops.push(() => rmSync(directory, { recursive: true, force: true }));
      const stack = await startStack({ directory, log: "none", signal, tell });
      stops.push(() => stack.stop());
      const token = await localToken(stack, directory);
      const book = await startBook();
      stops.push(() => book.stop());
      return new Stage({ url: stack.url, token, book }, stops);
    } catch (error) {
      await stopAll(stops);
      throw error;
    }
  }

  /** Starts a worker process. It is named by its number, from 1. */
  addWorker(): WorkerProcess {
    const { url, token, book } = this;
    const name = `worker-${this.#workers.length + 1}`;
    const started = new WorkerProcess(name, { url, token, bookUrl: book.url });
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
