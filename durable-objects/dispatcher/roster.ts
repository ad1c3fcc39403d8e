/**
 * The sessions of a shard and their free slots. A session whose socket has closed stays for a while,
 * so that it can be resumed; it takes no tasks meanwhile.
 */

export interface SessionRecord {
  id: string;
  worker: string;
  slots: number;
  actions: string[];
  versions: string[];
  isDraining: boolean;
  /** When its socket closed, in milliseconds since 1970; undefined while it is open. */
  closedAt: number | undefined;
}

export class Session {
  readonly id: string;
  worker = "";
  slots = 0;
  actions = new Set<string>();
  versions = new Set<string>();
  isDraining = false;
  closedAt: number | undefined;
  /** Tasks whose attempts hold a slot here, cancelled ones included until they are released. */
  readonly holding = new Set<string>();

  constructor(record: SessionRecord) {
    this.id = record.id;
    this.update(record);
  }

  update(record: Omit<SessionRecord, "id">): void {
    this.worker = record.worker;
    this.slots = record.slots;
    this.actions = new Set(record.actions);
    this.versions = new Set(record.versions);
    this.isDraining = record.isDraining;
    this.closedAt = record.closedAt;
  }

  get freeSlots(): number {
    if (this.isDraining || this.closedAt !== undefined) return 0;
    return Math.max(0, this.slots - this.holding.size);
  }

  toRecord(): SessionRecord {
    const { id, worker, slots, isDraining, closedAt } = this;
    return {
      id,
      worker,
      slots,
      actions: [...this.actions],
      versions: [...this.versions],
      isDraining,
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
      if (!session.isDraining && session.closedAt === undefined) return true;
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
