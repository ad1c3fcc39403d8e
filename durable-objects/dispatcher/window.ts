/**
 * The ready window: tasks that could start now, in memory, by lane. Bounded, also for each lane: what
 * waits for one key must not take the room of others. A commit in flight reserves the room it may fill;
 * what doesn't fit waits in the queue. While a lane has tasks there, new ones go there too, or they would
 * overtake.
 */
import type { LaneRow } from "../../database/rows.ts";
import { Lane, type ReadyTask } from "./lane.ts";
import {
  MAX_EMPTIED_LANES,
  MAX_LANE,
  MAX_PLAIN_LANE,
  MAX_WINDOW,
  MAX_WINDOW_BYTES,
} from "./limits.ts";

export class ReadyWindow {
  #lanes = new Map<string, Map<number, Lane>>();
  #ids = new Map<string, Lane>();
  /** The tasks that are here of each run that is under limits of its own. */
  #ofLimitedRuns = new Map<string, Set<string>>();
  #reserved = 0;
  #bytes = 0;
  /** Lanes that have lost all that they had, and may stand in a line for it. */
  #emptied = 0;
  #nextExpiry = Number.POSITIVE_INFINITY;
  #queueExpiry = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#ids.size;
  }

  get laneCount(): number {
    let count = 0;
    for (const lanes of this.#lanes.values()) count += lanes.size;
    return count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes that commits may still add. */
  get roomBytes(): number {
    return Math.max(0, Math.floor(MAX_WINDOW_BYTES - this.#bytes));
  }

  /** In which lane a task is; undefined when it is not here. */
  laneOf(task: string): Lane | undefined {
    return this.#ids.get(task);
  }

  find({ action, lane: number }: LaneRow): Lane | undefined {
    return this.#lanes.get(action)?.get(number);
  }

  /** The lane, also when there is nothing in it yet. */
  lane({ action, lane: number }: LaneRow): Lane {
    let lanes = this.#lanes.get(action);
    if (lanes === undefined) this.#lanes.set(action, (lanes = new Map()));
    let lane = lanes.get(number);
    if (lane === undefined) lanes.set(number, (lane = new Lane(action, number)));
    return lane;
  }

  /** Lets go of a lane that has nothing and expects nothing. */
  forget(lane: Lane): void {
    if (!lane.isForgettable) return;
    const lanes = this.#lanes.get(lane.action);
    if (lanes?.get(lane.number) === lane) lanes.delete(lane.number);
    if (lanes?.size === 0) this.#lanes.delete(lane.action);
  }

  *lanes(): Iterable<Lane> {
    for (const lanes of this.#lanes.values()) yield* lanes.values();
  }

  /** How many more tasks a lane may have here. A lane that has none may nearly always have one. */
  roomOf(lane: Lane): number {
    if (this.#bytes >= MAX_WINDOW_BYTES) return 0;
    const room = MAX_WINDOW - this.#ids.size - this.#reserved;
    const used = lane.length + lane.reserved;
    return Math.max(0, Math.min(room, this.#mostOf(lane, MAX_WINDOW - room) - used));
  }

  #mostOf(lane: Lane, taken: number): number {
    if (taken >= MAX_WINDOW * 0.75) return 1;
    if (lane.number === 0) return MAX_PLAIN_LANE;
    return taken >= MAX_WINDOW / 2 ? 2 : MAX_LANE;
  }

  /** Reserves room for up to `wanted` tasks of a lane, and says for how many. */
  reserve(lane: Lane, wanted: number): number {
    if (lane.hasBacklog) return 0;
    const granted = Math.min(wanted, this.roomOf(lane));
    lane.reserved += granted;
    this.#reserved += granted;
    return granted;
  }

  release(lane: Lane, count: number): void {
    lane.reserved -= count;
    this.#reserved -= count;
    this.forget(lane);
  }

  /** Takes a task in, whatever room there is. The lane that it is in now; undefined: it was here. */
  add(task: ReadyTask): Lane | undefined {
    if (this.#ids.has(task.id)) return undefined;
    const lane = this.lane({ action: task.action, lane: task.needs.lane });
    this.#ids.set(task.id, lane);
    this.#bytes += task.bytes;
    this.#note(task);
    lane.push(task);
    this.#nextExpiry = Math.min(this.#nextExpiry, task.expiresAt);
    return lane;
  }

  /** Takes out the first task of a lane. */
  shift(lane: Lane): ReadyTask | undefined {
    const task = lane.shift();
    if (task !== undefined) this.#drop(task);
    return task;
  }

  /** Whether what waits should wait in the queue, so that there is room for what could start. */
  get isCrowded(): boolean {
    return this.#ids.size >= MAX_WINDOW * 0.75 || this.#bytes >= MAX_WINDOW_BYTES * 0.375;
  }

  /** Whether there is enough room again. */
  get isRoomy(): boolean {
    return this.#ids.size < MAX_WINDOW * 0.5 && this.#bytes < MAX_WINDOW_BYTES * 0.25;
  }

  /** Takes out all tasks of a lane. */
  empty(lane: Lane): ReadyTask[] {
    const removed = lane.remove(() => true);
    for (const task of removed) this.#drop(task);
    return removed;
  }

  /** Takes out every task that matches, wherever it stands. */
  remove(matches: (task: ReadyTask) => boolean): ReadyTask[] {
    const removed = [...this.lanes()].flatMap((lane) => this.#removeFrom(lane, matches));
    for (const task of removed) this.#drop(task);
    return removed;
  }

  /** Takes out the tasks of a run that is under limits of its own, without a look at any other lane. */
  removeLimited(run: string): ReadyTask[] {
    const lanes = new Set<Lane>();
    for (const id of this.#ofLimitedRuns.get(run) ?? []) {
      const lane = this.#ids.get(id);
      if (lane) lanes.add(lane);
    }
    const removed = [...lanes].flatMap((lane) =>
      this.#removeFrom(lane, (task) => task.run === run),
    );
    for (const task of removed) this.#drop(task);
    return removed;
  }

  #removeFrom(lane: Lane, matches: (task: ReadyTask) => boolean): ReadyTask[] {
    const removed = lane.remove(matches);
    if (removed.length > 0 && lane.length === 0) this.#emptied++;
    return removed;
  }

  /** Whether it is time to look for lanes that stand in a line for nothing. They are counted anew then. */
  takeLitter(): boolean {
    if (this.#emptied <= MAX_EMPTIED_LANES) return false;
    this.#emptied = 0;
    return true;
  }

  #drop(task: ReadyTask): void {
    this.#ids.delete(task.id);
    this.#bytes -= task.bytes;
    const others = this.#ofLimitedRuns.get(task.run);
    if (others?.delete(task.id) && others.size === 0) this.#ofLimitedRuns.delete(task.run);
  }

  #note({ id, run, needs: { needs } }: ReadyTask): void {
    if (!needs.some(({ isOfRun }) => isOfRun)) return;
    const others = this.#ofLimitedRuns.get(run);
    if (others) others.add(id);
    else this.#ofLimitedRuns.set(run, new Set([id]));
  }

  /** Takes out what has been queued for too long. */
  expire(now: number): ReadyTask[] {
    if (this.#nextExpiry > now) return [];
    const expired = this.remove(({ expiresAt }) => expiresAt <= now);
    this.#nextExpiry = Number.POSITIVE_INFINITY;
    for (const lane of this.lanes()) {
      for (const { expiresAt } of lane.tasks()) {
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
}
