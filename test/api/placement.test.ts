/** Where runs go when a tenant has several shards, and that each shard learns at once of what is for it. */
import { beforeEach, describe, expect, test } from "vitest";
import type { PublishedEvent } from "../../protocol/http.ts";
import { newRunId } from "../../protocol/ids.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { advanceClock, createSchedule, runsOf } from "../support/schedules.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

const SHARDS = 4;
const CUSTOMERS = Array.from({ length: 12 }, (_, n) => `c${n}`);

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({
    name: "order",
    events: ["ordered"],
    limits: [{ concurrency: 100, key: "input.customer" }],
    steps: [{ name: "only" }],
  });
  await world.register({ name: "plain", events: ["ordered"], steps: [{ name: "only" }] });
  await setShards(SHARDS);
});

async function setShards(count: number): Promise<void> {
  for (const change of ["open_shards", "set_shards"]) {
    await world.sql(`select v1.${change}($1, $2)`, [world.tenant, count]);
  }
}

const ownerOf = (customer: string, shards = SHARDS): number =>
  shardOfKey(`order#1 ${customer}`, shards);

/** By run, in the order of the ids. */
async function shardsOf(runs: string[]): Promise<number[]> {
  const rows = await world.sql(
    "select id, shard from v1.workflow_run where id = any ($1::uuid[])",
    [runs],
  );
  const found = new Map(rows.map((row) => [String(row["id"]), Number(row["shard"])]));
  return runs.map((run) => found.get(run) ?? -1);
}

/** A worker at each shard. */
async function connectToAll(action: string): Promise<FakeWorker[]> {
  const numbers = Array.from({ length: SHARDS }, (_, shard) => shard);
  const workers = await Promise.all(
    numbers.map((shard) => world.connectWorker({ actions: [action] }, shard)),
  );
  // Each is asked what it holds of the others' limits, and knows it once it has recovered: no time passes here.
  for (const worker of workers) await worker.unreadWhenQuiet();
  return workers;
}

describe("runs of a workflow with a limit", () => {
  test("of one customer are all at the shard of that customer", async () => {
    const runs = [];
    for (const customer of [...CUSTOMERS, ...CUSTOMERS]) {
      runs.push((await world.startRun({ workflow: "order", input: { customer } })).id);
    }
    const owners = CUSTOMERS.map((customer) => ownerOf(customer));
    expect(new Set(owners).size).toBe(SHARDS);
    expect(await shardsOf(runs)).toEqual([...owners, ...owners]);
  });

  test("by a stored limit are placed by its key", async () => {
    await world.call("PUT", "/limits/bank", { concurrency: 5, key: "input.bank" });
    await world.register({
      name: "pay",
      // The first has a key only so that turns are fair: it bounds nothing.
      limits: [{ key: "input.customer" }, { limit: "bank" }],
      steps: [{ name: "only" }],
    });
    const banks = CUSTOMERS.map((customer) => ({ bank: customer, customer }));
    const runs = await world.startRuns("pay", banks);
    expect(await shardsOf(runs)).toEqual(
      banks.map(({ bank }) => shardOfKey(`bank ${bank}`, SHARDS)),
    );
  });

  test("are dispatched at once at every shard, though one call has started them", async () => {
    const workers = await connectToAll("order:only");
    const runs = await world.startRuns(
      "order",
      CUSTOMERS.map((customer) => ({ customer })),
    );
    const handed = [];
    for (const customer of CUSTOMERS) handed.push(await workers[ownerOf(customer)]?.receiveTask());
    expect(handed.map((task) => task?.run).toSorted()).toEqual(runs.toSorted());
  });
});

test("runs without a limit are spread by their ids, and those of one call stay together", async () => {
  const alone = [];
  for (let n = 0; n < 24; n++) alone.push((await world.startRun({ workflow: "plain" })).id);
  const shards = await shardsOf(alone);
  expect(shards).toEqual(alone.map((id) => shardOfKey(id, SHARDS)));
  expect(new Set(shards).size).toBe(SHARDS);
  const together = await world.startRuns("plain", [{}, {}, {}, {}, {}, {}]);
  const home = shardOfKey(together[0] ?? "", SHARDS);
  expect(await shardsOf(together)).toEqual(together.map(() => home));
});

