/**
 * Lanes in the order in which they are served. Between priorities the higher comes first, but one that
 * was passed over so often has its turn, so that nothing waits for ever. Within one, each lane has its
 * share: it pays for what it starts, over its weight, and who has paid least is next.
 */
import { PRIORITIES } from "../../protocol/limits.ts";
import { Heap } from "./heap.ts";
import type { Lane } from "./lane.ts";
import { MAX_PASSED_OVER } from "./limits.ts";

/** How often a higher priority was served while each had lanes that waited for the same. */
export class PassedOver {
  #counts: number[] = PRIORITIES.map(() => 0);

  isLongest(priority: number): boolean {
    return (this.#counts[priority - 1] ?? 0) >= MAX_PASSED_OVER;
  }

  /** One of this priority was served, while others of those had to wait. */
  serve(priority: number, hasWaiting: (priority: number) => boolean): void {
    this.#counts[priority - 1] = 0;
    for (const other of PRIORITIES) {
      if (other < priority && hasWaiting(other)) {
        this.#counts[other - 1] = (this.#counts[other - 1] ?? 0) + 1;
      }
    }
  }
}

export class FairQueue {
  #passedOver: PassedOver;
  #lanes = new Map(PRIORITIES.map((priority) => [priority as number, new Heap(hasPaidLess)]));

  constructor(passedOver: PassedOver) {
    this.#passedOver = passedOver;
  }

  get size(): number {
    let size = 0;
    for (const lanes of this.#lanes.values()) size += lanes.size;
    return size;
  }

  has(priority: number): boolean {
    return (this.#lanes.get(priority)?.size ?? 0) > 0;
  }

  push(lane: Lane): void {
    const lanes = this.#lanes.get(lane.priority);
    if (lanes === undefined) throw new Error(`There is no priority ${lane.priority}`);
    lanes.push(lane);
  }

  remove(lane: Lane): void {
    this.#lanes.get(lane.priority)?.remove(lane);
  }

  pop(): Lane | undefined {
    const waiting = PRIORITIES.filter((priority) => this.has(priority));
    const due = waiting.find((priority) => this.#passedOver.isLongest(priority)) ?? waiting.at(-1);
    return due === undefined ? undefined : this.#lanes.get(due)?.pop();
  }

  /** Takes out lanes that have nothing to start. */
  takeEmpty(): Lane[] {
    const empty: Lane[] = [];
    for (const [priority, lanes] of this.#lanes) {
      const before = empty.length;
      const staying = new Heap(hasPaidLess);
      for (const lane of lanes.items) {
        if (lane.next === undefined) empty.push(lane);
        else staying.push(lane);
      }
      if (empty.length > before) this.#lanes.set(priority, staying);
    }
    return empty;
  }

  /** In no order. */
  *lanes(): Iterable<Lane> {
    for (const lanes of this.#lanes.values()) yield* lanes.items;
  }
}

/** Whether a lane comes before another, as long as no lower priority has its turn. */
export function comesBefore(a: Lane, b: Lane): boolean {
  return a.priority === b.priority ? hasPaidLess(a, b) : a.priority > b.priority;
}

function hasPaidLess(a: Lane, b: Lane): boolean {
  return a.virtual < b.virtual || (a.virtual === b.virtual && isOlder(a, b));
}

function isOlder({ next: a }: Lane, { next: b }: Lane): boolean {
  if (a === undefined || b === undefined) return b === undefined;
  return a.queuedAt < b.queuedAt || (a.queuedAt === b.queuedAt && a.id < b.id);
}
