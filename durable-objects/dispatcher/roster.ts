/**
 * The sessions of a shard and their free slots. A session whose socket has closed stays for a while,
 * so that it can be resumed; it takes no tasks meanwhile.
 */
import type { WorkerRecord } from "../../protocol/http.ts";
import type { LabelRequest } from "../../protocol/limit-bodies.ts";
import type { LabelComparator } from "../../protocol/states.ts";
import { UNJUDGED } from "./gates.ts";
import type { ReadyTask } from "./lane.ts";
import type { LeaseKey } from "./leases.ts";
import type { Placing } from "./needs.ts";

/** What a preferred label counts for, where the step doesn't say. */
const DEFAULT_LABEL_WEIGHT = 100;

/** So many slots more would be used; `least` is what the task takes that comes first. */
export interface Wanted {
  slots: number;
  least: number;
}

export const NOTHING: Wanted = { slots: 0, least: 0 };

export type Labels = { [label: string]: string | number };

export interface SessionRecord {
  id: string;
  worker: string;
  slots: number;
  actions: string[];
  versions: string[];
  /** Milliseconds of silence, and without a socket, after which its attempts are lost. */
  heartbeatLimitMs: number;
  resumeGraceMs: number;
  isPaused: boolean;
  /** Whether a person wants it paused, until it has said so itself. */
  askedPause: boolean | undefined;
  isDraining: boolean;
  labels: Labels;
  /** When its present socket opened, and when it closed (undefined: it hasn't), since 1970. */
  connectedAt: number;
  closedAt: number | undefined;
}

export class Session {
  readonly id: string;
  worker = "";
  slots = 0;
  /** All slots of its worker, which divides them among shards; undefined: it does not. */
  of: number | undefined;
  /** What it was told is wanted here: see `shard-credits.ts`. */
  toldWanted: Wanted = NOTHING;
  actions = new Set<string>();
  versions = new Set<string>();
  heartbeatLimitMs = 0;
  resumeGraceMs = 0;
  isPaused = false;
  askedPause: boolean | undefined;
  isDraining = false;
  connectedAt = 0;
  closedAt: number | undefined;
  /**
   * It has not confirmed a task in time, and has said nothing since: it may answer pings all day, it
   * gets no tasks. Forgotten by the shard's next life, which finds out for itself.
   */
  isStalled = false;
  labels: Labels = {};
  /** Attempts that hold slots here, and how many; cancelled ones included until they are released. */
  readonly holding = new Map<LeaseKey, number>();
  /** Attempts whose handlers wait for children: they hold none, but those that want to go on claim some. */
  readonly waiting = new Map<LeaseKey, number>();
  #used = 0;
  #claimed = 0;
  #freed: Set<Session>;

  /** @param freed Where it notes that it may take something. */
  constructor(record: SessionRecord, freed: Set<Session>) {
    this.id = record.id;
    this.#freed = freed;
    this.update(record);
  }

  update(record: Omit<SessionRecord, "id">): void {
    this.worker = record.worker;
    this.slots = record.slots;
    this.actions = new Set(record.actions);
    this.versions = new Set(record.versions);
    this.heartbeatLimitMs = record.heartbeatLimitMs;
    this.resumeGraceMs = record.resumeGraceMs;
    this.isPaused = record.isPaused;
    this.askedPause = record.askedPause;
    this.isDraining = record.isDraining;
    this.labels = record.labels;
    this.connectedAt = record.connectedAt;
    this.closedAt = record.closedAt;
    this.noteFreed();
  }

  /** It may take something that it could not take before. */
  noteFreed(): void {
    this.#freed.add(this);
  }

  /** As people see it. */
  get state(): WorkerRecord["state"] {
    if (this.closedAt !== undefined) return "disconnected";
    if (this.isDraining) return "draining";
    if (this.isStalled) return "stalled";
    return this.isPaused ? "paused" : "connected";
  }

