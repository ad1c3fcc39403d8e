/**
 * Whether a worker takes tasks, and which: as it says itself, and as people ask of it. What they ask is told to it, and
 * outlasts its socket.
 */
import type { Labels, Session } from "./dispatcher/roster.ts";
import type { ShardCredits } from "./shard-credits.ts";
import type { ShardState } from "./shard-state.ts";

export class ShardReadiness {
  #state: ShardState;
  #credits: ShardCredits;

  constructor(state: ShardState, credits: ShardCredits) {
    this.#state = state;
    this.#credits = credits;
  }

  /** A person wants the worker to take no tasks, or tasks again. False: there is no such session. */
  askPause(id: string, isPaused: boolean): boolean {
    const session = this.#state.roster.find(id);
    if (session === undefined) return false;
    this.pause(session, isPaused, isPaused);
    this.#state.outbox.add(id, { type: isPaused ? "pause" : "resume" });
    return true;
  }

  /** A person wants the worker to finish what it has and leave. */
  askDrain(id: string): boolean {
    const session = this.#state.roster.find(id);
    if (session === undefined) return false;
    this.drain(session);
    this.#state.outbox.add(id, { type: "drain" });
    return true;
  }

  /** @param askedPause What a person has asked; its own word ends that. */
  pause(session: Session, isPaused: boolean, askedPause?: boolean): void {
    session.isPaused = isPaused;
    session.noteFreed();
    this.#credits.doubt(session);
    session.askedPause = askedPause;
    this.#state.storage.writeSession(session.toRecord());
    const event = isPaused ? "session.paused" : "session.unpaused";
    this.#state.log.info(event, { session_id: session.id, worker: session.worker });
  }

  label(session: Session, labels: Labels): void {
    session.labels = labels;
    session.noteFreed();
    this.#credits.doubt(session);
    this.#state.storage.writeSession(session.toRecord());
  }

  drain(session: Session): void {
    session.isDraining = true;
    this.#credits.doubt(session);
    this.#state.storage.writeSession(session.toRecord());
    this.#state.log.info("session.draining", { session_id: session.id, worker: session.worker });
  }

  /** It has been heard of: it gets tasks again. */
  wake(session: Session): void {
    if (!session.isStalled) return;
    session.isStalled = false;
    session.noteFreed();
    this.#credits.doubt(session);
  }
}
