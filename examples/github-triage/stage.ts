/**
 * Everything the demonstration plays on: a Skein of its own with a webhook, GitHub, the book and the workers.
 * What is started here is also stopped here, in the reverse order, whatever happened.
 */
import { randomBytes } from "node:crypto";
import { Client } from "@skein/sdk";
import { startLocalSkein } from "../stage/local-skein.ts";
import { Program } from "../stage/program.ts";
import { type Book, startBook } from "./book.ts";
import { GitHub, GITHUB_WEBHOOK } from "./github.ts";

/** The webhook's name. */
export const WEBHOOK = "github";

export class Stage {
  readonly url: string;
  readonly token: string;
  readonly skein: Client;
  readonly github: GitHub;
  readonly book: Book;
  readonly #workers: Program[] = [];
  readonly #stops: (() => Promise<void> | void)[];
  #fail: (error: unknown) => void = () => {};
  /** Rejects when a worker ends though nobody ended it. */
  readonly broken = new Promise<never>((_, reject) => {
    this.#fail = reject;
  });

  private constructor(
    { url, token, github, book }: Pick<Stage, "url" | "token" | "github" | "book">,
    stops: (() => Promise<void> | void)[],
  ) {
    this.url = url;
    this.token = token;
    this.github = github;
    this.book = book;
    this.skein = new Client({ url, token });
    this.#stops = stops;
    this.broken.catch(() => undefined); // Told to whoever races it; nobody may be racing yet.
  }

  /** Starts the stack with its webhook, and the book; `tell` hears what is being done. */
  static async set(signal: AbortSignal, tell: (line: string) => void): Promise<Stage> {
    const stops: (() => Promise<void> | void)[] = [];
    try {
      const { url, token, stop } = await startLocalSkein(signal, tell);
      stops.push(stop);
      const github = await connectGithub(url, token);
      const book = await startBook();
      stops.push(() => book.stop());
      return new Stage({ url, token, github, book }, stops);
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

/** Makes the webhook, and gives GitHub its address and secret. */
async function connectGithub(url: string, token: string): Promise<GitHub> {
  const secret = randomBytes(20).toString("hex");
  const { webhooks } = new Client({ url, token });
  const { path } = await webhooks.put(WEBHOOK, { ...GITHUB_WEBHOOK, secrets: [secret] });
  return new GitHub(`${url}${path}`, secret);
}

async function stopAll(stops: (() => Promise<void> | void)[]): Promise<void> {
  for (let next = stops.pop(); next !== undefined; next = stops.pop()) await next();
}
