/**
 * The world outside, where handlers have their effects: it knows nothing of Skein but the fencing
 * tokens that handlers bring. What it has seen is what really happened.
 */
import type { Json } from "../../protocol/json.ts";
import type { RunState } from "../../protocol/states.ts";
import type { AttemptRef } from "../../protocol/session.ts";

/** One handler's run, as it happened. */
export interface Execution extends AttemptRef {
  /** What it is called in the trace. */
  label: string;
  run: string;
  workflow: string;
  step: string;
  worker: string;
  startedAt: number;
  parents: { [step: string]: Json };
  /** When the handler ended by itself; undefined when it never did. */
  endedAt: number | undefined;
  ending: "returned" | "threw" | undefined;
  output: Json;
  /** When its signal was aborted. */
  abortedAt: number | undefined;
  abortCode: string | undefined;
  /** The wait that it asked for when it threw. */
  retryAfterMs: number | undefined;
  children: SpawnedChild[];
  /** Rates of its step's own, and what is reserved for it. */
  rates: { limit: string; units: number }[];
  /** What it has said that it did not use. */
  settled: { limit: string; unused: number; at: number }[];
}

/** A run that a handler has started, and what it was told of its end, if it waited for it. */
export interface SpawnedChild {
  key: string;
  run: string;
  told: RunState | undefined;
  waitedFrom: number | undefined;
  waitedTo: number | undefined;
}

export interface Effect extends AttemptRef {
  at: number;
  /** Refused when a newer attempt's effect had come before. */
  isAccepted: boolean;
}

export class Ledger {
  readonly executions: Execution[] = [];
  readonly effects: Effect[] = [];
  readonly #newest = new Map<string, number>();

  begin(execution: Execution): void {
    this.executions.push(execution);
  }

  /** Takes an effect, unless one with a newer token has been taken. */
  write(task: string, fencingToken: number, at: number): boolean {
    const isAccepted = fencingToken >= (this.#newest.get(task) ?? 0);
    if (isAccepted) this.#newest.set(task, fencingToken);
    this.effects.push({ task, attempt: fencingToken, at, isAccepted });
    return isAccepted;
  }

  /** The token of the effect that stands; undefined when there is none. */
  standing(task: string): number | undefined {
    return this.#newest.get(task);
  }

  of({ task, attempt }: AttemptRef): Execution[] {
    return this.executions.filter((run) => run.task === task && run.attempt === attempt);
  }
}
