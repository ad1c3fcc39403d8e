/**
 * Which workers are asked for slots that would be used here. There may be thousands, and each that is asked is a frame,
 * and slots that it takes from another shard: so at first only as many as could give what is wanted, and more
 * when those have not. Pure: it takes `now`.
 */
import { MAX_WANTS, MIN_WANTS, WANT_COVER, WANT_ROUND_MS } from "./limits.ts";
import { type Session, suits } from "./roster.ts";
import type { DemandGroup } from "./slot-demand.ts";

interface Round {
  /** How often those that were asked have not given enough. */
  number: number;
  /** When more are asked; Infinity: all have been that could give any. */
  endsAt: number;
}

export class WantRounds {
  #asked = new Set<Session>();
  #rounds = new Map<DemandGroup, Round>();
  /** Where the last search has ended: others are asked the next time. */
  #place = 0;

  /** Sessions that know that something is wanted of them. */
  get asked(): ReadonlySet<Session> {
    return this.#asked;
  }

  note(session: Session): void {
    const { slots, least } = session.toldWanted;
    if (slots > 0 || least > 0) this.#asked.add(session);
    else this.#asked.delete(session);
  }

  /** The session is gone. */
  forget(session: Session): void {
    this.#asked.delete(session);
  }

  clear(): void {
    this.#asked.clear();
    this.#rounds.clear();
  }

  /** Who is to be asked now beside those that have been, of all. */
  choose(group: DemandGroup, sessions: ReadonlySet<Session>, now: number): Session[] {
    if (group.wanted === 0) return [];
    const round = this.#rounds.get(group) ?? { number: 0, endsAt: now + WANT_ROUND_MS };
    if (round.endsAt <= now) {
      round.number++;
      round.endsAt = now + WANT_ROUND_MS;
    }
    const factor = 2 ** round.number;
    let count = 0;
    let cover = 0;
    for (const session of this.#asked) {
      if (!sessions.has(session) || !helps(session, group)) continue;
      count++;
      cover += sparedBy(session);
    }
    const isEnough = (): boolean =>
      count >= MIN_WANTS * factor && cover >= group.wanted * WANT_COVER * factor;
    const chosen: Session[] = [];
    const all = [...sessions];
    let looked = 0;
    for (; looked < all.length && !isEnough() && chosen.length < MAX_WANTS; looked++) {
      const session = all[(this.#place + looked) % all.length];
      if (session === undefined || this.#asked.has(session) || !helps(session, group)) continue;
      chosen.push(session);
      count++;
      cover += sparedBy(session);
    }
    if (looked === all.length) round.endsAt = Number.POSITIVE_INFINITY;
    else if (round.endsAt === Number.POSITIVE_INFINITY) round.endsAt = now + WANT_ROUND_MS;
    if (looked < all.length) this.#place = (this.#place + looked) % all.length;
    this.#rounds.set(group, round);
    return chosen;
  }

  /** Those of which more are to be asked, since nobody has given enough for a while. */
  due(now: number): DemandGroup[] {
    const due: DemandGroup[] = [];
    for (const [group, { endsAt }] of this.#rounds) {
      if (group.wanted === 0) this.#rounds.delete(group);
      else if (endsAt <= now) due.push(group);
    }
    return due;
  }

  get nextDue(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { endsAt } of this.#rounds.values()) due = Math.min(due, endsAt);
    return due;
  }
}

/** Whether it has slots elsewhere that could be used for these tasks. */
function helps(session: Session, { action, placing }: DemandGroup): boolean {
  const { of = 0 } = session;
  return (
    session.isTaking &&
    sparedBy(session) > 0 &&
    placing.slots <= of &&
    session.actions.has(action) &&
    suits(session, placing)
  );
}

function sparedBy({ of = 0, slots }: Session): number {
  return Math.max(0, of - slots);
}
