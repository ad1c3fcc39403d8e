/**
 * One child of an attempt: what the shard is asked for, the run it became, its end, and who waits for
 * that. It sends nothing itself.
 */
import { PROBLEMS } from "../../protocol/errors.ts";
import type { Metadata } from "../../protocol/json.ts";
import type { ChildFrame, SpawnedFrame } from "../../protocol/session.ts";
import { SkeinError } from "../errors.ts";
import type { Attempt } from "./attempt.ts";
import type { Waits } from "./waits.ts";

/** What the shard is asked for; the input is already JSON. */
export interface Spawn {
  key: string;
  workflow: string;
  input: string;
  metadata: Metadata;
  isDetached: boolean;
  delayMs?: number;
  startAt?: number;
}

export interface ChildWaitOptions {
  /** Keeps the slot and lets the timeout run, for a handler that works meanwhile. Default false. */
  keepSlot?: boolean | undefined;
  /** Stops the waiting, with the signal's reason; the child goes on. */
  signal?: AbortSignal | undefined;
}

/** How a child ended. */
export type ChildEnd = Pick<ChildFrame, "run" | "state" | "outputs" | "error">;

export class Child {
  readonly key: string;
  /** Resolves with its run; rejects when it can't be one, or its parent's attempt is over first. */
  readonly run: Promise<string>;
  end: ChildEnd | null = null;
  readonly #attempt: Attempt;
  readonly #waits: Waits;
  readonly #waiting = new Set<{
    resolve: (end: ChildEnd) => void;
    reject: (reason: unknown) => void;
  }>();
  /** As a `spawn` frame has it. */
  text: string;
  readonly #spawn: Omit<Spawn, "input">;
  #resolve: (run: string) => void = () => undefined;
  #reject: (reason: Error) => void = () => undefined;

  constructor(spawn: Spawn, attempt: Attempt, waits: Waits) {
    const { input, ...rest } = spawn;
    this.key = spawn.key;
    this.text = spawnText(rest, input);
    this.#spawn = rest;
    this.#attempt = attempt;
    this.#waits = waits;
    this.run = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** The shard has it: its input need not be kept, for its key is enough to ask again. */
  became(run: string): void {
    this.text = spawnText({ ...this.#spawn, metadata: {} }, "null");
    this.#resolve(run);
  }

  refuse({ code, detail }: NonNullable<SpawnedFrame["refusal"]>): void {
    this.#reject(new SkeinError({ status: PROBLEMS[code]?.status ?? 422, code, detail }));
  }

  finish({ run, state, outputs, error }: ChildFrame): void {
    if (this.end !== null) return; // Told again on another socket.
    this.became(run);
    this.end = { run, state, outputs, error };
    for (const waiting of this.#waiting) waiting.resolve(this.end);
  }

  /** The attempt is over: nothing more will be heard. */
  giveUp(reason: Error): void {
    this.#reject(reason);
    for (const waiting of this.#waiting) waiting.reject(reason);
  }

  /** Waits for its end, without the attempt's slot unless it is to be kept. */
  async wait({ keepSlot = false, signal }: ChildWaitOptions = {}): Promise<ChildEnd> {
    this.#attempt.throwIfOver();
    signal?.throwIfAborted();
    if (this.end !== null) return this.end;
    return await new Promise((resolve, reject) => {
      const leave = (settle: () => void): void => {
        if (!this.#waiting.delete(waiting)) return;
        signal?.removeEventListener("abort", abort);
        if (keepSlot) settle();
        else this.#waits.end(settle);
      };
      const waiting = {
        resolve: (end: ChildEnd) => leave(() => resolve(end)),
        reject: (reason: unknown) => leave(() => reject(reason)),
      };
      const abort = (): void => waiting.reject(signal?.reason);
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.add(waiting);
      if (!keepSlot) this.#waits.begin();
    });
  }
}

function spawnText({ isDetached, ...spawn }: Omit<Spawn, "input">, input: string): string {
  const rest = JSON.stringify({ ...spawn, ...(isDetached && { isDetached }) });
  return `${rest.slice(0, -1)},"input":${input}}`;
}
