/**
 * The sessions of a shard and their free slots. A session whose socket has closed stays for a while,
 * so that it can be resumed; it takes no tasks meanwhile.
 */
import type { LeaseKey } from "./leases.ts";

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
  /** When its present socket opened, and when it closed (undefined: it hasn't), since 1970. */
  connectedAt: number;
  closedAt: number | undefined;
}

export class Session {
  readonly id: string;
  worker = "";
  slots = 0;
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
  /** Attempts that hold a slot here, cancelled ones included until they are released. */
  readonly holding = new Set<LeaseKey>();
  /** Attempts whose handlers only wait for children, and hold none. */
  readonly waiting = new Set<LeaseKey>();

  constructor(record: SessionRecord) {
    this.id = record.id;
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
    this.connectedAt = record.connectedAt;
    this.closedAt = record.closedAt;
  }

  /** Whether it takes tasks at all now. */
  get isTaking(): boolean {
    return !this.isDraining && !this.isPaused && !this.isStalled && this.closedAt === undefined;
  }

  get freeSlots(): number {
    return this.isTaking ? Math.max(0, this.slots - this.holding.size) : 0;
  }

  /** Whether attempts depend on it: its silence matters only then. */
  get isBusy(): boolean {
    return this.holding.size > 0 || this.waiting.size > 0;
  }

  /** The attempt takes a slot here, or with `isWaiting` none. */
  hold(key: LeaseKey, isWaiting = false): void {
    (isWaiting ? this.holding : this.waiting).delete(key);
    (isWaiting ? this.waiting : this.holding).add(key);
  }

  letGo(key: LeaseKey): void {
    this.holding.delete(key);
    this.waiting.delete(key);
  }

  toRecord(): SessionRecord {
    const { id, worker, slots, heartbeatLimitMs, resumeGraceMs } = this;
    const { isPaused, askedPause, isDraining, connectedAt, closedAt } = this;
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
      connectedAt,
      closedAt,
    };
  }
}

export class Roster {
  #sessions = new Map<string, Session>();
  #byAction = new Map<string, Set<Session>>();

  get sessions(): Iterable<Session> {
    return this.#sessions.values();
  }

  find(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** Adds a session, or gives a known one what its worker now says of itself. */
  join(record: SessionRecord): Session {
    const session = this.#sessions.get(record.id) ?? new Session(record);
    for (const action of session.actions) this.#byAction.get(action)?.delete(session);
    session.update(record);
    this.#sessions.set(session.id, session);
    for (const action of session.actions) {
      const offering = this.#byAction.get(action);
      if (offering) offering.add(session);
      else this.#byAction.set(action, new Set([session]));
    }
    return session;
  }

  leave(session: Session): void {
    this.#sessions.delete(session.id);
    for (const action of session.actions) {
      const offering = this.#byAction.get(action);
      offering?.delete(session);
      if (offering?.size === 0) this.#byAction.delete(action);
    }
  }

  /** Whether a session that is there now could ever take a task of this action. */
  isServed(action: string): boolean {
    for (const session of this.#byAction.get(action) ?? []) {
      if (session.isTaking) return true;
    }
    return false;
  }

  /** The session with the most free slots among those that offer an action. */
  mostFree(action: string): Session | undefined {
    let best: Session | undefined;
    for (const session of this.#byAction.get(action) ?? []) {
      if (session.freeSlots > (best?.freeSlots ?? 0)) best = session;
    }
    return best;
  }
}
