/**
 * The gateway of examples/llm-gateway, with real processes and for a shorter time: judged by the books of
 * a provider that knows nothing of Skein. And with a provider that allows less than it has said.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Entry } from "../../examples/llm-gateway/books.ts";
import { checkPromises } from "../../examples/llm-gateway/check.ts";
import { CUSTOMERS, tasksOf } from "../../examples/llm-gateway/customers.ts";
import { Gateway } from "../../examples/llm-gateway/gateway.ts";
import { completeText } from "../../examples/llm-gateway/workflows.ts";
import { FlowWorld } from "./world.ts";

/** Twice what the example has, so that enough happens in less time. */
const ALLOWED = { requests: 6_000, tokens: 2_000_000 };
const LOWERED = { requests: 6_000, tokens: 400_000 };

/**
 * Requests that are refused before it is known that one was: those that start in a moment. If units gathered
 * while a key is paused, some thirty would be refused at its end.
 */
const MAX_ON_THEIR_WAY = 12;

/** In which a limit that was put is in force, and what was sent before has arrived. */
const ROUND_TRIP_MS = 500;

let world: FlowWorld;
let gateway: Gateway;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
});
beforeEach(async () => {
  const { SKEIN_URL: url, SKEIN_TOKEN: token } = world.environment;
  gateway = await Gateway.open({ url, token }, ALLOWED);
});
afterEach(() => gateway?.close());
afterAll(() => world?.stop());

test("no 429, the whole budget and fair shares, by the provider's books", async () => {
  const tasks = 900;
  const runs = await gateway.skein.startMany(completeText, tasksOf(tasks));
  await gateway.startWorkers();
  for (const run of runs) await Promise.race([run.result(), gateway.broken]);
  const books = await gateway.readBooks();
  const checks = checkPromises({ books, customers: CUSTOMERS, tasks });
  expect(checks.flatMap(({ breaches }) => breaches)).toEqual([]);
});

test("a provider that allows less than it has said pauses all workers, until its limit is told", async () => {
  const runs = await gateway.skein.startMany(completeText, tasksOf(110));
  await gateway.changeProvider(LOWERED);
  await gateway.startWorkers();
  let toldMs: number | undefined;
  const results = runs.map(async (run) => {
    await run.result();
    const { entries, nowMs } = await gateway.readBooks();
    if (toldMs !== undefined || wavesOf(refusalsOf(entries)).length < 2) return;
    toldMs = nowMs;
    await gateway.putLimits(LOWERED);
  });
  await Promise.race([Promise.all(results), gateway.broken]);

  const refused = refusalsOf((await gateway.readBooks()).entries);
  const waves = wavesOf(refused);

  expect(waves.length).toBeGreaterThanOrEqual(2);
  // The first one met a full bucket's worth of requests.
  for (const wave of waves.slice(1)) expect(wave.length).toBeLessThan(MAX_ON_THEIR_WAY);
  expect(refused.filter(({ arrivedMs }) => arrivedMs > (toldMs ?? 0) + ROUND_TRIP_MS)).toEqual([]);

  const histories = await Promise.all(runs.map(({ id }) => gateway.skein.runs.get(id)));
  const attempts = histories.flatMap(({ tasks }) => tasks.flatMap((task) => task.attempts));
  const outcomes = Object.groupBy(attempts, ({ outcome }) => String(outcome));
  expect(Object.keys(outcomes).toSorted()).toEqual(["completed", "put_back"]); // no retry was spent
  expect(outcomes["put_back"]).toHaveLength(refused.length);
});

function refusalsOf(entries: readonly Entry[]): Entry[] {
  return entries.filter(({ status }) => status === 429);
}

/** Refusals, by the pauses that they began: those last a second at least. */
function wavesOf(refused: readonly Entry[]): Entry[][] {
  const waves: Entry[][] = [];
  let before = Number.NEGATIVE_INFINITY;
  for (const entry of refused) {
    if (entry.arrivedMs - before > 500) waves.push([]);
    waves.at(-1)?.push(entry);
    before = entry.arrivedMs;
  }
  return waves;
}
