/**
 * Whose turn it is: lanes that may have something to start, and lanes that are known to wait for
 * something. A lane that waits costs nothing until what it waits for may have become free; then those
 * that wait for the same are asked in their order, one at a time.
 */
import { PRIORITIES } from "../../protocol/limits.ts";
import { comesBefore, FairQueue, PassedOver } from "./fair-queue.ts";
import { Heap } from "./heap.ts";
import type { Lane } from "./lane.ts";
import { MAX_DEBTS } from "./limits.ts";
import { SlotDemand } from "./slot-demand.ts";

/** What the names of lines begin with in which lanes wait for a slot; ids of limits don't. */
const SLOT = "slot ";

/**
 * What the names of lines begin with in which lanes wait whose runs hold a limit, until it is lent for long enough.
 * Those who wait for a permit of it wait for something else: the first of them may have to wait for these.
 */
const HELD = "(held) ";

/** The line of those who hold it. */
export function heldLine(id: string): string {
  return HELD + id;
}

export class Turns {
  #passedOver = new PassedOver();
  #due = new FairQueue(this.#passedOver);
  /** By what they wait for. */
  #blocked = new Map<string, FairQueue>();
  /** What may be free: the first of those who wait for it is asked. */
  #opened = new Set<string>();
  /** What will be free at which moment; and all moments that were ever said, the earliest first. */
  #openings = new Map<string, number>();
  #moments = new Heap<{ id: string; at: number }>((a, b) => a.at < b.at);
  /** By action, what its lanes wait for that a worker's slot may end. */
  #slotWaits = new Map<string, Set<string>>();
  /** What those would take; undefined while nobody asks. */
  #demand: SlotDemand | undefined;
  /** Lanes that have stood in a line for nothing. */
  #dismissed: Lane[] = [];
  /** Lanes whose lines were asked because of them, since all turns were last over. */
  #presented = new Set<Lane>();
  /** What lanes have paid beyond others that have nothing to start now: they come back no richer. */
  #debts = new Map<string, number>();
  /** By priority, what the lane that was served last had paid: one that comes new pays no less. */
  #clocks: number[] = PRIORITIES.map(() => 0);

  /** The lane has a task, perhaps its first for a while. */
  join(lane: Lane): void {
    if (this.#demand && lane.standing === "blocked" && lane.blockedOn?.startsWith(SLOT)) {
      this.#demand.note(lane);
    }
    if (lane.standing !== "idle" || lane.length === 0) return;
    const debt = this.#debts.get(debtorOf(lane)) ?? 0;
    lane.virtual = Math.max(lane.virtual, debt, this.#clockOf(lane));
    this.#enter(lane);
  }

  /** The lane whose turn it is. Say with `pay`, `leave` or `block` what has become of it. */
  next(): Lane | undefined {
    this.#ask();
    const lane = this.#due.pop();
    if (lane === undefined) {
      this.#presented.clear();
      return undefined;
    }
    lane.standing = "idle";
    this.#clocks[lane.priority - 1] = Math.max(this.#clockOf(lane), lane.virtual);
    return lane;
  }

  /** The lane has started a task of such a cost. */
  pay(lane: Lane, cost: number): void {
    this.#demand?.start(lane);
    lane.virtual += cost / lane.weight;
    const others = lane.blockedOn === undefined ? undefined : this.#blocked.get(lane.blockedOn);
    this.#passedOver.serve(
      lane.priority,
      (priority) => this.#due.has(priority) || others?.has(priority) === true,
    );
    this.leave(lane);
    if (lane.length > 0) this.#enter(lane);
    else this.#remember(lane);
  }

