/**
 * Which commit handed out which unfinished task. Postgres keeps a row for each such commit, so that
 * nothing in a shard's memory can be forgotten; this decides which rows can go: those whose tasks
 * have all ended, in commits that have landed or in the very one that deletes the row.
 */
import { MAX_OPEN_HANDOUTS } from "./limits.ts";

/** What one commit does to the rows of earlier ones. */
export interface Settlement {
  /** Tasks that leave their rows, and which those were. */
  ended: [task: string, seq: number | undefined][];
  settled: number[];
  /** Unfinished tasks of settled rows, to be kept in the commit's own row. */
  carried: string[];
}

export class Handouts {
  #seqOf = new Map<string, number>();
  #open = new Map<number, Set<string>>();
  /** Rows being deleted by a commit in flight. */
  #settling = new Set<number>();
  /** Tasks that leave their rows by commits in flight: parked ones are looked for there. */
  #ending = new Set<string>();
  /** Rows that two commits emptied between them; the next one deletes them. */
  #emptied: number[] = [];

  /** Commits that were sent more than once: a sending that is still on its way may land much later. */
  #haunted = new Set<number>();
  /** Those of which an empty row must be kept, by which such a sending is known as a repeat. */
  #unburied: number[] = [];

  /** This commit was sent more than once, and has landed: its row stays for as long as this life. */
  haunt(seq: number): void {
    this.#haunted.add(seq);
    this.#emptied = this.#emptied.filter((emptied) => emptied !== seq);
    if (!this.#open.has(seq)) this.#unburied.push(seq);
  }

  get hasUnburied(): boolean {
    return this.#unburied.length > 0;
  }

  /** Commits of which an empty row is to be kept. Give them back with `unbury` if that fails. */
  bury(): number[] {
    return this.#unburied.splice(0);
  }

  unbury(seqs: readonly number[]): void {
    this.#unburied.push(...seqs);
  }

  get hasEmptied(): boolean {
    return this.#emptied.length > 0;
  }

  add(seq: number, task: string): void {
    this.#leave(task);
    this.#seqOf.set(task, seq);
    const tasks = this.#open.get(seq);
    if (tasks) tasks.add(task);
    else {
      this.#open.set(seq, new Set([task]));
      // Emptied a moment ago, by a task of the same commit that was over when it came.
      this.#emptied = this.#emptied.filter((emptied) => emptied !== seq);
      this.#unburied = this.#unburied.filter((unburied) => unburied !== seq);
    }
  }

  /** A task has ended otherwise than by a result, as when its run was cancelled. */
  end(task: string): void {
    this.#leave(task);
  }

  /** What a commit that ends these tasks may delete. Tell how it went with `land` or `fail`. */
  settle(ended: string[]): Settlement {
    const settled = this.#emptied;
    this.#emptied = [];
    const endedBySeq = new Map<number, number>();
    for (const task of ended) {
      const seq = this.#seqOf.get(task);
      if (seq !== undefined) endedBySeq.set(seq, (endedBySeq.get(seq) ?? 0) + 1);
    }
    for (const [seq, count] of endedBySeq) {
      if (
        !this.#settling.has(seq) &&
        !this.#haunted.has(seq) &&
        this.#open.get(seq)?.size === count
      )
        settled.push(seq);
    }
    const carried = this.#open.size > MAX_OPEN_HANDOUTS ? this.#carry(settled, new Set(ended)) : [];
    for (const seq of settled) this.#settling.add(seq);
    for (const task of ended) this.#ending.add(task);
    return { ended: ended.map((task) => [task, this.#seqOf.get(task)]), settled, carried };
  }

  /** The commit has landed under this seq. */
  land(settlement: Settlement, seq: number): void {
    for (const [task, of] of settlement.ended) {
      this.#ending.delete(task);
      // A commit after this one may have handed it out again, and have been heard of first.
      if (this.#seqOf.get(task) === of) this.#leave(task);
    }
    const carried = settlement.carried.filter((task) => {
      const of = this.#seqOf.get(task);
      return of !== undefined && settlement.settled.includes(of);
    });
    for (const task of carried) this.add(seq, task);
    // All that it carried has ended on the way: its row is there, and empty.
    if (settlement.carried.length > 0 && carried.length === 0) this.#empty(seq);
    for (const gone of settlement.settled) {
      this.#settling.delete(gone);
      this.#open.delete(gone);
    }
    this.#emptied = this.#emptied.filter((emptied) => !settlement.settled.includes(emptied));
  }

  /** The commit was refused: its rows are still there. */
  fail({ ended, settled }: Settlement): void {
    for (const [task] of ended) this.#ending.delete(task);
    for (const seq of settled) {
      this.#settling.delete(seq);
      if (!this.#open.has(seq)) this.#empty(seq);
    }
  }

  /** Settles the sparsest half of the open rows, and names the tasks to keep. */
  #carry(settled: number[], ended: Set<string>): string[] {
    const busy = new Set([...this.#ending].map((task) => this.#seqOf.get(task)));
    const sparsest = [...this.#open]
      .filter(
        ([seq]) =>
          !this.#settling.has(seq) &&
          !settled.includes(seq) &&
          !this.#haunted.has(seq) &&
          !busy.has(seq),
      )
      .toSorted((a, b) => a[1].size - b[1].size)
      .slice(0, MAX_OPEN_HANDOUTS / 2);
    for (const [seq] of sparsest) settled.push(seq);
    return sparsest.flatMap(([, tasks]) => [...tasks].filter((task) => !ended.has(task)));
  }

  #leave(task: string): void {
    const seq = this.#seqOf.get(task);
    if (seq === undefined) return;
    this.#seqOf.delete(task);
    const tasks = this.#open.get(seq);
    tasks?.delete(task);
    if (tasks?.size !== 0) return;
    this.#open.delete(seq);
    this.#empty(seq);
  }

  #empty(seq: number): void {
    (this.#haunted.has(seq) ? this.#unburied : this.#emptied).push(seq);
  }
}
