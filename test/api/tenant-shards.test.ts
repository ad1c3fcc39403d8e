/** How many shards a tenant has, over the API. */
import { beforeEach, expect, test } from "vitest";
import { MAX_SHARDS } from "../../protocol/shard-map.ts";
import { tenantShardsSchema } from "../../workers/api/tenant-shards.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectProblem } from "./answers.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
});

const set = (count: unknown) => ask(world, "PUT", "/tenant/shards", { count });

async function read() {
  return expectAnswer(await ask(world, "GET", "/tenant/shards"), 200, tenantShardsSchema);
}

test("a new tenant has one shard", async () => {
  const one = { count: 1, version: 1, shards: [{ number: 0, state: "active" }] };
  expect(await read()).toEqual(one);
});

test("the number is raised and lowered, and the same again changes nothing", async () => {
  const three = expectAnswer(await set(3), 200, tenantShardsSchema);
  expect(three.shards.map(({ state }) => state)).toEqual(["active", "active", "active"]);
  expect(expectAnswer(await set(3), 200, tenantShardsSchema)).toEqual(three);
  expect(await read()).toEqual(three);
  const one = expectAnswer(await set(1), 200, tenantShardsSchema);
  expect(one).toMatchObject({ count: 1, version: three.version + 1 });
  expect(one.shards.map(({ state }) => state)).toEqual(["active", "draining", "draining"]);
  expect(await read()).toEqual(one);
});

test.each([0, -1, MAX_SHARDS + 1, 1.5, "2", null, undefined])(
  "%s is no number of shards, and changes nothing",
  async (count) => {
    await expectProblem(await set(count), "invalid_request", /count/);
    expect(await read()).toMatchObject({ count: 1, version: 1 });
  },
);

test("a field that there isn't is refused", async () => {
  const asked = await ask(world, "PUT", "/tenant/shards", { count: 2, shards: 2 });
  await expectProblem(asked, "invalid_request", /shards is not a field/);
  expect(await read()).toMatchObject({ count: 1, version: 1 });
});

test("every shard is told at once, also one that only drains", async () => {
  const workers = [await world.connectWorker({ actions: ["a:b"] })];
  const three = set(3);
  await workers[0]?.receive("shards");
  for (const shard of [1, 2]) {
    workers.push(await world.connectWorker({ actions: ["a:b"] }, shard));
  }
  await three;
  const { version } = expectAnswer(await set(2), 200, tenantShardsSchema);
  for (const worker of workers) {
    const last = (await worker.unreadWhenQuiet()).filter(({ type }) => type === "shards").at(-1);
    const paths = [0, 1, 2].map((number) => ({
      number,
      path: `/api/v1/shards/${number}/session`,
      ...(number === 2 && { isDraining: true }),
    }));
    expect(last).toEqual({ type: "shards", version, shards: paths });
  }
});