  /** What the lane has paid for was more than it has really taken: a cost below 0. Or it was less. */
  correct(lane: Lane, cost: number): void {
    const change = cost / lane.weight;
    if (lane.standing === "idle") {
      const debt = this.#debts.get(debtorOf(lane)) ?? 0;
      this.#debts.delete(debtorOf(lane));
      lane.virtual = Math.max(lane.virtual, debt, this.#clockOf(lane)) + change;
      this.#remember(lane);
      return;
    }
    const queue = lane.standing === "due" ? this.#due : this.#blocked.get(lane.blockedOn ?? "");
    queue?.remove(lane);
    lane.virtual += change;
    queue?.push(lane);
    // Another may be the first of those who wait now, and need less.
    if (lane.blockedOn !== undefined) this.open(lane.blockedOn);
  }

  /** The lane has nothing that could start now. */
  leave(lane: Lane): void {
    const id = lane.blockedOn;
    lane.blockedOn = undefined;
    if (id !== undefined) this.open(id); // there may be more of it, for the next who waits
  }

  /** The lane's first task waits for this, until `at` if that is known. */
  block(lane: Lane, on: string, at?: number): void {
    if (lane.blockedOn !== on) this.leave(lane);
    lane.standing = "blocked";
    lane.blockedOn = on;
    let waiting = this.#blocked.get(on);
    if (waiting === undefined) this.#blocked.set(on, (waiting = new FairQueue(this.#passedOver)));
    waiting.push(lane);
    if (at === undefined || this.#openings.get(on) === at) return;
    this.#openings.set(on, at);
    this.#moments.push({ id: on, at });
  }

  /**
   * The lane has joined a line that others wait in, although there is some: whoever is the first now is asked, before
   * a slot that is there for this lane goes elsewhere. Once until all turns are over: it may go from line to line.
   */
  present(lane: Lane): void {
    if (lane.blockedOn === undefined || this.#presented.has(lane)) return;
    this.#presented.add(lane);
    this.open(lane.blockedOn);
  }

  /** The lane's first task waits for a slot: any of its action, or one that suits this lane alone. */
  blockOnSlot(lane: Lane, isOwn: boolean): void {
    const on = isOwn ? `${SLOT}${lane.action} ${lane.number}` : SLOT + lane.action;
    this.block(lane, on);
    const waits = this.#slotWaits.get(lane.action);
    if (waits) waits.add(on);
    else this.#slotWaits.set(lane.action, new Set([on]));
    this.#demand?.note(lane);
  }

  /** What lanes that wait for a slot would take, counted from now on if it was not; `undefined`: no more. */
  countSlots(isWanted: boolean): SlotDemand | undefined {
    if (!isWanted) return (this.#demand = undefined);
    if (this.#demand !== undefined) return this.#demand;
    this.#demand = new SlotDemand();
    for (const [id, waiting] of this.#blocked) {
      if (!id.startsWith(SLOT)) continue;
      for (const lane of waiting.lanes()) this.#demand.note(lane);
    }
    return this.#demand;
  }

  /** The lane has nothing to start any more, and stands in no line. */
  remove(lane: Lane): void {
    const queue = lane.standing === "due" ? this.#due : this.#blocked.get(lane.blockedOn ?? "");
    queue?.remove(lane);
    if (lane.standing === "blocked") this.#forgetLine(lane.blockedOn ?? "");
    lane.standing = "idle";
    this.leave(lane);
  }

  #forgetLine(id: string): void {
    if (this.#blocked.get(id)?.size !== 0) return;
    this.#blocked.delete(id);
    this.#openings.delete(id);
  }

  /** Whether others wait for this who come before a lane that was not asked for it. */
  isWaitedFor(id: string, lane: Lane): boolean {
    return lane.blockedOn !== id && this.#blocked.has(id);
  }

  /** Some of it may have become free. */
  open(id: string): void {
    for (const line of [id, heldLine(id)]) if (this.#blocked.has(line)) this.#opened.add(line);
  }

  /** A worker that has these actions may take something. */
  openSlots(actions: ReadonlySet<string>): void {
    for (const [action, waits] of this.#slotWaits) {
      if (!actions.has(action)) continue;
      this.#slotWaits.delete(action);
      for (const id of waits) this.open(id);
    }
  }

  /** Opens what was to become free by now. */
  openDue(now: number): void {
    for (let next = this.#nextMoment(); next && next.at <= now; next = this.#nextMoment()) {
      this.#moments.pop();
      this.#openings.delete(next.id);
      this.open(next.id);
    }
  }

  /** Opens everything: what limits allow has changed. */
  openAll(): void {
    for (const id of this.#blocked.keys()) this.#opened.add(id);
    this.#openings.clear();
    this.#moments = new Heap((a, b) => a.at < b.at);
    this.#slotWaits.clear();
  }

  /** When something becomes free that is waited for; infinity when that is not known. */
  nextOpening(): number {
    return this.#nextMoment()?.at ?? Number.POSITIVE_INFINITY;
  }

  /** The earliest that has not been taken back. */
  #nextMoment(): { id: string; at: number } | undefined {
    for (let next = this.#moments.peek(); next; next = this.#moments.peek()) {
      if (this.#openings.get(next.id) === next.at) return next;
      this.#moments.pop();
    }
    return undefined;
  }

  /** Has all lanes leave the lines that have nothing to start any more. */
  sweep(): void {
    for (const [id, waiting] of this.#blocked) {
      for (const lane of waiting.takeEmpty()) this.#dismiss(lane);
      if (waiting.size > 0) continue;
      this.#blocked.delete(id);
      this.#openings.delete(id);
    }
    for (const [action, waits] of this.#slotWaits) {
      for (const id of waits) if (!this.#blocked.has(id)) waits.delete(id);
      if (waits.size === 0) this.#slotWaits.delete(action);
    }
  }

  /** Lanes that have left a line because they had nothing to start, since this was last asked. */
  takeDismissed(): Lane[] {
    return this.#dismissed.splice(0);
  }

  /** Lanes that wait for this, in no order. */
  waitingFor(id: string): Lane[] {
    return this.lineFor(id).filter(({ length }) => length > 0);
  }

  /** Likewise, with those of which the first task is in the queue. */
  lineFor(id: string): Lane[] {
    return [...(this.#blocked.get(id)?.lanes() ?? [])].filter(({ next }) => next !== undefined);
  }

  /** Likewise, in the order in which they get their turn. */
  orderFor(id: string): Lane[] {
    return this.lineFor(id).toSorted(
      (a, b) => Number(comesBefore(b, a)) - Number(comesBefore(a, b)),
    );
  }

  /** Lanes that wait for the same as this one, and come before it. */
  aheadOf(lane: Lane): Lane[] {
    if (lane.blockedOn === undefined) return [];
    return this.waitingFor(lane.blockedOn).filter((other) => comesBefore(other, lane));
  }

  /** Gives the first of those who wait for each opened thing its turn. It keeps what it has paid. */
  #ask(): void {
    for (const id of this.#opened) {
      this.#opened.delete(id);
      const waiting = this.#blocked.get(id);
      let lane = waiting?.pop();
      while (lane !== undefined && lane.next === undefined) {
        this.#dismiss(lane); // what it had to start was cancelled
        lane = waiting?.pop();
      }
      this.#forgetLine(id);
      if (lane) this.#enter(lane);
    }
  }

  #dismiss(lane: Lane): void {
    this.#demand?.drop(lane);
    lane.standing = "idle";
    lane.blockedOn = undefined;
    this.#dismissed.push(lane);
  }

  #clockOf({ priority }: Lane): number {
    return this.#clocks[priority - 1] ?? 0;
  }

  /** Those who have paid no more than others by now have no debt. */
  #remember(lane: Lane): void {
    if (lane.virtual <= this.#clockOf(lane)) return;
    this.#debts.set(debtorOf(lane), lane.virtual);
    if (this.#debts.size <= MAX_DEBTS) return;
    const least = Math.min(...this.#clocks);
    for (const [debtor, debt] of this.#debts) {
      if (debt <= least || this.#debts.size > MAX_DEBTS / 2) this.#debts.delete(debtor);
    }
  }

  #enter(lane: Lane): void {
    this.#demand?.drop(lane);
    lane.standing = "due";
    this.#due.push(lane);
  }
}

function debtorOf({ action, number }: Lane): string {
  return `${number} ${action}`;
}
