/** Shards, and the address at which a worker opens its WebSocket to one. */
import { exports } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { SUBPROTOCOL, TOKEN_SUBPROTOCOL_PREFIX } from "../../protocol/session.ts";
import { shardLoadSchema, shardsSchema } from "../../workers/api/schemas.ts";
import { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectProblem } from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const UPGRADE = { upgrade: "websocket" };

test("a tenant's shards are listed with the address of each", async () => {
  const listed = expectAnswer(await ask(world, "GET", "/shards"), 200, shardsSchema);
  const shards = [{ number: 0, path: "/api/v1/shards/0/session" }];
  expect(listed).toEqual({ version: 1, shards });
});

test("a shard tells what it has in memory", async () => {
  const own = await createWorld();
  await own.register({ name: "job", steps: [{ name: "only", limits: [{ concurrency: 1 }] }] });
  const worker = await own.connectWorker({ actions: ["job:only"], slots: 9 });
  await own.startRuns("job", [1, 2, 3]);
  await worker.receiveTask();
  const load = expectAnswer(await ask(own, "GET", "/shards/0"), 200, shardLoadSchema);
  expect(load).toMatchObject({ sessions: 1, attempts: 1, readyTasks: 2, lanes: 1, heldKeys: 1 });
  expect(load.readyBytes).toBeGreaterThan(0);
  await expectProblem(await ask(own, "GET", "/shards/1"), "not_found", /no shard 1/);
  await expectProblem(await ask(own, "GET", "/shards/x"), "invalid_request", /shard's number/);
});

test("a tenant with more shards lists them all", async () => {
  const own = await createWorld();
  await own.call("PUT", "/tenant/shards", { count: 3 });
  const three = expectAnswer(await ask(own, "GET", "/shards"), 200, shardsSchema);
  expect(three.shards.map(({ number }) => number)).toEqual([0, 1, 2]);
  await own.call("PUT", "/tenant/shards", { count: 2 });
  const { version, shards } = expectAnswer(await ask(own, "GET", "/shards"), 200, shardsSchema);
  expect(version).toBeGreaterThan(three.version);
  expect(shards.map(({ isDraining }) => isDraining)).toEqual([undefined, undefined, true]);
  // Also at one that drains: whoever has left it may be what its runs wait for.
  const load = await ask(own, "GET", "/shards/2");
  expect(expectAnswer(load, 200, shardLoadSchema)).toMatchObject({ number: 2, sessions: 0 });
  await (await own.openSocket({}, { shard: 2 })).hello({ actions: ["job:only"] });
});

test("a session's address without an upgrade says that it speaks WebSocket", async () => {
  const asked = await ask(world, "GET", "/shards/0/session");
  await expectProblem(asked, "upgrade_required", /Open this address as a WebSocket/);
  expect(asked.headers.get("upgrade")).toBe("websocket");
});

test.each(["1", "-1", "0.5", "abc", "%20", "0x0", "00", "1e0"])(
  "there is no session at shard %s",
  async (number) => {
    const asked = await ask(world, "GET", `/shards/${number}/session`, undefined, UPGRADE);
    await expectProblem(asked, "not_found", /There is no shard .*GET \/api\/v1\/shards lists them/);
  },
);

describe("a WebSocket is opened", () => {
  const open = async (headers: Record<string, string>): Promise<Response> =>
    await exports.default.fetch("http://skein.test/api/v1/shards/0/session", {
      headers: { ...UPGRADE, ...headers },
    });

  test("with the token in the header", async () => {
    const worker = await world.connectWorker({ actions: [] });
    expect(worker.response.status).toBe(101);
    expect(worker.response.headers.get("sec-websocket-protocol")).toBe(SUBPROTOCOL);
    worker.close(1000);
  });

  test("with the token as a second subprotocol, which is not repeated", async () => {
    const protocols = `${SUBPROTOCOL}, ${TOKEN_SUBPROTOCOL_PREFIX}${world.token}`;
    const worker = new FakeWorker(await open({ "sec-websocket-protocol": protocols }));
    expect(worker.response.headers.get("sec-websocket-protocol")).toBe(SUBPROTOCOL);
    expect((await worker.hello({ actions: [] })).shard).toBe(0);
    worker.close(1000);
  });

  test.each([
    ["no token", SUBPROTOCOL, /Send the header Authorization/],
    [
      "an unknown token",
      `${SUBPROTOCOL}, ${TOKEN_SUBPROTOCOL_PREFIX}skein_wrong`,
      /token is unknown/,
    ],
    [
      "a token beside another protocol",
      `other, ${TOKEN_SUBPROTOCOL_PREFIX}TOKEN`,
      /Send the header/,
    ],
  ])("not with %s", async (_what, protocols, detail) => {
    const headers = {
      ...UPGRADE,
      authorization: "",
      "sec-websocket-protocol": protocols.replace("TOKEN", world.token),
    };
    const asked = await ask(world, "GET", "/shards/0/session", undefined, headers);
    await expectProblem(asked, "unauthenticated", detail);
  });
});
