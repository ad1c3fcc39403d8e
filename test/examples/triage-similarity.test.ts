/** Finding near-duplicates by word overlap: against comparing with everything, and on real texts. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { readDeliveries } from "../../examples/github-triage/deliveries.ts";
import {
  jaccard,
  MIN_WORDS,
  type Near,
  SeenTexts,
} from "../../examples/github-triage/similarity.ts";
import { deliverySchema, extractText, TEXT_KINDS } from "../../examples/github-triage/text.ts";
import { stem, wordsOf } from "../../examples/github-triage/words.ts";

interface Text {
  subject: string;
  words: string[];
}

const word = fc.constantFrom(..."abcdefghijkl");
const text = fc.record({
  subject: fc.constantFrom("one", "two", "three", "four"),
  words: fc.array(word, { maxLength: 9 }),
});

/** What `nearest` must find, by looking at every text. */
function nearestOfAll(texts: Text[], wanted: Text, atLeast: number, before: number): Near[] {
  const words = new Set(wanted.words);
  if (words.size < MIN_WORDS) return [];
  const best = new Map<string, number>();
  for (const other of texts.slice(0, before)) {
    const overlap = jaccard(words, new Set(other.words));
    if (other.subject === wanted.subject || overlap < atLeast) continue;
    best.set(other.subject, Math.max(overlap, best.get(other.subject) ?? 0));
  }
  return [...best]
    .map(([subject, overlap]) => ({ subject, overlap }))
    .toSorted((a, b) => b.overlap - a.overlap || (a.subject < b.subject ? -1 : 1));
}

test("the nearest texts are those that comparing with every text would find", () => {
  const share = fc.integer({ min: 1, max: 100 }).map((percent) => percent / 100);
  fc.assert(
    fc.property(
      fc.array(text, { maxLength: 30 }),
      text,
      share,
      fc.nat(30),
      (texts, wanted, atLeast, before) => {
        const seen = new SeenTexts();
        for (const { subject, words } of texts) seen.add(subject, words);
        expect(seen.nearest(wanted.subject, wanted.words, atLeast, before)).toEqual(
          nearestOfAll(texts, wanted, atLeast, before),
        );
        expect(seen.earlier(wanted.subject, before)).toBe(
          texts.slice(0, before).filter(({ subject }) => subject === wanted.subject).length,
        );
      },
    ),
    { numRuns: 500 },
  );
});

test("a text is compared only with those that came before it", () => {
  const seen = new SeenTexts();
  seen.add("first", ["spelling", "error", "readme"]);
  seen.add("second", ["spelling", "error", "readme"]);
  const words = ["spelling", "error", "readme"];
  expect(seen.nearest("second", words, 0.6, 1)).toEqual([{ subject: "first", overlap: 1 }]);
  expect(seen.nearest("first", words, 0.6, 0)).toEqual([]);
});

test("the words of a text are compared without their endings, case, addresses and fillers", () => {
  expect(wordsOf("The spelled WORDS at https://example.com/a?b=c, spelling's fixed")).toEqual([
    "spell",
    "word",
    "spell",
    "fix",
  ]);
  expect(stem("class")).toBe("class");
  expect(stem("package.json")).toBe("package.json");
});

test("among the real texts a review without words of its own is its pull request's near-duplicate", () => {
  const seen = new SeenTexts();
  const texts = readDeliveries()
    .filter(({ kind }) => TEXT_KINDS.includes(kind))
    .map(({ kind, payload }) => {
      const { subject, title, body } = extractText(kind, deliverySchema.parse(payload));
      return { kind, subject, words: wordsOf(`${title} ${body}`) };
    });
  for (const { subject, words } of texts) seen.add(subject, words);
  const review = texts.find(({ kind }) => kind === "pull_request_review");
  expect(review).toBeDefined();
  if (review === undefined) return;
  // GitHub sent one review of pull request 2 without that request's body: only the titles compare.
  expect(seen.nearest(review.subject, review.words, 0.6, texts.length)).toEqual([
    { subject: "Codertocat/Hello-World/pull/2", overlap: 1 },
  ]);
  expect(seen.earlier("Codertocat/Hello-World/pull/2", texts.length)).toBeGreaterThan(28);
});

test("searching one among five thousand different texts compares it with few of them", () => {
  const vocabulary = Array.from({ length: 2_000 }, (_, index) => `word${index}`);
  const seen = new SeenTexts();
  const wordsAt = (index: number): string[] =>
    Array.from(
      { length: 20 },
      (_, place) => vocabulary[(index * 37 + place * place * 13) % 2_000] ?? "",
    );
  for (let index = 0; index < 5_000; index += 1) seen.add(`text ${index}`, wordsAt(index));
  const began = performance.now();
  for (let index = 0; index < 200; index += 1) {
    const near = seen.nearest(`text ${index}`, wordsAt(index), 0.6, 5_000);
    // The word lists repeat every 2,000 texts.
    expect(near.slice(0, 2).map(({ overlap }) => overlap)).toEqual([1, 1]);
  }
  expect((performance.now() - began) / 200).toBeLessThan(5);
});
