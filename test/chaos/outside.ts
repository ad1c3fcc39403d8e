/**
 * A worker process's way to the ledger: over the channel to the process that started it. Nothing is
 * repeated here: what was not answered before a kill was not heard, or nobody knows.
 */
import type { AttemptRef, Effect, Note } from "./ledger.ts";

export type WorkerMessage =
  | { kind: "begin"; id: number; ref: AttemptRef }
  | { kind: "apply"; id: number; ref: AttemptRef; after: number[] }
  | { kind: "note"; note: Omit<Note, "at"> };

/** The effect; for `begin` only whether it may. Null when it was refused. */
export interface LedgerAnswer {
  id: number;
  answer: Effect | true | null;
}

export class Outside {
  readonly #asked = new Map<number, (answer: LedgerAnswer["answer"]) => void>();
  #id = 0;

  constructor() {
    process.on("message", ({ id, answer }: LedgerAnswer) => {
      this.#asked.get(id)?.(answer);
      this.#asked.delete(id);
    });
  }

  /** Throws when a newer attempt has begun. */
  async begin(ref: AttemptRef): Promise<void> {
    const answer = await this.#ask((id) => ({ kind: "begin", id, ref }));
    if (answer === null) throw new FencedError(ref);
  }

  /** Throws when a newer attempt has begun. */
  async apply(ref: AttemptRef, after: number[]): Promise<Effect> {
    const answer = await this.#ask((id) => ({ kind: "apply", id, ref, after }));
    if (answer === null || answer === true) throw new FencedError(ref);
    return answer;
  }

  note(note: Omit<Note, "at">): void {
    send({ kind: "note", note });
  }

  #ask(message: (id: number) => WorkerMessage): Promise<LedgerAnswer["answer"]> {
    const id = ++this.#id;
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
      send(message(id));
    });
  }
}

/** Reported like any error: Skein must take it for the report of an attempt that is over. */
class FencedError extends Error {
  override name = "FencedError";

  constructor({ step, run, attempt }: AttemptRef) {
    super(`Attempt ${attempt} of step ${step} of run ${run} is not the newest.`);
  }
}

function send(message: WorkerMessage): void {
  // Without a parent this process ends: see `worker.ts`.
  if (process.connected) process.send?.(message, undefined, {}, () => {});
}
