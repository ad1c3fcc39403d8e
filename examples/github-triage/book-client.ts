/**
 * How the steps reach the outside world: the book at `BOOK_URL`. Each call ends when its attempt is
 * aborted, and is never repeated here: repeating is what the engine does, with a new fencing token.
 */
import type { TaskContext } from "@skein/sdk";
import type { Effect, TextAnswer } from "./book.ts";
import { kindOf } from "./deliveries.ts";
import { type Duplicates, NEAR_DUPLICATE } from "./report.ts";
import { SeenTexts } from "./similarity.ts";
import type { ExtractedText } from "./text.ts";
import { wordsOf } from "./words.ts";

/** Near-duplicates named in one report. */
const MAX_NEAR = 3;

type Attempt = Pick<TaskContext, "runId" | "step" | "fencingToken" | "metadata" | "signal">;

/** This process's copy of the texts in the book; it grows as the book tells more. */
const seen = new SeenTexts();

/** Writes that this attempt did what its step does. */
export async function recordEffect(ctx: Attempt): Promise<void> {
  const effect: Effect = {
    run: ctx.runId,
    step: ctx.step,
    fencingToken: ctx.fencingToken,
    worker: process.env["WORKER_NAME"] ?? "a worker",
  };
  await post(ctx, "/effects", effect);
}

/** Adds a text to the book and compares it with every text that came before it. */
export async function compareWithSeen(ctx: Attempt, text: ExtractedText): Promise<Duplicates> {
  const { subject, title, body } = text;
  const words = [...new Set(wordsOf(`${title} ${body}`))];
  const known = seen.count;
  const answer = await post(ctx, "/texts", { run: ctx.runId, subject, words, known });
  const { position, texts } = (await answer.json()) as TextAnswer;
  // Another step of this process may have been told some of these in the meantime.
  for (const next of texts.slice(seen.count - known)) seen.add(next.subject, next.words);
  return {
    earlier: seen.earlier(subject, position),
    near: seen.nearest(subject, words, NEAR_DUPLICATE, position).slice(0, MAX_NEAR),
    compared: position,
  };
}

/** The number of this run among those of its kind, from 1; the same for each of its attempts. */
export async function countKind(ctx: Attempt): Promise<number> {
  const answer = await post(ctx, "/counts", { run: ctx.runId, kind: kindOf(ctx.metadata) });
  return (await answer.json()) as number;
}

async function post({ signal }: Attempt, path: string, body: unknown): Promise<Response> {
  const address = process.env["BOOK_URL"];
  if (address === undefined) {
    throw new Error("BOOK_URL is not set: the demonstration sets it for its workers");
  }
  const response = await fetch(`${address}${path}`, {
    method: "POST",
    body: JSON.stringify(body),
    signal,
  });
  if (response.ok) return response;
  throw new Error(`The book answered ${response.status}: ${await response.text()}`);
}
