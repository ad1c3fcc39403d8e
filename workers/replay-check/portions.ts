/**
 * How many recorded runs one call takes, and how many it holds at a time. Pure.
 */
import { MAX_CHECKED_BYTES, MAX_EXPORT_BYTES } from "../../protocol/limits.ts";

/** Runs that are read at once, and their bytes: a small part of an isolate's memory. */
const MAX_AT_ONCE = 50;
const MAX_BYTES_AT_ONCE = MAX_EXPORT_BYTES;

/** What a run weighs beside its input and outputs: rows of tasks and attempts. */
const RUN_BYTES = 2_000;

export interface Weighed {
  id: string;
  bytes: number;
}

export interface Portions {
  /** Ids of runs to be read together. */
  portions: string[][];
  tooLarge: string[];
  /** The last run that the call has dealt with; undefined: there was none. */
  last: string | undefined;
  isCut: boolean;
}

/** As many as one call goes through, one at least. */
export function takePortions(runs: readonly Weighed[]): Portions {
  const taken: Portions = { portions: [], tooLarge: [], last: undefined, isCut: false };
  let bytes = 0;
  let portion: string[] = [];
  let portionBytes = 0;
  for (const { id, bytes: own } of runs) {
    if (own > MAX_EXPORT_BYTES) {
      taken.tooLarge.push(id);
      taken.last = id;
      continue;
    }
    const weight = own + RUN_BYTES;
    if (bytes > 0 && bytes + weight > MAX_CHECKED_BYTES) {
      taken.isCut = true;
      break;
    }
    if (
      portion.length === MAX_AT_ONCE ||
      (portionBytes > 0 && portionBytes + weight > MAX_BYTES_AT_ONCE)
    ) {
      taken.portions.push(portion);
      portion = [];
      portionBytes = 0;
    }
    portion.push(id);
    portionBytes += weight;
    bytes += weight;
    taken.last = id;
  }
  if (portion.length > 0) taken.portions.push(portion);
  return taken;
}
