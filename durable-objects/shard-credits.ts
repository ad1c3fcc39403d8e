/**
 * How many of a worker's slots this shard may use, where the worker divides them among several: the worker
 * says so, and the shard says how many more it would use. Nothing here runs for a worker of one shard.
 */
import { type CreditFrame, MAX_WANTED_SLOTS } from "../protocol/slot-frames.ts";
import { NOTHING, type Session, type Wanted } from "./dispatcher/roster.ts";
import { hasChanged, type SlotDemand } from "./dispatcher/slot-demand.ts";
import { WantRounds } from "./dispatcher/want-rounds.ts";
import type { ShardState } from "./shard-state.ts";
import { keepCredit, readAttachment } from "./worker-sockets.ts";

export class ShardCredits {
  #state: ShardState;
  #socketOf: (session: string) => WebSocket | undefined;
  /** Sessions of which something else may be wanted, whatever waits. */
  #unsure = new Set<Session>();
  #rounds = new WantRounds();

  constructor(state: ShardState, socketOf: (session: string) => WebSocket | undefined) {
    this.#state = state;
    this.#socketOf = socketOf;
  }

  /** A life before this one has left the socket: its worker goes by what was said on it. */
  restore(session: Session, socket: WebSocket): void {
    const { credit } = readAttachment(socket);
    if (credit === undefined) return;
    this.#state.roster.credit(session, credit.slots, credit.of);
    session.toldWanted = credit.wanted;
    this.#rounds.note(session);
    this.#unsure.add(session);
  }

  /** A worker has said hello: it knows nothing of what is wanted here. */
  greet(session: Session, socket: WebSocket, of: number | undefined): void {
    const { roster } = this.#state;
    if (of === undefined) roster.undivide(session);
    else roster.credit(session, session.slots, of);
    session.toldWanted = NOTHING;
    this.#rounds.note(session);
    keepCredit(socket, session);
    this.doubt(session);
  }

  /** The answer comes before every task that is placed under the new number. */
  hear(session: Session, { slots, of }: CreditFrame): void {
    const socket = this.#socketOf(session.id);
    if (socket === undefined) return;
    this.#state.roster.credit(session, slots, of);
    keepCredit(socket, session);
    this.#state.outbox.add(session.id, { type: "slots", slots });
    this.doubt(session);
  }

  /** It takes tasks now, or takes none, or others. */
  doubt(session: Session): void {
    if (session.of !== undefined) this.#unsure.add(session);
  }

  /** Its worker has left. */
  forget(session: Session): void {
    this.#unsure.delete(session);
    this.#rounds.forget(session);
  }

  /** When more workers are asked, unless those that have been give enough. */
  get nextDue(): number {
    return this.#rounds.nextDue;
  }

  /** Tells workers that have slots elsewhere what would be used here, where that has changed enough. */
  tell(now: number): void {
    const { roster, turns, returns } = this.#state;
    const demand = turns.countSlots(roster.divided.size > 0);
    if (demand === undefined) {
      this.#unsure.clear();
      return this.#rounds.clear();
    }
    for (const id of returns.sessions()) this.#review(roster.find(id), demand);
    const changed = demand.takeChanged();
    const groups = new Set(this.#rounds.due(now));
    for (const session of this.#unsure) {
      if (this.#rounds.asked.has(session)) this.#review(session, demand);
      for (const action of session.actions) {
        for (const group of demand.groupsOf(action)) groups.add(group);
      }
    }
    this.#unsure.clear();
    if (changed.size > 0) {
      for (const session of this.#rounds.asked) {
        for (const action of changed) {
          if (!session.actions.has(action)) continue;
          this.#review(session, demand);
          break;
        }
      }
    }
    for (const action of changed) for (const group of demand.groupsOf(action)) groups.add(group);
    for (const group of groups) {
      for (const session of this.#rounds.choose(group, roster.divided, now)) {
        this.#review(session, demand);
      }
    }
  }

  #review(session: Session | undefined, demand: SlotDemand): void {
    if (session?.of === undefined) return;
    const { toldWanted: told } = session;
    const wanted = this.#wantedOf(session, session.of, demand);
    const isMore = wanted.slots > told.slots || wanted.least > told.least;
    // Who has given all it has is told only when less is wanted.
    if (isMore && session.slots >= session.of) return;
    if (!hasChanged(told.slots, wanted.slots) && !hasChanged(told.least, wanted.least)) return;
    const socket = this.#socketOf(session.id);
    if (socket === undefined) return;
    session.toldWanted = wanted;
    this.#rounds.note(session);
    keepCredit(socket, session);
    this.#state.outbox.add(session.id, { type: "wanted", ...wanted });
  }

  #wantedOf(session: Session, of: number, demand: SlotDemand): Wanted {
    if (!session.isTaking) return NOTHING;
    const wanted = demand.of(session, of);
    const { claimedSlots } = session;
    if (claimedSlots === 0) return wanted;
    const first = this.#state.returns.firstOf(session.id)?.slots ?? claimedSlots;
    const slots = Math.min(wanted.slots + claimedSlots, MAX_WANTED_SLOTS);
    return { slots, least: Math.min(first, of) };
  }
}
