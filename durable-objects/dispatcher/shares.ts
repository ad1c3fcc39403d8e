/**
 * What attempts cost their lanes: units that are reserved when they start, and corrected when their worker
 * says what they have really taken. So a share is one of what is used, not of what was asked for.
 */
import type { RateWindow } from "../../protocol/limit-bodies.ts";
import type { Lane } from "./lane.ts";
import type { Lease, Reserve } from "./leases.ts";
import type { Turns } from "./turns.ts";
import type { ReadyWindow } from "./window.ts";

/** Of the rate that is taken most of, in thousandths of a window. */
export function costOfUnits(
  taken: readonly { units: number; used?: number; rate: readonly RateWindow[] }[],
): number {
  let cost = 0;
  for (const { units: reserved, used = reserved, rate } of taken) {
    for (const { units } of rate) cost = Math.max(cost, (1_000 * used) / units);
  }
  return cost;
}

type Attempt = Pick<Lease, "reserved">;

interface Paid {
  lane: Lane;
  cost: number;
}

export class Shares {
  /** Of this life alone: what lanes have paid in an earlier one is forgotten, and not to be given back. */
  #paid = new WeakMap<Attempt, Paid>();

  note(attempt: Attempt, { lane, cost }: Paid): void {
    this.#paid.set(attempt, { lane, cost });
  }

  /** The attempt has taken so many units of what was reserved. */
  settle(
    attempt: Attempt,
    reserve: Reserve,
    used: number,
    turns: Turns,
    window: ReadyWindow,
  ): void {
    const before = costOfUnits(attempt.reserved);
    reserve.used = used;
    const paid = this.#paid.get(attempt);
    if (paid === undefined) return;
    const settled = costOfUnits(attempt.reserved);
    // A rate of the run that cost more than any of the attempt's is not settled.
    const cost = paid.cost > before ? Math.max(paid.cost, settled) : settled;
    const lane = window.find({ action: paid.lane.action, lane: paid.lane.number }) ?? paid.lane;
    turns.correct(lane, cost - paid.cost);
    paid.cost = cost;
  }
}
