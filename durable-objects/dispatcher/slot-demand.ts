/**
 * What the lanes that wait for a slot would take, counted by action and by which workers may have it. Kept
 * while some worker divides its slots among shards. A lane costs something when it begins or ceases to wait,
 * never while it does; what has changed is asked for by group, of which there are few.
 */
import { MAX_WANTED_SLOTS } from "../../protocol/slot-frames.ts";
import type { Lane } from "./lane.ts";
import type { Placing } from "./needs.ts";
import { type Session, suits, type Wanted } from "./roster.ts";

/** Lanes of one action that the same workers may have, and whose tasks take as many slots. */
export interface DemandGroup {
  key: string;
  action: string;
  placing: Placing;
  /** Slots that its waiting tasks would take. */
  wanted: number;
  /** As it was when a change was last told of. */
  told: number;
  /** Since when none of its tasks has started, as a count of what has. */
  waitsSince: number;
}

export class SlotDemand {
  #byAction = new Map<string, Map<string, DemandGroup>>();
  #ofLane = new Map<Lane, { group: DemandGroup; wanted: number }>();
  #touched = new Set<DemandGroup>();
  #started = 0;

  /** The lane waits for a slot; or it did, and has other tasks by now. */
  note(lane: Lane): void {
    const task = lane.next;
    if (task === undefined) return this.drop(lane);
    const { needs, placing } = task.needs;
    // Of tasks that are under limits perhaps no more than one may start; more is heard of when it has.
    const tasks = needs.length > 0 ? 1 : Math.max(1, lane.length);
    const known = this.#ofLane.get(lane);
    const group = this.#groupOf(lane.action, placing);
    const wanted = tasks * placing.slots;
    if (known !== undefined) this.#add(known.group, -known.wanted);
    this.#ofLane.set(lane, { group, wanted });
    lane.onRemoved = () => this.note(lane);
    this.#add(group, wanted);
  }

  /** The lane waits no more. */
  drop(lane: Lane): void {
    const known = this.#ofLane.get(lane);
    if (known === undefined) return;
    this.#ofLane.delete(lane);
    lane.onRemoved = undefined;
    this.#add(known.group, -known.wanted);
  }

  /** A task of the lane has started. */
  start({ action, placing }: Lane): void {
    if (placing === undefined) return;
    const group = this.#byAction.get(action)?.get(keyOf(placing));
    if (group !== undefined) group.waitsSince = ++this.#started;
  }

  /** Actions of which so much more, or so much less, is wanted that it matters, since this was last asked. */
  takeChanged(): Set<string> {
    const changed = new Set<string>();
    for (const group of this.#touched) {
      if (hasChanged(group.told, group.wanted)) {
        group.told = group.wanted;
        changed.add(group.action);
      }
      if (group.wanted === 0) this.#forget(group);
    }
    this.#touched.clear();
    return changed;
  }

  /** What waits of an action. */
  groupsOf(action: string): Iterable<DemandGroup> {
    return this.#byAction.get(action)?.values() ?? [];
  }

  /** What would be given to this session if it had the slots, of so many that its worker has. */
  of(session: Session, all: number): Wanted {
    let slots = 0;
    let first: DemandGroup | undefined;
    for (const [action, groups] of this.#byAction) {
      if (!session.actions.has(action)) continue;
      for (const group of groups.values()) {
        const { placing, wanted, waitsSince } = group;
        if (wanted === 0 || placing.slots > all || !suits(session, placing)) continue;
        slots += wanted;
        if (first === undefined || waitsSince < first.waitsSince) first = group;
      }
    }
    return { slots: Math.min(slots, MAX_WANTED_SLOTS), least: first?.placing.slots ?? 0 };
  }

  #add(group: DemandGroup, change: number): void {
    group.wanted += change;
    this.#touched.add(group);
  }

  #groupOf(action: string, placing: Placing): DemandGroup {
    let groups = this.#byAction.get(action);
    if (groups === undefined) this.#byAction.set(action, (groups = new Map()));
    const key = keyOf(placing);
    let group = groups.get(key);
    if (group === undefined) {
      group = { key, action, placing, wanted: 0, told: 0, waitsSince: ++this.#started };
      groups.set(key, group);
    }
    return group;
  }

  #forget({ action, key }: DemandGroup): void {
    const groups = this.#byAction.get(action);
    groups?.delete(key);
    if (groups?.size === 0) this.#byAction.delete(action);
  }
}

/** Whether it is another matter: something for nothing, or a half more or less. */
export function hasChanged(told: number, now: number): boolean {
  if (told === 0 || now === 0) return told !== now;
  return now >= told * 2 || now * 2 <= told;
}

function keyOf({ slots, labels, sticky, pinnedTo, worker }: Placing): string {
  const own = sticky === "hard" ? worker : undefined;
  if (labels === undefined && own === undefined && pinnedTo === undefined) return String(slots);
  return JSON.stringify([slots, labels, own, pinnedTo?.version]);
}
