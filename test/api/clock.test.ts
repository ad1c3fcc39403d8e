/** The clock reminds shards of what Postgres has for them, should their alarms have been dropped. */
import { beforeEach, expect, test } from "vitest";
import { shardName } from "../../durable-objects/dispatcher/shard-name.ts";
import { everyMinute } from "../../workers/cron/every-minute.ts";
import type { Environment } from "../../workers/environment.ts";
import { createSchedule } from "../support/schedules.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  const backoff = { initialMs: 60_000, jitter: 0 };
  await world.register({ name: "frail", steps: [{ name: "only", retries: 1, backoff }] });
});

/** Lets the clock tick; says which shards, and clocks of schedules, are nudged. Those of other tests must not hear of it. */
async function tick(fails: (shard: string) => boolean = () => false): Promise<string[]> {
  const nudged: string[] = [];
  const getByName = (shard: string) => ({
    nudge: (): Promise<void> => {
      nudged.push(shard);
      return fails(shard) ? Promise.reject(new Error("gone")) : Promise.resolve();
    },
  });
  await everyMinute({
    ...world.env,
    DISPATCHER: { getByName } as unknown as Environment["DISPATCHER"],
    QUEUE_DRAIN: { getByName: () => ({ nudge: () => Promise.resolve() }) },
    SCHEDULE_CLOCK: { getByName } as unknown as Environment["SCHEDULE_CLOCK"],
  });
  return nudged;
}

test("a shard with nothing to do is left asleep", async () => {
  await world.connectWorker({ actions: ["frail:only"] });
  expect(await tick()).not.toContain(shardName({ tenant: world.tenant, shard: 0 }));
});

test("a shard with a task in the queue is nudged, also when another can't be reached", async () => {
  const other = await createWorld();
  await other.register({ name: "frail", steps: [{ name: "only" }] });
  const names = [other, world].map(({ tenant }) => shardName({ tenant, shard: 0 }));
  for (const each of [other, world]) await each.startRun({ workflow: "frail" });
  const nudged = await tick((shard) => shard === names[0]);
  expect(nudged).toEqual(expect.arrayContaining(names));
});

test("a shard with nothing but a timer is nudged once that is due", async () => {
  const worker = await world.connectWorker({ actions: ["frail:only"] });
  await world.startRun({ workflow: "frail" });
  worker.fail(await worker.receiveTask(), "no luck");
  await worker.receive("recorded");
  // The next commit would settle what was handed out.
  await world.sql("delete from v1.handout where tenant_id = $1", [world.tenant]);
  const shard = shardName({ tenant: world.tenant, shard: 0 });
  expect(await tick()).not.toContain(shard);
  // The database has a clock of its own.
  await world.sql("update v1.timer set due_at = now() where tenant_id = $1", [world.tenant]);
  expect(await tick()).toContain(shard);
});

test("the clock of a tenant's schedules is nudged once one is due, also when another can't be reached", async () => {
  const other = await createWorld();
  await other.register({ name: "frail", steps: [{ name: "only" }] });
  for (const each of [other, world]) {
    await createSchedule(each, { workflow: "frail", cron: "@hourly" });
  }
  const tenants = [other.tenant, world.tenant];
  expect(await tick()).not.toContain(world.tenant);
  await world.sql("update v1.schedule set due_at = now() where tenant_id = any ($1)", [tenants]);
  const nudged = await tick((name) => name === other.tenant);
  expect(nudged).toEqual(expect.arrayContaining(tenants));
});
