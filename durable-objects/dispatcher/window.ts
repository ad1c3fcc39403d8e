/**
 * The ready window: tasks that could start now, in memory, in order of arrival per action. Bounded:
 * a commit in flight reserves the room it may fill, and what doesn't fit waits in Postgres. While
 * an action has tasks there, new ones go there too, or they would overtake.
 */
import type { ReadyRow } from "../../database/rows.ts";
import type { StepKind } from "../../protocol/states.ts";
import { MAX_TAKE, MAX_WINDOW, MAX_WINDOW_BYTES, MAX_WINDOW_PER_ACTION } from "./limits.ts";

export interface ReadyTask extends ReadyRow {
  action: string;
  kind: StepKind;
  /** The commit that handed it out. */
  seq: number;
  bytes: number;
  /** When it will have been queued for too long, in milliseconds since 1970; infinity: never. */
  expiresAt: number;
}

interface Line {
  tasks: ReadyTask[];
  /** Index of the first task; those before it are gone. */
  head: number;
  reserved: number;
  hasBacklog: boolean;
  isTaking: boolean;
  /** Something was spilled while a refill was on its way, which may not have seen it. */
  isSpilledSince: boolean;
}

export class ReadyWindow {
  #lines = new Map<string, Line>();
  #ids = new Set<string>();
  #reserved = 0;
  #bytes = 0;
  #nextExpiry = Number.POSITIVE_INFINITY;
  #queueExpiry = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#ids.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(task: string): boolean {
    return this.#ids.has(task);
  }

  /** Bytes that commits may still add. */
  get roomBytes(): number {
    return Math.max(0, Math.floor(MAX_WINDOW_BYTES - this.#bytes));
  }

  /** Reserves room for up to `wanted` tasks of an action, and says for how many. */
  reserve(action: string, wanted: number): number {
    const line = this.#line(action);
    if (line.hasBacklog || this.#bytes >= MAX_WINDOW_BYTES) return 0;
    const granted = Math.max(
      0,
      Math.min(
        wanted,
        MAX_WINDOW_PER_ACTION - lengthOf(line) - line.reserved,
        MAX_WINDOW - this.#ids.size - this.#reserved,
      ),
    );
    line.reserved += granted;
    this.#reserved += granted;
    return granted;
  }

  release(action: string, count: number): void {
    this.#line(action).reserved -= count;
    this.#reserved -= count;
  }

  add(task: ReadyTask): void {
    if (this.#ids.has(task.id)) return;
    this.#ids.add(task.id);
    this.#bytes += task.bytes;
    this.#line(task.action).tasks.push(task);
    this.#nextExpiry = Math.min(this.#nextExpiry, task.expiresAt);
  }

  /** Takes out every task that matches, wherever it stands. */
  remove(matches: (task: ReadyTask) => boolean): ReadyTask[] {
    const removed: ReadyTask[] = [];
    for (const line of this.#lines.values()) {
      const staying: ReadyTask[] = [];
      for (const task of line.tasks.slice(line.head)) {
        (matches(task) ? removed : staying).push(task);
      }
      line.tasks = staying;
      line.head = 0;
    }
    for (const task of removed) {
      this.#ids.delete(task.id);
      this.#bytes -= task.bytes;
    }
    return removed;
  }

  /** Takes out what has been queued for too long. */
  expire(now: number): ReadyTask[] {
    if (this.#nextExpiry > now) return [];
    const expired = this.remove(({ expiresAt }) => expiresAt <= now);
    this.#nextExpiry = Number.POSITIVE_INFINITY;
    for (const { tasks, head } of this.#lines.values()) {
      for (const { expiresAt } of tasks.slice(head)) {
        this.#nextExpiry = Math.min(this.#nextExpiry, expiresAt);
      }
    }
    return expired;
  }

  /** When a task here will have been queued for too long. */
  nextExpiry(): number {
    return this.#nextExpiry;
  }

  /** When a task in the queue will have been there for too long, as far as it is known. */
  get queueExpiry(): number {
    return this.#queueExpiry;
  }

  /** The queue has a task that expires then. Never later than what is known: commits overlap. */
  noteQueueExpiry(at: number): void {
    this.#queueExpiry = Math.min(this.#queueExpiry, at);
  }

  /** Whether to fetch what has expired in the queue now. The fetching tells when the next is due. */
  takeQueueExpiry(now: number): boolean {
    if (this.#queueExpiry > now) return false;
    this.#queueExpiry = Number.POSITIVE_INFINITY;
    return true;
  }

  /** The first task of an action, without taking it. */
  peek(action: string): ReadyTask | undefined {
    const line = this.#lines.get(action);
    return line?.tasks[line.head];
  }

  shift(action: string): ReadyTask | undefined {
    const line = this.#lines.get(action);
    const task = line?.tasks[line.head];
    if (line === undefined || task === undefined) return undefined;
    line.head++;
    if (line.head > 1_000 && line.head * 2 > line.tasks.length) {
      line.tasks = line.tasks.slice(line.head);
      line.head = 0;
    }
    this.#ids.delete(task.id);
    this.#bytes -= task.bytes;
    return task;
  }

  /** Actions that have a task here. */
  *waitingActions(): Iterable<string> {
    for (const [action, line] of this.#lines) if (lengthOf(line) > 0) yield action;
  }

  markBacklog(action: string): void {
    const line = this.#line(action);
    line.hasBacklog = true;
    line.isSpilledSince = line.isTaking;
  }

  hasBacklog(action: string): boolean {
    return this.#lines.get(action)?.hasBacklog ?? false;
  }

  /**
   * How many tasks to take from the queue for each action that has some there, has run low here and
   * has someone to take them. Marks them as being taken until `taken` or `untaken`.
   */
  demand(isServed: (action: string) => boolean): Record<string, number> | undefined {
    let demand: Record<string, number> | undefined;
    for (const [action, line] of this.#lines) {
      if (!this.#isLow(action, line, isServed)) continue;
      line.isTaking = true;
      demand ??= {};
      demand[action] = MAX_TAKE;
    }
    return demand;
  }

  hasDemand(isServed: (action: string) => boolean): boolean {
    for (const [action, line] of this.#lines) if (this.#isLow(action, line, isServed)) return true;
    return false;
  }

  #isLow(action: string, line: Line, isServed: (action: string) => boolean): boolean {
    return (
      line.hasBacklog &&
      !line.isTaking &&
      lengthOf(line) < MAX_TAKE / 2 &&
      this.#bytes < MAX_WINDOW_BYTES / 2 &&
      isServed(action)
    );
  }

  /** A refill has landed: `more` are the actions that still have tasks in the queue. */
  taken(demand: Record<string, number>, more: string[]): void {
    for (const action of Object.keys(demand)) {
      const line = this.#line(action);
      line.hasBacklog = line.isSpilledSince || more.includes(action);
      line.isTaking = line.isSpilledSince = false;
    }
  }

  /** A refill has failed and may be asked for again. */
  untaken(demand: Record<string, number>): void {
    for (const action of Object.keys(demand)) {
      const line = this.#line(action);
      line.isTaking = line.isSpilledSince = false;
    }
  }

  #line(action: string): Line {
    let line = this.#lines.get(action);
    if (line === undefined) {
      line = {
        tasks: [],
        head: 0,
        reserved: 0,
        hasBacklog: false,
        isTaking: false,
        isSpilledSince: false,
      };
      this.#lines.set(action, line);
    }
    return line;
  }
}

function lengthOf(line: Line): number {
  return line.tasks.length - line.head;
}
