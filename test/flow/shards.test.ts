/** More shards and fewer, while runs go on: no call fails, every run ends once, and no start takes long. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Client } from "../../sdk/index.ts";
import { FlowWorld } from "./world.ts";
import { counted } from "./workflows.ts";

/** Runs of each part of the story, and how many are under way at once. */
const RUNS = 150;
const AT_ONCE = 8;

/** How much longer the slowest starts may take while the shards change than at rest, on a machine that is shared. */
const TIMES_LONGER = 3;
const SLACK_MS = 1_000;

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
        const handle = await client.start(counted, { n: left });
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
  const atRest = await play();
  const raised = await play(() => client.tenant.shards.set(4));
  const lowered = await play(() => client.tenant.shards.set(2));
  const after = await play();

  expect(failed).toEqual([]);
  const runs = new Map((await world.expectCompletedOnce(ids)).map((run) => [run.id, run]));
  await world.expectNothingLeft();
  // A task that was on its way when its worker changed its connections goes to a worker once more.
  const again = [...runs.values()]
    .flatMap(({ tasks }) => tasks.flatMap(({ attempts }) => attempts))
    .filter(({ outcome }) => outcome !== "completed");
  for (const { error } of again) expect(error).toMatchObject({ code: "not_received" });
  const slowest = (of: string[]): number => {
    const waits = of.map((id) => {
      const first = runs.get(id)?.tasks.find(({ step }) => step === "double");
      return Date.parse(first?.startedAt ?? "") - (askedAt.get(id) ?? 0);
    });
    return waits.toSorted((a, b) => a - b)[Math.ceil(waits.length * 0.99) - 1] ?? Number.NaN;
  };
  const rest = slowest(atRest);
  const [up, down, then] = [slowest(raised), slowest(lowered), slowest(after)];
  console.log(
    `start latency, p99: ${rest} ms at rest, ${up} ms from 1 to 4 shards, ${down} ms from 4 to 2, ${then} ms after; ${again.length} tasks sent twice`,
  );
  for (const ms of [up, down]) expect(ms).toBeLessThanOrEqual(TIMES_LONGER * rest + SLACK_MS);

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
