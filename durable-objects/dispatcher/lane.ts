/**
 * A lane: tasks of one action that wait for the same permits, units and workers, oldest first. When the
 * first of them can't start, none of them can. Some are in memory, others in the queue in Postgres.
 */
import type { ReadyRow } from "../../database/rows.ts";
import type { StepKind } from "../../protocol/states.ts";
import type { Placing, TaskNeeds } from "./needs.ts";

export interface ReadyTask extends ReadyRow {
  action: string;
  kind: StepKind;
  /** The commit that handed it out. */
  seq: number;
  bytes: number;
  /** When it will have been queued for too long, in milliseconds since 1970; infinity: never. */
  expiresAt: number;
  /** How long an attempt of it may take, in milliseconds. */
  timeoutMs: number;
  needs: TaskNeeds;
}

export class Lane {
  readonly action: string;
  /** As the queue names it. 0: tasks that need nothing but a slot, and in the queue those not sorted yet. */
  readonly number: number;
  /** Room for tasks that commits on their way may bring. */
  reserved = 0;
  hasBacklog = false;
  isTaking = false;
  /** Something was spilled while a refill was on its way, which may not have seen it. */
  isSpilledSince = false;

  /** Whether it has its turn coming, and what it waits for: see `turns.ts`. */
  standing: "idle" | "due" | "blocked" = "idle";
  blockedOn: string | undefined;
  /** What its first task in the queue needs, while it waits there and not in memory: see `parking.ts`. */
  parked: ReadyTask | undefined;
  /** How much of its share it has had, beside others of its priority. */
  virtual = 0;
  priority = 0;
  weight = 1;
  /** Which workers may have its tasks: the same for all of them. */
  placing: Placing | undefined;

  /** Told when tasks are taken out from wherever they stand. */
  onRemoved: (() => void) | undefined;

  #tasks: (ReadyTask | undefined)[] = [];
  /** Index of the first task; before it there is nothing but room. */
  #head = 0;

  constructor(action: string, number: number) {
    this.action = action;
    this.number = number;
  }

  get length(): number {
    return this.#tasks.length - this.#head;
  }

  get first(): ReadyTask | undefined {
    return this.#tasks[this.#head];
  }

  /** What it starts next, as far as that is known. */
  get next(): ReadyTask | undefined {
    return this.first ?? this.parked;
  }

  /** Nothing is here, and nothing is known to come. */
  get isForgettable(): boolean {
    if (this.parked !== undefined) return false;
    return this.length === 0 && this.reserved === 0 && !this.hasBacklog && !this.isTaking;
  }

  *tasks(): Iterable<ReadyTask> {
    for (let index = this.#head; index < this.#tasks.length; index++) {
      yield this.#tasks[index] as ReadyTask;
    }
  }

  /** Another attempt of a task comes before first ones. */
  push(task: ReadyTask): void {
    if (task.attempt > 1) this.#tasks.splice(this.#head, 0, task);
    else this.#tasks.push(task);
    this.parked = undefined;
    this.priority = task.needs.priority;
    this.weight = task.needs.weight;
    this.placing = task.needs.placing;
  }

  shift(): ReadyTask | undefined {
    const task = this.#tasks[this.#head];
    if (task === undefined) return undefined;
    // Gone from here at once, with all that it carries: there are many lanes, and they live long.
    this.#tasks[this.#head++] = undefined;
    if (this.#head * 2 > this.#tasks.length) this.#compact();
    return task;
  }

  /** Takes out every task that matches, wherever it stands. */
  remove(matches: (task: ReadyTask) => boolean): ReadyTask[] {
    const removed: ReadyTask[] = [];
    const staying: ReadyTask[] = [];
    for (const task of this.tasks()) (matches(task) ? removed : staying).push(task);
    if (removed.length === 0) return removed;
    this.#tasks = staying;
    this.#head = 0;
    this.onRemoved?.();
    return removed;
  }

  #compact(): void {
    this.#tasks = this.#tasks.slice(this.#head);
    this.#head = 0;
  }
}
