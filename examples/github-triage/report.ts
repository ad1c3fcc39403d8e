/**
 * Puts the diamond's three answers together: the triage report of one delivery. Pure.
 */
import { kindOf } from "./deliveries.ts";
import type { Effort } from "./effort.ts";
import type { Near } from "./similarity.ts";
import type { ExtractedText } from "./text.ts";
import type { TopicLabel } from "./topics.ts";

export interface Duplicates {
  /** Earlier deliveries about the same subject. */
  earlier: number;
  /** Other subjects in nearly the same words, most alike first. */
  near: Near[];
  /** Texts that were compared. */
  compared: number;
}

/** What is written down at the end of a triage. */
export interface TriageReport {
  kind: string;
  delivery: string;
  subject: string;
  author: string;
  /** The title, or the first line of a text without one. */
  headline: string;
  /** Labels with the words they were given for, best first. */
  topics: { topic: string; words: string[] }[];
  duplicates: Duplicates;
  effort: Effort;
  /** What to do next, in a sentence. */
  advice: string;
}

/** Overlap from which two texts are taken to say the same. */
export const NEAR_DUPLICATE = 0.6;

export function writeReport(
  metadata: Record<string, string>,
  text: ExtractedText,
  topics: TopicLabel[],
  duplicates: Duplicates,
  effort: Effort,
): TriageReport {
  return {
    kind: kindOf(metadata),
    delivery: metadata["delivery"] ?? "unknown",
    subject: text.subject,
    author: text.author,
    headline: text.title || firstLine(text.body) || "(no text)",
    topics: topics.map(({ topic, words }) => ({ topic, words })),
    duplicates,
    effort,
    advice: advise(topics, duplicates, effort),
  };
}

function advise(topics: TopicLabel[], { near, earlier }: Duplicates, effort: Effort): string {
  const [closest] = near;
  if (topics.some(({ topic }) => topic === "security")) return "Tell the security people today.";
  if (closest !== undefined) return `Read it beside ${closest.subject}: it says nearly the same.`;
  if (earlier > 0) return "Known: add it to what is already there.";
  if (effort.size === "XS") return "Small and new: deal with it at once.";
  return "New: give it to somebody.";
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]?.trim() ?? "";
}
