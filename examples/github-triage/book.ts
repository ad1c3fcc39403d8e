/**
 * The outside world of the demonstration: a small HTTP server where effects land, shared by all
 * worker processes. Effects are appended and never changed, so that a repeated one is seen. Texts
 * and counts are kept by run instead: a repeated attempt finds what its predecessor wrote.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import * as z from "zod";

const effectSchema = z.object({
  run: z.string(),
  step: z.string(),
  /** Which attempt wrote it. */
  fencingToken: z.number(),
  worker: z.string(),
});
export type Effect = z.output<typeof effectSchema>;

const textSchema = z.object({
  run: z.string(),
  subject: z.string(),
  words: z.array(z.string()),
  /** How many texts the worker knows already; it is told those that came after. */
  known: z.number(),
});

const countSchema = z.object({ run: z.string(), kind: z.string() });

/** A text as the book tells it. */
export type SeenText = Pick<z.output<typeof textSchema>, "subject" | "words">;

/** The answer to a text: its place in the book, and the texts the worker doesn't know yet. */
export interface TextAnswer {
  position: number;
  texts: SeenText[];
}

export interface Book {
  readonly url: string;
  /** Every effect, in the order of their arrival. */
  readonly effects: readonly Effect[];
  /** Called with each effect after it is in the book and before its writer is answered. */
  onEffect: (effect: Effect) => void;
  stop(): Promise<void>;
}

/** Opens an empty book on a free loopback port. */
export async function startBook(): Promise<Book> {
  const pages = new Pages();
  const server = createServer((request, response) => {
    answer(pages, request, response).catch((error: unknown) => {
      response.writeHead(400).end(`The book can't read this: ${String(error)}`);
    });
  });
  // Workers keep their connections for the whole demonstration.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    effects: pages.effects,
    get onEffect() {
      return pages.onEffect;
    },
    set onEffect(listener) {
      pages.onEffect = listener;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class Pages {
  readonly effects: Effect[] = [];
  onEffect: (effect: Effect) => void = () => {};
  readonly #texts: SeenText[] = [];
  readonly #positions = new Map<string, number>();
  readonly #runsByKind = new Map<string, Set<string>>();

  addEffect(effect: Effect): void {
    this.effects.push(effect);
    this.onEffect(effect);
  }

  addText({ run, subject, words, known }: z.output<typeof textSchema>): TextAnswer {
    let position = this.#positions.get(run);
    if (position === undefined) {
      position = this.#texts.push({ subject, words }) - 1;
      this.#positions.set(run, position);
    }
    return { position, texts: this.#texts.slice(known) };
  }

  /** The run's number among those of its kind, from 1. */
  count({ run, kind }: z.output<typeof countSchema>): number {
    const runs = this.#runsByKind.get(kind) ?? new Set<string>();
    this.#runsByKind.set(kind, runs.add(run));
    return [...runs].indexOf(run) + 1;
  }
}

async function answer(
  pages: Pages,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await json(request);
  if (request.url === "/effects") {
    pages.addEffect(effectSchema.parse(body));
    response.writeHead(204).end();
  } else if (request.url === "/texts") {
    answerJson(response, pages.addText(textSchema.parse(body)));
  } else if (request.url === "/counts") {
    answerJson(response, pages.count(countSchema.parse(body)));
  } else {
    response.writeHead(404).end("The book has no such page");
  }
}

function answerJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}
