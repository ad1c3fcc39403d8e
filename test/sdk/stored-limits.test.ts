/** What a client says of limits: stores, reads and deletes them, starts by priority, and asks why. */
import { expect, onTestFinished, test } from "vitest";
import { Client, DefinitionError, type PutLimitOptions, workflow } from "../../sdk/index.ts";
import { FakeShard, problem, TOKEN } from "./fake-shard.ts";

const order = workflow({ name: "order" });
order.step("charge", { run: () => 1 });

async function createClient(): Promise<{ server: FakeShard; skein: Client }> {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  return { server, skein: new Client({ url: server.url, token: TOKEN, random: () => 0 }) };
}

/** What a limit is stored as. */
async function storedAs(options: PutLimitOptions): Promise<unknown> {
  const { server, skein } = await createClient();
  await skein.limits.put("tokens", options);
  return server.requestsTo("PUT /limits/tokens")[0]?.body;
}

test("a limit is stored in milliseconds, with its overrides, and without what is not said", async () => {
  const stored = await storedAs({
    description: "Of the provider",
    rate: [
      { units: 90_000, per: "1m", burst: 10 },
      { units: 5, per: 1_000 },
    ],
    key: "input.customer",
    fallbackKey: "none",
    units: "input.maxTokens",
    strategy: undefined,
    appliesTo: { action: "chat:answer" },
    overrides: [
      { key: "enterprise-*", rate: { units: 400_000, per: "1m" } },
      { key: "gold", weight: 3 },
    ],
  });
  expect(stored).toEqual({
    description: "Of the provider",
    rate: [
      { units: 90_000, perMs: 60_000, burst: 10 },
      { units: 5, perMs: 1_000 },
    ],
    key: "input.customer",
    fallbackKey: "none",
    units: "input.maxTokens",
    appliesTo: { action: "chat:answer" },
    overrides: [
      { key: "enterprise-*", rate: [{ units: 400_000, perMs: 60_000 }] },
      { key: "gold", weight: 3 },
    ],
  });
  expect(await storedAs({ concurrency: 5, strategy: "cancel-newest" })).toEqual({
    concurrency: 5,
    strategy: "cancel-newest",
  });
});

test.each<[string, PutLimitOptions, string]>([
  ["a rate of no length", { rate: { units: 1, per: 0 } }, "The per of a rate of limit"],
  [
    "an override's rate of nothing",
    { rate: { units: 1, per: 1 }, overrides: [{ key: "a", rate: { units: 0, per: 1 } }] },
    "it must be more than 0",
  ],
])("%s is refused before anything is sent", async (_what, options, message) => {
  const { server, skein } = await createClient();
  const put = skein.limits.put("tokens", options);
  await expect(put).rejects.toThrow(message);
  await expect(put).rejects.toThrow(DefinitionError);
  expect(server.requests).toEqual([]);
});

test("a limit is read, listed by pages, and deleted", async () => {
  const { server, skein } = await createClient();
  const state = { name: "tokens", kind: "rate", keys: [], hasMoreKeys: false, workflows: [] };
  server.on("GET /limits/tokens", () => ({ body: state }));
  server.on("GET /limits", () => ({ body: { items: [], nextCursor: "c2" } }));
  server.on("DELETE /limits/tokens", () => ({ body: { name: "tokens" } }));
  expect(await skein.limits.get("tokens")).toEqual(state);
  expect(await skein.limits.list({ cursor: "c1", limit: 2 })).toEqual({
    items: [],
    nextCursor: "c2",
  });
  expect(Object.fromEntries(server.requestsTo("GET /limits")[0]?.query ?? [])).toEqual({
    cursor: "c1",
    limit: "2",
  });
  expect(await skein.limits.delete("tokens")).toBeUndefined();
});

test("a limit that is in use says so", async () => {
  const { server, skein } = await createClient();
  server.on("DELETE /limits/tokens", () =>
    problem(409, "limit_in_use", 'Workflow "chat" names it'),
  );
  await expect(skein.limits.delete("tokens")).rejects.toMatchObject({
    status: 409,
    code: "limit_in_use",
    detail: 'Workflow "chat" names it',
  });
});

test("runs are started by priority, one or many, and without it where it is not said", async () => {
  const { server, skein } = await createClient();
  server.on("POST /runs", () => ({ status: 201, body: { id: "run-1", created: true } }));
  server.on("POST /runs/bulk", () => ({ body: { runs: [] } }));
  await skein.start(order, {}, { priority: 3 });
  await skein.start(order, {});
  await skein.startMany(order, [{ input: {}, priority: 1 }, { input: {} }]);
  const [urgent, usual] = server.requestsTo("POST /runs").map(({ body }) => body);
  expect(urgent).toMatchObject({ priority: 3 });
  expect(usual).not.toHaveProperty("priority");
  const [many] = server.requestsTo("POST /runs/bulk").map(({ body }) => body as { runs: object[] });
  expect(many?.runs[0]).toMatchObject({ priority: 1 });
  expect(many?.runs[1]).not.toHaveProperty("priority");
});

test("a priority that is none is refused before anything is sent", async () => {
  const { server, skein } = await createClient();
  const message = 'The priority of a run of workflow "order" is 0: use 1, 2, or 3';
  await expect(skein.start(order, {}, { priority: 0 })).rejects.toThrow(message);
  await expect(skein.startMany(order, [{ input: {}, priority: 0 }])).rejects.toThrow(message);
  expect(server.requests).toEqual([]);
});

test("why tasks wait is asked by a task's id, or a run's", async () => {
  const { server, skein } = await createClient();
  const why = { task: "task-1", sentence: "It comes next.", reason: { kind: "next" } };
  server.on("GET /tasks/task-1/why", () => ({ body: why }));
  expect(await skein.why("task-1")).toEqual(why);
  server.on("GET /runs/run-1/why", () => ({ body: [why] }));
  expect(await skein.runs.why("run-1")).toEqual([why]);
});
