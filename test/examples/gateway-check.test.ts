/** What the gateway's exit code rests on: a doctored book must break each promise, and be said to. */
import { expect, test } from "vitest";
import { Bucket } from "../../examples/llm-gateway/bucket.ts";
import type { Books, Entry } from "../../examples/llm-gateway/books.ts";
import { drawChart } from "../../examples/llm-gateway/chart.ts";
import { checkPromises } from "../../examples/llm-gateway/check.ts";
import { CUSTOMERS, tasksOf } from "../../examples/llm-gateway/customers.ts";
import { budgetUsed, countCustomers, steadyState } from "../../examples/llm-gateway/figures.ts";

const LIGHT = { name: "light", weight: 1 };
const HEAVY = { name: "heavy", weight: 3 };
const BOTH = [LIGHT, HEAVY];

function entry(customer: string, arrivedMs: number, usedTokens: number): Entry {
  const answeredMs = arrivedMs + 500;
  const prompt = `${customer} at ${arrivedMs}`;
  return {
    customer,
    prompt,
    arrivedMs,
    status: 200,
    reservedTokens: 1_000,
    answeredMs,
    usedTokens,
  };
}

/** Twenty seconds of a provider of 1,000 tokens a second, all of them used, in shares of 1 and 3. */
function books(change: (entry: Entry) => Entry = (same) => same): Books {
  const entries = Array.from({ length: 200 }, (_, tenth) => [
    entry("light", tenth * 100, 25),
    entry("heavy", tenth * 100, 75),
  ]).flat();
  const rate = { perMinute: 60_000, burst: 5_000 };
  return { entries: entries.map(change), limits: { requests: rate, tokens: rate }, nowMs: 21_000 };
}

function breaches(doctored: Books, tasks = 400): string[][] {
  const checks = checkPromises({ books: doctored, customers: BOTH, tasks });
  return checks.map((check) => check.breaches);
}

test("a book in which the whole budget was used in fair shares keeps every promise", () => {
  expect(breaches(books())).toEqual([[], [], [], []]);
});

test("a single refusal is a breach, also in the first moment", () => {
  const refused = { ...entry("light", 0, 0), status: 429 as const, answeredMs: null };
  const doctored = books();
  doctored.entries.unshift({ ...refused, usedTokens: null });
  expect(breaches(doctored)[0]).toEqual(["light was refused after 0.0 s"]);
});

test("a twentieth of the budget that was not used is a breach, in fair shares too", () => {
  const less = (part: number): Books =>
    books((one) => ({ ...one, usedTokens: (one.usedTokens ?? 0) * part }));
  expect(breaches(less(0.951))).toEqual([[], [], [], []]);
  expect(breaches(less(0.94))).toEqual([[], ["94.0 % were used"], [], []]);
});

test("a share that is more than a twentieth off is a breach", () => {
  const moved = (tokens: number): Books =>
    books((one) => ({
      ...one,
      usedTokens: one.customer === "light" ? 25 + tokens : 75 - tokens,
    }));
  expect(breaches(moved(1.2))).toEqual([[], [], [], []]);
  expect(breaches(moved(1.5))).toEqual([[], [], ["light had 26.5 % instead of 25.0 %"], []]);
});

test("a task without an answer, or with two, is a breach", () => {
  expect(breaches(books(), 399)[3]).toEqual(["399 tasks had 400 answers, 400 different ones"]);
  const open = books((one) => (one.arrivedMs === 19_900 ? { ...one, answeredMs: null } : one));
  expect(breaches(open)[3]).toEqual(["400 tasks had 398 answers, 398 different ones"]);
  const twice = books((one) => (one.arrivedMs === 100 ? { ...one, prompt: "light at 0" } : one));
  expect(breaches(twice)[3]).toEqual(["400 tasks had 400 answers, 398 different ones"]);
});

test("what comes when one customer has nothing more to ask counts for no share", () => {
  const { entries, ...rest } = books();
  const ended = entries.filter(({ customer, arrivedMs }) => {
    return customer === "heavy" || arrivedMs <= 15_000;
  });
  const doctored = { ...rest, entries: ended };
  expect(steadyState(doctored, BOTH)).toEqual({ fromMs: 5_000, toMs: 15_000 });
  expect(countCustomers(doctored, BOTH).map(({ share }) => share)).toEqual([0.25, 0.75]);
  expect(budgetUsed(doctored, BOTH)).toBe(1);
});

test("too short a steady state proves nothing, and neither does an empty book", () => {
  const { entries, ...rest } = books();
  const short = entries.filter(({ arrivedMs }) => arrivedMs < 10_000);
  expect(breaches({ ...rest, entries: short })[1]).toEqual([
    "the steady state lasted 4.9 s: too short to say",
  ]);
  expect(breaches({ ...rest, entries: [] }).flat()).toHaveLength(4);
});

test("the provider's bucket gives what it has, says when there is more, and never holds too much", () => {
  const bucket = new Bucket({ perMinute: 60_000, burst: 2_000 }, 0);
  expect(bucket.waitMs(2_000, 0)).toBe(0);
  bucket.take(2_000);
  expect(bucket.waitMs(500, 100)).toBe(400);
  expect(bucket.waitMs(500, 500)).toBe(0);
  bucket.giveBack(1_900, 500);
  expect(bucket.waitMs(2_001, 500)).toBe(1);
  bucket.change({ perMinute: 6_000, burst: 100 }, 500);
  expect(bucket.waitMs(200, 500)).toBe(1_000);
});

test("all customers have work to the end: their tokens are in proportion to their weights", () => {
  const tasks = tasksOf(2_000);
  const expected = CUSTOMERS.map(({ name, weight }) => {
    const own = tasks.filter(({ input }) => input.customer === name);
    // The provider uses six tenths of the most that it may answer, on average.
    const tokens = own.reduce(
      (sum, { input }) => sum + input.prompt.length / 4 + 0.6 * input.maxTokens,
      0,
    );
    return tokens / weight;
  });
  for (const each of expected) expect(each / (expected[0] ?? 0)).toBeCloseTo(1, 1);
});

test("the chart stands as high as what was used, and says what was allowed", () => {
  const layers = [
    { name: "light", mark: "o" },
    { name: "heavy", mark: "#" },
  ];
  const lines = drawChart(books(), layers, 30);
  expect(lines.find((line) => line.includes("1.0k/s"))).toMatch(/^ *1\.0k\/s ┼[#·]{20}$/);
  expect(lines.at(-2)).toMatch(/^ *0 │o{20}$/);
  expect(lines.at(-1)).toMatch(/^ +0 s +20 s$/);
});