test("an event whose runs belong to several shards starts all of them at once", async () => {
  await world.register({
    name: "ship",
    events: ["ordered"],
    limits: [{ concurrency: 1, key: "input.customer" }],
    steps: [{ name: "only", action: "order:only" }],
  });
  const shardOfShip = (customer: string): number => shardOfKey(`ship#1 ${customer}`, SHARDS);
  const customer = CUSTOMERS.find((each) => shardOfShip(each) !== ownerOf(each)) ?? "";
  const workers = await connectToAll("order:only");
  const event = { key: "ordered", payload: { customer } };
  const { body } = await world.call<PublishedEvent>("POST", "/events", event);
  const rows = await world.sql(
    `select w.name, r.shard from v1.workflow_run r join v1.workflow w on w.id = r.workflow_id
       where r.event_id = $1`,
    [body.id],
  );
  const shards = Object.fromEntries(rows.map(({ name, shard }) => [name, shard]));
  expect(shards).toMatchObject({ order: ownerOf(customer), ship: shardOfShip(customer) });
  expect([ownerOf(customer), shardOfShip(customer)]).toContain(shards["plain"]);
  const handed = await Promise.all([
    workers[ownerOf(customer)]?.receiveTask(),
    workers[shardOfShip(customer)]?.receiveTask(),
  ]);
  expect(body.runs).toEqual(expect.arrayContaining(handed.map((task) => task?.run)));
});

test("a run is placed by the number of now, though its call was placed by the one before", async () => {
  const customer = CUSTOMERS.find((each) => ownerOf(each, SHARDS) !== ownerOf(each, 2)) ?? "";
  const first = await world.startRun({ workflow: "order", input: { customer } });
  await setShards(2); // as another isolate would: this one is not told
  const second = await world.startRun({ workflow: "order", input: { customer } });
  expect(await shardsOf([first.id, second.id])).toEqual([ownerOf(customer), ownerOf(customer, 2)]);
});

test("a replay is placed as other runs are", async () => {
  const customer = CUSTOMERS.find((each) => ownerOf(each) === 3) ?? "";
  const { id } = await world.startRun({ workflow: "order", input: { customer } });
  await world.call("POST", `/runs/${id}/cancel`);
  const replay = await world.call<{ id: string }>("POST", `/runs/${id}/replay`);
  expect(await shardsOf([replay.body.id])).toEqual([3]);
  expect((await world.readRun(replay.body.id)).replayOf).toBe(id);
});

describe("a run at a shard that is not the first", () => {
  const customer = CUSTOMERS.find((each) => ownerOf(each) === 2) ?? "";
  const input = { customer };

  test("is cancelled there, alone and by a filter", async () => {
    const worker = (await connectToAll("order:only"))[2] ?? expect.fail();
    const { id } = await world.startRun({ workflow: "order", input });
    await worker.receiveTask();
    const alone = await world.call("POST", `/runs/${id}/cancel`);
    expect(alone.body).toEqual({ id, state: "cancelled", cancelled: true });
    await worker.receive("cancel");
    await world.startRuns(
      "order",
      CUSTOMERS.map((each) => ({ customer: each })),
    );
    const many = await world.call("POST", "/runs/cancel", { workflow: "order" });
    expect(many.body).toEqual({ cancelled: CUSTOMERS.length, hasMore: false });
  });

  test("is waited for there", async () => {
    const worker = (await connectToAll("order:only"))[2] ?? expect.fail();
    const { id } = await world.startRun({ workflow: "order", input });
    const waiting = world.call("GET", `/runs/${id}/result?waitMs=60000`);
    worker.complete(await worker.receiveTask(), "done");
    expect((await waiting).body).toMatchObject({ state: "completed", outputs: { only: "done" } });
    const over = await world.call("GET", `/runs/${id}/result?waitMs=60000`);
    expect(over.body).toMatchObject({ state: "completed" });
  });

  test("is explained by what is known there", async () => {
    const worker = (await connectToAll("order:only"))[2] ?? expect.fail();
    const { id } = await world.startRun({ workflow: "order", input });
    await worker.receiveTask();
    const { body } = await world.call<object[]>("GET", `/runs/${id}/why`);
    expect(body).toMatchObject([{ reason: { kind: "running" } }]); // Postgres hears of it later
  });
});

test("workers of every shard are listed and paused, also of one that only drains", async () => {
  await connectToAll("order:only");
  await setShards(2);
  const { body } = await world.call<{ items: { id: string; shard: number }[] }>("GET", "/workers");
  expect(body.items.map(({ shard }) => shard).toSorted()).toEqual([0, 1, 2, 3]);
  const last = body.items.find(({ shard }) => shard === 3)?.id ?? newRunId();
  expect((await world.call("PUT", `/workers/${last}/pause`)).status).toBe(200);
});

test("a schedule starts runs where they belong, and cancels its previous one wherever that is", async () => {
  const hour = 3_600_000;
  const customers = CUSTOMERS.slice(0, 4);
  const ids = await Promise.all(
    customers.map(async (customer) => {
      const cron = { cron: "0 * * * *", overlap: "cancel-previous" } as const;
      return (await createSchedule(world, { workflow: "order", input: { customer }, ...cron })).id;
    }),
  );
  await advanceClock(world, Date.now() + 2 * hour);
  for (const [index, id] of ids.entries()) {
    const runs = await runsOf(world, id);
    expect(runs.map(({ state }) => state)).toEqual(["cancelled", "queued"]);
    const owner = ownerOf(customers[index] ?? "");
    expect(await shardsOf(runs.map((run) => run.id))).toEqual([owner, owner]);
  }
});
