/**
 * Two thousand workers at once: the SDK's own sessions, in this process, against a real shard. They are let in no
 * faster than it says, and those that it sends away lose nothing.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAX_HANDSHAKES_PER_SECOND } from "../../durable-objects/dispatcher/limits.ts";
import { workflow } from "../../sdk/index.ts";
import { Fleet } from "../../sdk/session/fleet.ts";
import { InFlight } from "../../sdk/session/in-flight.ts";
import { FlowWorld } from "./world.ts";

const WORKERS = 2_000;
const RUNS = 500;
/** Long enough for the first try of each to arrive, whatever else the machine does; the shard prolongs it then. */
const LIMITS = { resumeGraceMs: 60_000, heartbeatLimitMs: 120_000 };

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
});
afterAll(() => world?.stop());

const stormy = workflow({ name: "stormy" });
stormy.step("hold", { run: () => null });

/** Counts up to a number that is waited for. */
class Count {
  reached = 0;
  #wanted = Number.POSITIVE_INFINITY;
  #tell: () => void = () => undefined;

  add(): void {
    this.reached += 1;
    if (this.reached >= this.#wanted) this.#tell();
  }

  until(wanted: number): Promise<void> {
    if (this.reached >= wanted) return Promise.resolve();
    this.#wanted = wanted;
    return new Promise((resolve) => {
      this.#tell = resolve;
    });
  }
}

/** Sessions of so many workers, each with one slot; their handlers end when the test says so. */
class Crowd {
  readonly welcomes = new Count();
  readonly calls = new Count();
  readonly refusals = new Count();
  readonly lines = new Set<string>();
  aborted = 0;
  release: () => void = () => undefined;
  readonly #fleets: Fleet[] = [];
  readonly #gate = new Promise<void>((resolve) => {
    this.release = resolve;
  });

  open(count: number): void {
    const { SKEIN_URL: url, SKEIN_TOKEN: token } = world.environment;
    for (let index = 0; index < count; index++) {
      const inFlight = new InFlight(1, async (attempt) => {
        this.calls.add();
        attempt.whenOver(() => {
          if (attempt.isAborted) this.aborted += 1;
        });
        await this.#gate;
        return { type: "completed", output: "null" };
      });
      const fleet = new Fleet({
        url,
        token,
        inFlight,
        slots: 1,
        affinity: undefined,
        random: Math.random,
        listShards: () => world.client.shards({ retries: 0 }),
        greeting: {
          worker: `crowd-${index}`,
          sdk: "test/0",
          actions: ["stormy:hold"],
          versions: [],
          ...LIMITS,
        },
        onAsked: () => undefined,
        onFatal: (error) => this.lines.add(`fatal: ${error.message}`),
        report: (_level, line) => {
          if (line.startsWith("connected")) this.welcomes.add();
          else if (line.includes("too_many_handshakes")) this.refusals.add();
          else this.lines.add(line);
        },
      });
      this.#fleets.push(fleet);
      fleet.follow({ shards: [{ number: 0, path: "/api/v1/shards/0/session" }] });
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#fleets.map((fleet) => fleet.close()));
  }
}

/** Calls the API until it is told to stop: every call is answered. Says how many, and how long the longest took. */
async function callMeanwhile(isOver: () => boolean): Promise<{ calls: number; longestMs: number }> {
  let calls = 0;
  let longestMs = 0;
  for (; !isOver(); calls++) {
    const at = performance.now();
    const { id } = await world.client.start(stormy, {}, { delay: "1h" });
    await world.client.runs.cancel(id);
    longestMs = Math.max(longestMs, performance.now() - at);
  }
  return { calls: calls * 2, longestMs: Math.round(longestMs) };
}

/** How many sockets the shard has taken in the fullest second, by its own clock. */
async function mostInASecond(): Promise<number> {
  const workers = await world.client.workers.list();
  expect(workers).toHaveLength(WORKERS);
  const times = workers.map(({ connectedAt }) => Date.parse(connectedAt)).toSorted((a, b) => a - b);
  let most = 0;
  let first = 0;
  for (const [index, at] of times.entries()) {
    while ((times[first] ?? at) <= at - 1_000) first += 1;
    most = Math.max(most, index + 1 - first);
  }
  return most;
}

/** Waits for all to be welcomed, and tells how that went. */
async function storm(crowd: Crowd, name: string, begin: () => Promise<void>): Promise<void> {
  const [before, refusedBefore] = [crowd.welcomes.reached, crowd.refusals.reached];
  const at = performance.now();
  let isOver = false;
  const calls = callMeanwhile(() => isOver);
  await begin();
  await crowd.welcomes.until(before + WORKERS);
  const tookMs = Math.round(performance.now() - at);
  isOver = true;
  const most = await mostInASecond();
  const told = {
    refused: crowd.refusals.reached - refusedBefore,
    mostInASecond: most,
    ...(await calls),
  };
  console.log(`${name}: ${WORKERS} workers in ${tookMs} ms`, told);
  expect(most).toBeLessThanOrEqual(MAX_HANDSHAKES_PER_SECOND);
}

test("2,000 workers that connect at once are let in in turn, and lose nothing when all have to come back", async () => {
  await world.client.register(stormy);
  const crowd = new Crowd();
  await storm(crowd, "first", async () => crowd.open(WORKERS));
  const inputs = Array.from({ length: RUNS }, () => ({ input: {} }));
  const runs = await world.client.startMany(stormy, inputs);
  await crowd.calls.until(RUNS);

  await storm(crowd, "again", () => world.stack.workerd.crashShards());
  expect(crowd.refusals.reached).toBeGreaterThan(0);
  crowd.release();
  await Promise.all(runs.map((run) => run.result()));
  for (const { id } of runs) {
    const { tasks } = await world.client.runs.get(id);
    const attempts = tasks.flatMap((task) => task.attempts);
    expect(attempts.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([[1, "completed"]]);
  }
  expect([crowd.aborted, crowd.calls.reached]).toEqual([0, RUNS]);
  expect([...crowd.lines].filter((line) => line.startsWith("fatal"))).toEqual([]);
  await crowd.close();
});
