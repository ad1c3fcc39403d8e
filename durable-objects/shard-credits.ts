/**
 * How many of a worker's slots this shard may use, where the worker divides them among several: the worker
 * says so, and the shard says how many more it would use. Nothing here runs for a worker of one shard.
 */
import { type CreditFrame, MAX_WANTED_SLOTS } from "../protocol/slot-frames.ts";
import { NOTHING, type Session, type Wanted } from "./dispatcher/roster.ts";
import { hasChanged, type SlotDemand } from "./dispatcher/slot-demand.ts";
import type { ShardState } from "./shard-state.ts";
import { keepCredit, readAttachment } from "./worker-sockets.ts";

export class ShardCredits {
  #state: ShardState;
  #socketOf: (session: string) => WebSocket | undefined;
  /** Sessions of which something else may be wanted, whatever waits. */
  #unsure = new Set<Session>();

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
    this.#unsure.add(session);
  }

  /** A worker has said hello: it knows nothing of what is wanted here. */
  greet(session: Session, socket: WebSocket, of: number | undefined): void {
    const { roster } = this.#state;
    if (of === undefined) roster.undivide(session);
    else roster.credit(session, session.slots, of);
    session.toldWanted = NOTHING;
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

  /** Tells workers that have slots elsewhere what would be used here, where that has changed enough. */
  tell(): void {
    const { roster, turns, returns } = this.#state;
    const demand = turns.countSlots(roster.divided.size > 0);
    if (demand === undefined) return this.#unsure.clear();
    for (const id of returns.sessions()) this.#review(roster.find(id), demand);
    for (const session of this.#unsure) this.#review(session, demand);
    this.#unsure.clear();
    const changed = demand.takeChanged();
    if (changed.size === 0) return;
    for (const session of roster.divided) {
      for (const action of changed) {
        if (!session.actions.has(action)) continue;
        this.#review(session, demand);
        break;
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
