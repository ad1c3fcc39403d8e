/** More shards and fewer, while runs go on: no call fails, every run ends once, and no start takes long. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Client } from "../../sdk/index.ts";
import { FlowWorld } from "./world.ts";
import { counted, limited } from "./workflows.ts";

/** Runs of each part of the story, every other one of a workflow with a limit, and how many are under way at once. */
const RUNS = 300;
const AT_ONCE = 8;

/** How much longer the slowest starts may take while the shards change than at rest, before and after it. */
const TIMES_LONGER = 3;

/**
 * What they may take at rest, if they take less: on two cores that also run Postgres, the shards, the workers and
 * this test, two runs of a hundred meet something else now and then. A new shard that is not ready when it gets its
 * first run takes half a second.
 */
const LEAST_REST_MS = 100;

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
});
afterAll(() => world?.stop());

test("1, 4 and 2 shards while runs go on", { timeout: 300_000 }, async () => {
  await Promise.all([world.startWorker(), world.startWorker()]);
  const failed: string[] = [];
  const client = new Client({
    url: world.environment.SKEIN_URL,
    token: world.environment.SKEIN_TOKEN,
    fetch: async (...call) => {
      try {
        const response = await fetch(...call);
        if (response.status >= 400)
          failed.push(`${response.status} ${await response.clone().text()}`);
        return response;
      } catch (error) {
        failed.push(String(error));
        throw error;
      }
    },
  });
  const ids: string[] = [];
  /** When each was asked for. */
  const askedAt = new Map<string, number>();

  /** Starts runs and waits for each; half way through, `change` happens. */
  async function play(change?: () => Promise<unknown>): Promise<string[]> {
    const played: string[] = [];
    let left = RUNS;
    const lane = async (): Promise<void> => {
      while (left-- > 0) {
        if (left === RUNS / 2) await change?.();
        const at = Date.now();
        const handle = await client.start(left % 2 === 0 ? counted : limited, { n: left });
        askedAt.set(handle.id, at);
        played.push(handle.id);
        await handle.result();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    ids.push(...played);
    return played;
  }

  await play(); // until all is warm
  const ofOne = await play();
  const raised = await play(() => client.tenant.shards.set(4));
  const ofFour = await play();
  const lowered = await play(() => client.tenant.shards.set(2));
  const ofTwo = await play();

  expect(failed).toEqual([]);
  const runs = new Map((await world.expectCompletedOnce(ids)).map((run) => [run.id, run]));
  await world.expectNothingLeft();
  // A task that was on its way when its worker changed its connections goes to a worker once more.
  const again = [...runs.values()]
    .flatMap(({ tasks }) => tasks.flatMap(({ attempts }) => attempts))
    .filter(({ outcome }) => outcome !== "completed");
  for (const { error } of again) expect(error).toMatchObject({ code: "not_received" });
  const slowest = (of: string[], workflow: string): number => {
    const waits = of.flatMap((id) => {
      const run = runs.get(id);
      if (run?.workflow !== workflow) return [];
      const first = run.tasks.find(({ step }) => step === "double");
      return [Date.parse(first?.startedAt ?? "") - (askedAt.get(id) ?? 0)];
    });
    return waits.toSorted((a, b) => a - b)[Math.ceil(waits.length * 0.99) - 1] ?? Number.NaN;
  };
  const changes = [counted.name, limited.name].flatMap((workflow) => {
    const of = (ids: string[]): number => slowest(ids, workflow);
    return [
      { workflow, from: 1, to: 4, ms: of(raised), rest: [of(ofOne), of(ofFour)] },
      { workflow, from: 4, to: 2, ms: of(lowered), rest: [of(ofFour), of(ofTwo)] },
    ];
  });
  const told = changes.map(
    ({ workflow, from, to, ms, rest: [before, after] }) =>
      `${workflow}, ${from} to ${to}: ${before}, ${ms}, ${after} ms`,
  );
  console.log(
    `start latency, p99 before, during and after: ${told.join("; ")}; ${again.length} tasks sent twice`,
  );
  for (const { ms, rest } of changes) {
    expect(ms).toBeLessThanOrEqual(TIMES_LONGER * Math.max(LEAST_REST_MS, ...rest));
  }

  // Those beyond the number have closed by themselves.
  await expect
    .poll(async () => (await client.tenant.shards.get()).shards, {
      timeout: 120_000,
      interval: 500,
    })
    .toEqual([
      { number: 0, state: "active" },
      { number: 1, state: "active" },
    ]);
  const workers = await client.workers.list();
  expect(new Set(workers.map(({ shard }) => shard))).toEqual(new Set([0, 1]));
});