  /** Whether it takes tasks at all now. */
  get isTaking(): boolean {
    return !this.isDraining && !this.isPaused && !this.isStalled && this.closedAt === undefined;
  }

  get freeSlots(): number {
    return this.isTaking ? Math.max(0, this.slots - this.#used - this.#claimed) : 0;
  }

  get usedSlots(): number {
    return this.#used;
  }

  /** Slots that attempts claim which want to go on. */
  get claimedSlots(): number {
    return this.#claimed;
  }

  /** Whether attempts depend on it: its silence matters only then. */
  get isBusy(): boolean {
    return this.holding.size > 0 || this.waiting.size > 0;
  }

  /** The attempt takes so many slots here. */
  hold(key: LeaseKey, slots: number): void {
    this.letGo(key);
    this.holding.set(key, slots);
    this.#used += slots;
  }

  /** The attempt is here, and for now takes no slots; it is the next to have so many. */
  holdWaiting(key: LeaseKey, claimed = 0): void {
    this.letGo(key);
    this.waiting.set(key, claimed);
    this.#claimed += claimed;
  }

  letGo(key: LeaseKey): void {
    const claimed = this.waiting.get(key) ?? 0;
    this.waiting.delete(key);
    this.#claimed -= claimed;
    if (claimed > 0) this.noteFreed();
    const slots = this.holding.get(key);
    if (slots === undefined) return;
    this.holding.delete(key);
    this.#used -= slots;
    this.noteFreed();
  }

  toRecord(): SessionRecord {
    const { id, worker, slots, heartbeatLimitMs, resumeGraceMs } = this;
    const { isPaused, askedPause, isDraining, labels, connectedAt, closedAt } = this;
    return {
      id,
      worker,
      slots,
      actions: [...this.actions],
      versions: [...this.versions],
      heartbeatLimitMs,
      resumeGraceMs,
      isPaused,
      askedPause,
      isDraining,
      labels,
      connectedAt,
      closedAt,
    };
  }
}

export class Roster {
  #sessions = new Map<string, Session>();
  #byAction = new Map<string, Set<Session>>();
  #freed = new Set<Session>();
  #divided = new Set<Session>();
  #own: Session | undefined;

  /** Sessions whose workers divide their slots among shards. */
  get divided(): ReadonlySet<Session> {
    return this.#divided;
  }

  /** The worker has so many slots, and this shard may use so many of them. */
  credit(session: Session, slots: number, of: number): void {
    session.slots = slots;
    session.of = of;
    this.#divided.add(session);
    session.noteFreed();
  }

  /** The worker has given all its slots to this shard, for good. */
  undivide(session: Session): void {
    session.of = undefined;
    session.toldWanted = NOTHING;
    this.#divided.delete(session);
  }

  get size(): number {
    return this.#sessions.size;
  }

  get sessions(): Iterable<Session> {
    return this.#sessions.values();
  }

  find(id: string): Session | undefined {
    return this.#own?.id === id ? this.#own : this.#sessions.get(id);
  }

  /** A session that a worker may resume: never that of Skein's own. */
  findWorker(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** Adds the session of Skein's own worker. It has no socket, never leaves, and is none of `sessions`. */
  joinOwn(record: SessionRecord): void {
    this.#own = new Session(record, this.#freed);
    this.#offer(this.#own);
  }

  /** Adds a session, or gives a known one what its worker now says of itself. */
  join(record: SessionRecord): Session {
    const session = this.#sessions.get(record.id) ?? new Session(record, this.#freed);
    for (const action of session.actions) this.#byAction.get(action)?.delete(session);
    session.update(record);
    this.#sessions.set(session.id, session);
    this.#offer(session);
    return session;
  }

  #offer(session: Session): void {
    for (const action of session.actions) {
      const offering = this.#byAction.get(action);
      if (offering) offering.add(session);
      else this.#byAction.set(action, new Set([session]));
    }
  }

