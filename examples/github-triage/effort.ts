/**
 * Estimates how long a person needs for a delivery: from its diff where there is one, else from
 * the length of its text. Pure arithmetic with stated weights; an estimate, not a measurement.
 */
import type { Diff } from "./text.ts";
import { wordsOf } from "./words.ts";

export interface Effort {
  size: "XS" | "S" | "M" | "L" | "XL";
  minutes: number;
  /** What the estimate rests on, in words. */
  basis: string;
}

/** Minutes to take up anything at all. */
const OPENING_MINUTES = 3;
/** Minutes to find one's way in one more file. */
const FILE_MINUTES = 4;
/** Changed lines reviewed in a minute. */
const LINES_PER_MINUTE = 8;
/** Words of an issue read, thought about and answered in a minute. */
const WORDS_PER_MINUTE = 12;

/** Upper bounds in minutes; anything longer is XL. */
const SIZES = [
  ["XS", 5],
  ["S", 15],
  ["M", 60],
  ["L", 240],
] as const;

export function estimateEffort(diff: Diff | null, text: string): Effort {
  if (diff !== null && diff.files > 0) return fromDiff(diff);
  const words = wordsOf(text).length;
  return sized(OPENING_MINUTES + words / WORDS_PER_MINUTE, `text: ${count(words, "word")}`);
}

function fromDiff({ additions, deletions, files }: Diff): Effort {
  const lines = (additions ?? 0) + (deletions ?? 0);
  const minutes = OPENING_MINUTES + files * FILE_MINUTES + lines / LINES_PER_MINUTE;
  const lineBasis = additions === null ? "" : `+${additions} −${deletions ?? 0} in `;
  return sized(minutes, `diff: ${lineBasis}${count(files, "file")}`);
}

function sized(exactMinutes: number, basis: string): Effort {
  const minutes = Math.ceil(exactMinutes);
  const size = SIZES.find(([, upTo]) => minutes <= upTo)?.[0] ?? "XL";
  return { size, minutes, basis };
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
