/**
 * Lanes that have tasks in the queue, as far as the shard knows them, and what to take from which: from
 * each lane that has run low in the window and whose action somebody takes. Bounded: when there are more
 * lanes than may be known, the others are read as those run empty.
 */
import type { LaneRow, TakeRow } from "../../database/rows.ts";
import type { Lane } from "./lane.ts";
import {
  LANE_PAGE,
  MAX_KNOWN_LANES,
  MAX_LANE,
  MAX_TAKE,
  MAX_WINDOW,
  MAX_WINDOW_BYTES,
  MIN_LANE_TAKE,
} from "./limits.ts";
import type { ReadyWindow } from "./window.ts";

/** What to list of the queue's lanes: those after this one, from the first without. */
export type LanePage = { after?: LaneRow; n: number };

export class Backlog {
  #window: ReadyWindow;
  /** Lanes with a backlog that may have run low, by action. */
  #low = new Map<string, Set<Lane>>();
  /** Lanes whose next task could start, and is fetched for that. */
  #wanted = new Set<Lane>();
  #known = 0;
  /** Where to go on reading; null: everything has been read. */
  #next: LanePage | null = null;

  constructor(window: ReadyWindow) {
    this.#window = window;
  }

  /** The queue may have more lanes than are known here: read them all again. */
  reread(): void {
    this.#next = { n: LANE_PAGE };
  }

  /** Lanes that are known to have tasks in the queue. */
  get known(): number {
    return this.#known;
  }

  /** What to read of the queue's lanes now, if anything. */
  get page(): LanePage | undefined {
    return this.#known <= MAX_KNOWN_LANES / 2 ? (this.#next ?? undefined) : undefined;
  }

  /** A page of the queue's lanes is here. */
  read(lanes: readonly LaneRow[], { n }: LanePage): void {
    for (const lane of lanes) this.note(lane);
    const after = lanes.at(-1);
    this.#next = lanes.length < n || after === undefined ? null : { after, n: LANE_PAGE };
  }

  /** The lane has tasks in the queue. */
  note(row: LaneRow): void {
    const known = this.#window.find(row);
    if (known?.hasBacklog !== true && this.#known >= MAX_KNOWN_LANES) {
      this.#next ??= { n: LANE_PAGE };
      return;
    }
    const lane = known ?? this.#window.lane(row);
    lane.isSpilledSince = lane.isTaking;
    if (!lane.hasBacklog) this.#known++;
    lane.hasBacklog = true;
    this.watch(lane);
  }

  /** The lane may have run low. */
  watch(lane: Lane): void {
    if (!lane.hasBacklog || lane.isTaking || !isLow(lane) || lane.parked !== undefined) return;
    // One that has something here is looked at again when that has started.
    if (lane.length > 0 && this.#window.roomOf(lane) === 0) return;
    const low = this.#low.get(lane.action);
    if (low) low.add(lane);
    else this.#low.set(lane.action, new Set([lane]));
  }

  /** The lane's next task could start. */
  want(lane: Lane): void {
    this.#wanted.add(lane);
    // Its task may only be on its way into the queue: a lane that is forgotten meanwhile would keep its turn.
    if (!lane.hasBacklog) this.#known++;
    lane.hasBacklog = true;
    this.watch(lane);
  }

  /** Lanes that are wanted, and that nobody would take a task of now. */
  giveUp(isServed: (action: string) => boolean): Lane[] {
    if (this.#wanted.size === 0) return [];
    const given = [...this.#wanted].filter(({ action }) => !isServed(action));
    for (const lane of given) this.#wanted.delete(lane);
    return given;
  }

  /** Whether there is anything to take now. */
  hasDemand(isServed: (action: string) => boolean): boolean {
    const { size, bytes } = this.#window;
    if (this.#low.size === 0 || size >= MAX_WINDOW || bytes >= MAX_WINDOW_BYTES / 2) return false;
    for (const action of this.#low.keys()) if (isServed(action)) return true;
    return false;
  }

  /** What to take from which lanes. They are being taken from until `taken` or `untaken`. */
  demand(isServed: (action: string) => boolean): TakeRow[] {
    const demand: TakeRow[] = [];
    if (!this.hasDemand(isServed)) return demand;
    const served = [...this.#low].filter(([action]) => isServed(action));
    const share = shareOf(served.reduce((count, [, lanes]) => count + lanes.size, 0));
    let left = MAX_TAKE;
    for (const [action, lanes] of served) {
      for (const lane of lanes) {
        if (left === 0) return demand;
        const wanted = lane.number === 0 ? MAX_TAKE : Math.min(share, MAX_LANE - lane.length);
        const n = Math.min(wanted, left, this.#window.roomOf(lane));
        if (n <= 0 && lane.length === 0) return demand; // there is no room for anything
        lanes.delete(lane);
        if (n <= 0 || !isLow(lane)) continue;
        left -= n;
        lane.isTaking = true;
        demand.push({ action, lane: lane.number, n });
      }
      if (lanes.size === 0) this.#low.delete(action);
    }
    return demand;
  }

  /**
   * A refill has landed: `more` are the lanes that still have tasks in the queue. Gives those that were
   * wanted in vain.
   */
  taken(demand: readonly TakeRow[], more: readonly LaneRow[]): Lane[] {
    const missed: Lane[] = [];
    const left = new Set(more.map(({ action, lane }) => `${lane} ${action}`));
    for (const { action, lane: number } of demand) {
      const lane = this.#window.lane({ action, lane: number });
      const hasBacklog = lane.isSpilledSince || left.has(`${number} ${action}`);
      if (lane.hasBacklog && !hasBacklog) this.#known--;
      lane.hasBacklog = hasBacklog;
      if (this.#wanted.delete(lane) && lane.length === 0) missed.push(lane);
      this.#end(lane);
    }
    return missed;
  }

  /** A refill has failed and may be asked for again. */
  untaken(demand: readonly TakeRow[]): void {
    for (const { action, lane } of demand) this.#end(this.#window.lane({ action, lane }));
  }

  #end(lane: Lane): void {
    lane.isTaking = lane.isSpilledSince = false;
    this.watch(lane);
    this.#window.forget(lane);
  }
}

/**
 * How many tasks of each lane a refill asks for, when so many have run low. It can't know how many there
 * are: where lines are short, many of few lanes would bring next to nothing.
 */
function shareOf(lanes: number): number {
  return Math.max(MIN_LANE_TAKE, Math.floor(MAX_TAKE / lanes));
}

function isLow({ number, length }: Lane): boolean {
  return length < (number === 0 ? MAX_TAKE : MAX_LANE) / 2;
}
