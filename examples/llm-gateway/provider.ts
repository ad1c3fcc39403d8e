/**
 * A program of its own that stands for an LLM's provider. It knows nothing of who calls it: it has its own
 * clock, its own buckets and its own books, so that it can catch a gateway out.
 *
 * Like a real one it counts a request's prompt and its `max_tokens` when it arrives, answers 429 with
 * `retry-after` when either limit has too little, and gives back what was not used once it has answered.
 * How long that takes and how much it uses depends on the prompt alone, in a way that no caller can foresee.
 *
 *   PROVIDER_LIMITS  what it allows, as JSON of `ProviderLimits`
 *
 *   POST /v1/completions  `Completion` → 200 with `usage`, or 429
 *   GET  /books           everything so far
 *   PUT  /limits          other limits, from now on
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { setTimeout as passed } from "node:timers/promises";
import * as z from "zod";
import type { Books, Entry } from "./books.ts";
import { Bucket } from "./bucket.ts";

const CHARACTERS_PER_TOKEN = 4;
const PROMPT_IN_BOOKS = 40;

/** How long an answer takes, and which part of `max_tokens` it uses. */
const LATENCY_MS = { from: 200, to: 1_200 };
const USED_PART = { from: 0.3, to: 0.9 };

const rateSchema = z.object({ perMinute: z.number().positive(), burst: z.number().positive() });
const limitsSchema = z.object({ requests: rateSchema, tokens: rateSchema });
const completionSchema = z.object({
  /** Who is billed. */
  user: z.string(),
  prompt: z.string(),
  max_tokens: z.int().positive(),
});

const startedMs = performance.now();
let limits = limitsSchema.parse(JSON.parse(process.env["PROVIDER_LIMITS"] ?? "{}"));
const requests = new Bucket(limits.requests, nowMs());
const tokens = new Bucket(limits.tokens, nowMs());
const entries: Entry[] = [];

function nowMs(): number {
  return performance.now() - startedMs;
}

async function complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { user, prompt, max_tokens: maxTokens } = completionSchema.parse(await json(request));
  const promptTokens = Math.ceil(prompt.length / CHARACTERS_PER_TOKEN);
  const reservedTokens = promptTokens + maxTokens;
  const arrivedMs = nowMs();
  const waitMs = Math.max(requests.waitMs(1, arrivedMs), tokens.waitMs(reservedTokens, arrivedMs));
  const entry: Entry = {
    customer: user,
    prompt: prompt.slice(0, PROMPT_IN_BOOKS),
    arrivedMs,
    status: waitMs > 0 ? 429 : 200,
    reservedTokens,
    answeredMs: null,
    usedTokens: null,
  };
  entries.push(entry);
  if (waitMs > 0) {
    response.setHeader("retry-after", Math.ceil(waitMs / 1_000));
    return answer(response, 429, { error: "You are over your limit." });
  }
  requests.take(1);
  tokens.take(reservedTokens);

  const [latency, used] = chancesOf(prompt);
  await passed(between(LATENCY_MS, latency));
  const completionTokens = Math.ceil(maxTokens * between(USED_PART, used));
  entry.usedTokens = promptTokens + completionTokens;
  entry.answeredMs = nowMs();
  tokens.giveBack(reservedTokens - entry.usedTokens, entry.answeredMs);
  answer(response, 200, {
    text: `${completionTokens} tokens on “${entry.prompt}…”`,
    usage: { total_tokens: entry.usedTokens },
  });
}

/** Two numbers from 0 to 1 that look like chance, and are the same for the same prompt. */
function chancesOf(prompt: string): [number, number] {
  const hash = createHash("sha256").update(prompt).digest();
  return [hash.readUInt32BE(0) / 2 ** 32, hash.readUInt32BE(4) / 2 ** 32];
}

function between({ from, to }: { from: number; to: number }, chance: number): number {
  return from + (to - from) * chance;
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  switch (`${request.method} ${request.url}`) {
    case "POST /v1/completions":
      return await complete(request, response);
    case "GET /books":
      return answer(response, 200, { entries, limits, nowMs: nowMs() } satisfies Books);
    case "PUT /limits":
      limits = limitsSchema.parse(await json(request));
      requests.change(limits.requests, nowMs());
      tokens.change(limits.tokens, nowMs());
      return answer(response, 200, { nowMs: nowMs() });
    default:
      return answer(response, 404, { error: "There is no such page." });
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

const server = createServer((request, response) => {
  serve(request, response).catch((error: unknown) =>
    answer(response, 400, { error: String(error) }),
  );
});
server.keepAliveTimeout = 60_000; // Callers keep their connections.
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  process.send?.(`http://127.0.0.1:${port}`);
});
// It must not outlive whoever started it.
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