  leave(session: Session): void {
    this.#sessions.delete(session.id);
    this.#divided.delete(session);
    for (const action of session.actions) {
      const offering = this.#byAction.get(action);
      offering?.delete(session);
      if (offering?.size === 0) this.#byAction.delete(action);
    }
  }

  /** Whether a session that is there now could ever take a task of this action. */
  isServed(action: string): boolean {
    if (action === UNJUDGED) return true; // the shard itself sees to them
    for (const session of this.#byAction.get(action) ?? []) {
      if (session.isTaking) return true;
    }
    return false;
  }

  /** Whether anybody who has the action has a free slot. */
  hasFreeSlot(action: string): boolean {
    for (const { freeSlots } of this.#byAction.get(action) ?? []) if (freeSlots > 0) return true;
    return false;
  }

  /** Sessions that offer an action, whether or not they take tasks now. */
  offering(action: string): Iterable<Session> {
    return this.#byAction.get(action) ?? [];
  }

  /** Sessions that may take something that they could not take when this was last asked. */
  takeFreed(): Session[] {
    if (this.#freed.size === 0) return [];
    const freed = [...this.#freed];
    this.#freed.clear();
    return freed;
  }

  /**
   * Who is to have a task: among those that may, the run's own worker if it is sticky, else one built with
   * the same version, else the one with the labels that are preferred, else the one with most free slots.
   */
  choose({ action, version, needs: { placing } }: ReadyTask): Session | undefined {
    let best: Session | undefined;
    for (const session of this.#byAction.get(action) ?? []) {
      if (session.freeSlots < placing.slots || !suits(session, placing)) continue;
      if (best === undefined || isBetter(session, best, version, placing)) best = session;
    }
    return best;
  }
}

/** Each counts only where those before it are equal. There may be a thousand to compare for each task. */
function isBetter(a: Session, b: Session, version: string, { labels, worker }: Placing): boolean {
  const isOwn = a.worker === worker;
  if (worker !== undefined && isOwn !== (b.worker === worker)) return isOwn;
  const isOfVersion = a.versions.has(version);
  if (isOfVersion !== b.versions.has(version)) return isOfVersion;
  const difference = labels === undefined ? 0 : preference(a, labels) - preference(b, labels);
  return difference === 0 ? a.freeSlots > b.freeSlots : difference > 0;
}

function preference(session: Session, labels: NonNullable<Placing["labels"]>): number {
  let sum = 0;
  for (const [label, request] of Object.entries(labels)) {
    if (request.isRequired === true) continue;
    if (meets(session.labels[label], request)) sum += request.weight ?? DEFAULT_LABEL_WEIGHT;
  }
  return sum;
}

/** Whether a session may have such a task at all. */
export function suits(session: Session, { labels, sticky, pinnedTo, worker }: Placing): boolean {
  if (pinnedTo !== undefined && !session.versions.has(pinnedTo.version)) return false;
  if (sticky === "hard" && worker !== undefined && session.worker !== worker) return false;
  if (labels === undefined) return true;
  return Object.entries(labels).every(
    ([label, request]) => request.isRequired !== true || meets(session.labels[label], request),
  );
}

/** A label that is not there meets nothing but `!=`. Texts and numbers are never equal, nor compared. */
function meets(
  label: string | number | undefined,
  { comparator = "==", value }: LabelRequest,
): boolean {
  if (comparator === "==") return label === value;
  if (comparator === "!=") return label !== value;
  if (typeof label === "number" && typeof value === "number")
    return compare(label, comparator, value);
  if (typeof label === "string" && typeof value === "string")
    return compare(label, comparator, value);
  return false;
}

function compare<Value extends string | number>(
  label: Value,
  comparator: Exclude<LabelComparator, "==" | "!=">,
  value: Value,
): boolean {
  switch (comparator) {
    case "<":
      return label < value;
    case "<=":
      return label <= value;
    case ">":
      return label > value;
    case ">=":
      return label >= value;
  }
}
