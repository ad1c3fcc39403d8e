/** Who may connect when: never too many in a second, each in its turn, and those that resume first. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Handshakes } from "../../durable-objects/dispatcher/handshakes.ts";
import { MAX_HANDSHAKES_PER_SECOND, MAX_LINE_MS } from "../../durable-objects/dispatcher/limits.ts";

const START = 1_000_000;
/** What a worker waits beyond what it was told, at most. */
const JITTER_MS = 200;

interface Comer {
  at: number;
  isResuming: boolean;
  place: string | null;
  order: number;
}

/** Lets all come, and come back as they are told; the moments at which they were let in, in that order. */
function play(
  comers: Comer[],
  jitter: (comer: Comer) => number = () => 0,
): (Comer & { refusals: number })[] {
  const handshakes = new Handshakes();
  const coming = comers.map((comer) => ({ ...comer, refusals: 0 }));
  const entered: (Comer & { refusals: number })[] = [];
  while (coming.length > 0) {
    coming.sort((a, b) => a.at - b.at);
    const next = coming.shift();
    if (next === undefined) break;
    const admission = handshakes.admit(next.isResuming, next.place, next.at);
    if (admission.isAdmitted) {
      entered.push(next);
      continue;
    }
    expect(admission.retryAfterMs).toBeGreaterThan(0);
    expect(admission.retryAfterMs).toBeLessThanOrEqual(MAX_LINE_MS);
    next.place = admission.place;
    next.at += admission.retryAfterMs + jitter(next);
    next.refusals += 1;
    coming.push(next);
  }
  return entered;
}

function mostInASecond(entered: readonly Comer[]): number {
  const times = entered.map(({ at }) => at).toSorted((a, b) => a - b);
  return Math.max(...times.map((at, index) => index + 1 - times.findIndex((t) => t > at - 1_000)));
}

const crowd = (count: number, part: Partial<Comer> = {}): Comer[] =>
  Array.from({ length: count }, (_, order) => ({
    at: START,
    isResuming: false,
    place: "",
    order,
    ...part,
  }));

test("a small fleet is let in at once", () => {
  for (const { refusals } of play(crowd(MAX_HANDSHAKES_PER_SECOND / 2))) expect(refusals).toBe(0);
});

test("a crowd comes in in order, at the limit's rate, each sent away once", () => {
  const entered = play(crowd(2_000));
  expect(entered.map(({ order }) => order)).toEqual(crowd(2_000).map(({ order }) => order));
  expect(Math.max(...entered.map(({ refusals }) => refusals))).toBe(1);
  expect(mostInASecond(entered)).toBeLessThanOrEqual(MAX_HANDSHAKES_PER_SECOND);
  const tookMs = (entered.at(-1)?.at ?? 0) - START;
  expect(tookMs).toBeLessThan((2_000 / (MAX_HANDSHAKES_PER_SECOND / 2)) * 1_000);
});

test("workers that come back a little late are hardly sent away again", () => {
  let seed = 1;
  const entered = play(crowd(2_000), () => {
    seed = (seed * 48_271) % 0x7fffffff;
    return (seed / 0x7fffffff) * JITTER_MS;
  });
  expect(entered.filter(({ refusals }) => refusals > 1).length).toBeLessThan(20);
});

test("those that resume come before new ones, also before new ones that came first", () => {
  const entered = play([...crowd(1_000), ...crowd(1_000, { isResuming: true, at: START + 1 })]);
  const late = entered.filter(({ at }) => at > START + 10);
  const last = late.findLastIndex(({ isResuming }) => isResuming);
  // The first of them stand behind those that were let in at once.
  expect(late.slice(0, last).filter(({ isResuming }) => !isResuming).length).toBeLessThan(20);
});

test("whoever comes meanwhile stands behind those that have a place", () => {
  const entered = play([...crowd(1_000), ...crowd(50, { at: START + 500, order: -1 })]);
  const first = entered.findIndex(({ order }) => order === -1);
  expect(entered.slice(first).every(({ order, refusals }) => order === -1 || refusals > 0)).toBe(
    true,
  );
  expect(first).toBeGreaterThanOrEqual(1_000 - 1);
});

test("a place of another life of the shard counts, one that has long passed does not", () => {
  const handshakes = new Handshakes();
  for (const comer of crowd(1_000)) handshakes.admit(false, comer.place, START);
  const after = START + 1_000;
  const due = String(START + 900);
  expect(handshakes.admit(false, "", after).isAdmitted).toBe(false);
  expect(handshakes.admit(false, due, after).isAdmitted).toBe(true);
  for (const place of [null, "x", "-1", "1e9", String(after + 1), String(after - MAX_LINE_MS)]) {
    expect(handshakes.admit(false, place, after).isAdmitted).toBe(false);
  }
});

test("in no second are there more than the limit, however they come and whatever they say", () => {
  const comer = fc.record({
    at: fc.nat(4_000).map((ms) => START + ms),
    isResuming: fc.boolean(),
    place: fc.option(fc.nat(4_000).map((ms) => String(START + ms))),
    order: fc.constant(0),
  });
  fc.assert(
    fc.property(fc.array(comer, { minLength: 1_500, maxLength: 3_000 }), (comers) => {
      const entered = play(comers);
      expect(entered).toHaveLength(comers.length);
      expect(mostInASecond(entered)).toBeLessThanOrEqual(MAX_HANDSHAKES_PER_SECOND);
    }),
    { numRuns: 10 },
  );
});
