/** Versions by the client and the worker: what is asked for, and what a worker says of a version that is not active. */
import { expect, onTestFinished, test } from "vitest";
import { Client, DefinitionError, workflow } from "../../sdk/index.ts";
import { FakeShard, problem, TOKEN } from "./fake-shard.ts";
import { createWorld } from "./world.ts";

async function createClient(): Promise<{ server: FakeShard; skein: Client }> {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  return { server, skein: new Client({ url: server.url, token: TOKEN, random: () => 0 }) };
}

test("versions are listed, read, compared and their changes told", async () => {
  const { server, skein } = await createClient();
  const asked: [string, () => Promise<unknown>][] = [
    ["GET /workflows/order/versions", () => skein.workflows.versions("order", { limit: 2 })],
    ["GET /workflows/order/versions/3", () => skein.workflows.version("order", 3)],
    ["GET /workflows/order/diff", () => skein.workflows.diff("order", { from: 1 })],
    ["GET /workflows/order/changes", () => skein.workflows.changes("order")],
  ];
  for (const [route, call] of asked) {
    server.on(route, () => ({ body: { route } }));
    expect(await call()).toEqual({ route });
  }
  server.on("GET /workflows/order/versions/9", () => problem(404, "version_not_found", "No 9."));
  await expect(skein.workflows.version("order", 9)).rejects.toMatchObject({
    code: "version_not_found",
  });
});

test("a version is activated and promoted with what is given, and durations in milliseconds", async () => {
  const { server, skein } = await createClient();
  for (const route of ["POST /workflows/order/activate", "PUT /workflows/order/promotion"]) {
    server.on(route, () => ({ body: {} }));
  }
  server.on("DELETE /workflows/order/promotion", () => ({ body: {} }));
  await skein.workflows.activate("order", { version: 2, reason: "fine" });
  const rollbackWhen = { failureRate: 0.1, window: "5m", minimumRuns: 7 } as const;
  await skein.workflows.promote("order", {
    version: 3,
    percent: 12.5,
    key: "input.id",
    rollbackWhen,
  });
  await skein.workflows.promote("order", { version: 3, percent: 20 });
  await skein.workflows.endPromotion("order", { reason: "enough" });
  expect(server.requests.map(({ body }) => body)).toEqual([
    { version: 2, reason: "fine" },
    {
      version: 3,
      percent: 12.5,
      key: "input.id",
      rollbackWhen: { failureRate: 0.1, windowMs: 300_000, minimumRuns: 7 },
    },
    { version: 3, percent: 20 },
    undefined,
  ]);
  const tooLong = { failureRate: 0.1, window: "2d" } as const;
  const refused = skein.workflows.promote("order", {
    version: 3,
    percent: 1,
    rollbackWhen: tooLong,
  });
  await expect(refused).rejects.toBeInstanceOf(DefinitionError);
});

test("a rollback that is sent twice goes back once", async () => {
  const { server, skein } = await createClient();
  server.on("GET /workflows/order", () => ({ body: { version: { number: 4 } } }));
  let tries = 0;
  server.on("POST /workflows/order/rollback", () =>
    ++tries === 1 ? problem(503, "database_unavailable", "Lost.") : { body: {} },
  );
  await skein.workflows.rollback("order", { reason: "broken" });
  await skein.workflows.rollback("order", { version: 1 });
  const bodies = server.requestsTo("POST /workflows/order/rollback").map(({ body }) => body);
  const twice = { from: 4, reason: "broken" };
  expect(bodies).toEqual([twice, twice, { version: 1 }]);
});

test("a workflow says how it is versioned only if it does", () => {
  const plain = workflow({ name: "order" });
  const pinned = workflow({ name: "order", versioning: "pinned" });
  for (const one of [plain, pinned]) one.step("charge", { run: () => 1 });
  expect(plain.definition()).not.toHaveProperty("versioning");
  expect(pinned.definition()).toMatchObject({ versioning: "pinned" });
});

test.each([
  [
    undefined,
    2,
    /new runs of "order" are bound to version 2, not to version 1, which this worker has/,
  ],
  ["always", 1, undefined],
] as const)(
  "a worker with activate %s whose workflow's active version is %i says: %s",
  async (activate, activeVersion, says) => {
    const { shard, lines, connect } = await createWorld();
    shard.on("PUT /workflows/order", () => ({
      body: { name: "order", version: { id: "version-1", number: 1 }, activeVersion },
    }));
    await connect({ activate });
    const [heard] = shard.requestsTo("PUT /workflows/order");
    expect(heard?.query.get("activate") ?? undefined).toBe(activate);
    const line = lines.find((each) => each.includes("are bound to version"));
    if (says === undefined) expect(line).toBeUndefined();
    else expect(line).toMatch(says);
  },
);
