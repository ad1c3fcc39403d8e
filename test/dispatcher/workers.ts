/** Who is at work at which attempt, as its worker knows it: whatever shards believe. */
import type { Timeline } from "./timeline.ts";

/** What an attempt may take, in milliseconds. */
export const TIMEOUT_MS = 20_000;

/** An attempt in a worker's hands. */
export interface Working {
  shard: number;
  task: string;
  attempt: number;
  run: string;
  key: string;
  units: number;
  since: number;
  /** Its worker stops it by then. */
  until: number;
}

/** Units that an attempt has taken. */
export interface Take {
  key: string;
  units: number;
  at: number;
}

export class Workers {
  readonly working = new Map<string, Working>();
  readonly taken: Take[] = [];
  #timeline: Timeline;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  start(attempt: Omit<Working, "since" | "until">): void {
    const { now } = this.#timeline;
    const { key, units, task } = attempt;
    this.taken.push({ key, units, at: now });
    const working = { ...attempt, since: now, until: now + TIMEOUT_MS };
    this.working.set(`${task}/${attempt.attempt}`, working);
    this.#stopInTime(working);
  }

  find(task: string, attempt: number): Working | undefined {
    return this.working.get(`${task}/${attempt}`);
  }

  prolong(task: string, attempt: number, timeoutMs: number): void {
    const working = this.find(task, attempt);
    if (working) working.until = this.#timeline.now + timeoutMs;
  }

  stop({ task, attempt }: Pick<Working, "task" | "attempt">): void {
    this.working.delete(`${task}/${attempt}`);
  }

  /** What was given more time since it began is stopped: its shard knows nothing of that any more. */
  stopProlonged(shard: number): void {
    for (const working of this.working.values()) {
      const { since, until } = working;
      if (working.shard === shard && until > since + TIMEOUT_MS) this.stop(working);
    }
  }

  /** How many attempts hold each key of a limit at this moment. */
  held(): Map<string, number> {
    const held = new Map<string, number>();
    for (const { key } of this.working.values()) held.set(key, (held.get(key) ?? 0) + 1);
    return held;
  }

  #stopInTime(working: Working): void {
    const { task, attempt, until } = working;
    this.#timeline.later(until - this.#timeline.now, () => {
      if (this.find(task, attempt) !== working) return;
      if (working.until <= this.#timeline.now) this.stop(working);
      else this.#stopInTime(working);
    });
  }
}
