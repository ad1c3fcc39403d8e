/**
 * Waits that have begun, until it is certain that no event has missed them: one may have been stored as the wait
 * was, by another transaction, so that neither has seen the other (decision 30). Each is asked about once it is
 * durable, and again, less and less often, until every transaction is over that was under way then. Nothing here
 * must survive: a wait's `look` timer stands in Postgres until it is settled.
 */
import { MAX_SETTLING, RESETTLE_MAX_MS, RESETTLE_MS, SETTLES_OF_ALL } from "./limits.ts";
import type { SettleRow } from "../../database/match-rows.ts";
import { runIdOf } from "../../protocol/ids.ts";

interface Wait {
  /** `due`: to be asked about; `asked`: it is being, or its events are; `resting`: until its timer comes again. */
  state: "due" | "asked" | "resting";
  /** The transaction that it waits for, since it has been told of one; null: for none. */
  horizon: string | null | undefined;
  asked: number;
  acts: (() => void)[];
}

export class Settling {
  #waits = new Map<string, Wait>();
  #due = new Set<string>();
  #asked = 0;

  /** Whether there are more waits than may be asked about now. */
  get isFull(): boolean {
    return this.#due.size > MAX_SETTLING;
  }

  /** Its timer is due. While it is asked about that changes nothing. */
  add(task: string): void {
    const wait = this.#waits.get(task);
    if (wait === undefined) {
      this.#waits.set(task, { state: "due", horizon: undefined, asked: 0, acts: [] });
    } else if (wait.state === "resting") wait.state = "due";
    else return;
    this.#due.add(task);
  }

  /** Those to ask about now. */
  begin(): SettleRow[] {
    const rows: SettleRow[] = [];
    for (const task of this.#due) {
      if (this.#asked >= MAX_SETTLING) break;
      this.#due.delete(task);
      const wait = this.#waits.get(task);
      if (wait === undefined) continue;
      wait.state = "asked";
      this.#asked++;
      wait.asked++;
      rows.push({
        t: task,
        r: runIdOf(task),
        ...(typeof wait.horizon === "string" && { h: wait.horizon }),
        ...(wait.asked > SETTLES_OF_ALL && { f: true }),
      });
    }
    return rows;
  }

  /** It has been asked about, and waits for this transaction, or for none. */
  answer(task: string, horizon: string | null): void {
    const wait = this.#waits.get(task);
    if (wait === undefined) return;
    this.#asked--;
    wait.horizon = horizon;
  }

  /** Whether events are looked at that it has been asked about before. */
  isAgain(task: string): boolean {
    return (this.#waits.get(task)?.asked ?? 0) > 1;
  }

  /** Whether it is settled once the events are seen to that are there now. */
  isLast(task: string): boolean {
    return typeof this.#waits.get(task)?.horizon !== "string";
  }

  /** It is to be asked about again: in so many milliseconds. */
  rest(task: string): number {
    const wait = this.#waits.get(task);
    if (wait === undefined) return 0;
    wait.state = "resting";
    return Math.min(RESETTLE_MS * 2 ** (wait.asked - 1), RESETTLE_MAX_MS);
  }

  /** Settled, or left to a later life. */
  end(task: string): void {
    const wait = this.#waits.get(task);
    if (wait === undefined) return;
    this.#waits.delete(task);
    this.#due.delete(task);
    for (const act of wait.acts) act();
  }

  /** It can't be asked about in this life. */
  refuse(task: string): void {
    if (this.#waits.has(task)) this.#asked--;
    this.end(task);
  }

  /** Acts once the wait is settled: at once, if it is not here. */
  after(task: string, act: () => void): void {
    const wait = this.#waits.get(task);
    if (wait === undefined) act();
    else wait.acts.push(act);
  }
}
