/**
 * Labels a text by topic: which of a few lists of words it uses, a word in the title counting
 * twice. Pure, and explained: each label names the words it was given for.
 */
import { stem, wordsOf } from "./words.ts";

const TOPIC_WORDS = {
  documentation:
    "readme docs documentation comment guide example typo spelling wording information",
  bug: "bug error fix crash broken wrong fails failure regression mistake accidently accidentally",
  security:
    "security vulnerability vulnerable severity cve exploit attacker credentials secret unauthorized sensitive malicious denial injection",
  dependencies: "dependency package package.json upgrade bump version semver lockfile",
  build: "build ci workflow action pipeline compile gitignore .gitignore deploy",
  feature: "feature add adding new support implement proposal simulator",
  release: "release tag changelog published milestone",
  performance: "performance slow fast memory latency throughput benchmark",
  testing: "test testing coverage flaky fixture",
  question: "question questions how why help ask answer",
  community: "welcome thanks glad happy great good emoji hello",
} as const;

export type Topic = keyof typeof TOPIC_WORDS;

export interface TopicLabel {
  topic: Topic;
  /** Distinct words found, those of the title counted twice. */
  score: number;
  words: string[];
}

/** Labels one text may get: a text about everything is about nothing. */
const MAX_LABELS = 3;

const TOPICS_BY_WORD = indexTopics();

/** The topics of a text, best first; none when no list's words are in it. */
export function labelTopics(title: string, body: string): TopicLabel[] {
  const titleWords = new Set(wordsOf(title));
  const found = new Map<Topic, TopicLabel>();
  for (const word of new Set([...titleWords, ...wordsOf(body)])) {
    for (const topic of TOPICS_BY_WORD.get(word) ?? []) {
      const label = found.get(topic) ?? { topic, score: 0, words: [] };
      label.score += titleWords.has(word) ? 2 : 1;
      label.words.push(word);
      found.set(topic, label);
    }
  }
  const byScore = (a: TopicLabel, b: TopicLabel): number =>
    b.score - a.score || (a.topic < b.topic ? -1 : 1);
  return [...found.values()].toSorted(byScore).slice(0, MAX_LABELS);
}

function indexTopics(): Map<string, Topic[]> {
  const index = new Map<string, Topic[]>();
  for (const topic of Object.keys(TOPIC_WORDS) as Topic[]) {
    for (const word of TOPIC_WORDS[topic].split(" ").map(stem)) {
      const topics = index.get(word) ?? [];
      if (!topics.includes(topic)) topics.push(topic);
      index.set(word, topics);
    }
  }
  return index;
}
