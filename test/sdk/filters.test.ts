/** Filters and events by the client: what a workflow declares, what is asked, and what is refused here. */
import { expect, onTestFinished, test } from "vitest";
import { Client, DefinitionError, type FilterOptions, workflow } from "../../sdk/index.ts";
import { FakeShard, TOKEN } from "./fake-shard.ts";

async function createClient(): Promise<{ server: FakeShard; skein: Client }> {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  return { server, skein: new Client({ url: server.url, token: TOKEN, random: () => 0 }) };
}

/** Has the server answer these with nothing in particular. */
function accept(server: FakeShard, ...asked: string[]): void {
  for (const each of asked) server.on(each, () => ({ body: {} }));
}

function declared(filters: FilterOptions[], events: string[] = ["order:*"]): unknown {
  const order = workflow({ name: "order", on: { events }, filters });
  order.step("only", { run: () => 1 });
  return order.definition().filters;
}

test("a workflow declares its filters as they are written, and none when it has none", () => {
  const filters = [
    { expression: "input.a == 1", scope: "acme", payload: { least: 2 } },
    { expression: "true" },
  ];
  expect(declared(filters)).toEqual(filters);
  expect(declared([])).toBeUndefined();
});

test.each<[string, FilterOptions[], string[], RegExp]>([
  [
    "an expression that is none",
    [{ expression: " " }],
    ["a"],
    /filters\[0\] of workflow "order" is not CEL/,
  ],
  [
    "a payload that is no JSON",
    [{ expression: "true", payload: new Map() }],
    ["a"],
    /filters\[0\] is not JSON/,
  ],
  [
    "filters without events",
    [{ expression: "true" }],
    [],
    /no events that they could be asked for/,
  ],
  [
    "too many",
    Array.from({ length: 101 }, () => ({ expression: "true" })),
    ["a"],
    /has 101 filters/,
  ],
])("%s is refused where it is written", (_what, filters, events, says) => {
  expect(() => declared(filters, events)).toThrow(says);
});

test("that is a DefinitionError", () => {
  expect(() => declared([{ expression: "" }])).toThrow(DefinitionError);
});

test("a filter is created, changed in part, read, listed, tried and deleted", async () => {
  const { server, skein } = await createClient();
  const path = "/filters/f%201";
  accept(server, "POST /filters", "POST /filters/try", "GET /filters", `GET ${path}/failures`);
  accept(server, `GET ${path}`, `PATCH ${path}`, `DELETE ${path}`);
  await skein.filters.create("order", { expression: "true", payload: { a: 1 } });
  await skein.filters.update("f 1", { scope: null });
  await skein.filters.get("f 1");
  await skein.filters.list({ workflow: "order", limit: 5 });
  await skein.filters.failures("f 1", { limit: 2 });
  await skein.filters.try({ expression: "true", event: { key: "a" } });
  await skein.filters.delete("f 1");
  expect(server.requestsTo("POST /filters")[0]?.body).toEqual({
    workflow: "order",
    expression: "true",
    payload: { a: 1 },
  });
  expect(server.requestsTo("PATCH /filters/f%201")[0]?.body).toEqual({ scope: null });
  expect(server.requestsTo("POST /filters/try")[0]?.body).toEqual({
    expression: "true",
    event: { key: "a" },
  });
  for (const asked of [
    "GET /filters/f%201",
    "GET /filters",
    "GET /filters/f%201/failures",
    "DELETE /filters/f%201",
  ]) {
    expect(server.requestsTo(asked), asked).toHaveLength(1);
  }
});

test("many filters are created a thousand a call, in their order", async () => {
  const { server, skein } = await createClient();
  server.on("POST /filters/bulk", ({ body }) => ({
    body: {
      filters: (body as { filters: { payload: number }[] }).filters.map(({ payload }) => ({
        id: `f${payload}`,
        created: true,
      })),
    },
  }));
  const filters = Array.from({ length: 1_500 }, (_, payload) => ({ expression: "true", payload }));
  const created = await skein.filters.createMany("order", filters);
  expect(created.map(({ id }) => id)).toEqual(filters.map(({ payload }) => `f${payload}`));
  expect(server.requestsTo("POST /filters/bulk")).toHaveLength(2);
});

test("an event is published with its scope", async () => {
  const { server, skein } = await createClient();
  accept(server, "POST /events");
  await skein.publish("a", 1, { scope: "acme", idempotencyKey: "k" });
  expect(server.requestsTo("POST /events")[0]?.body).toEqual({
    key: "a",
    scope: "acme",
    payload: 1,
    idempotencyKey: "k",
  });
});

test("events are read, listed and replayed, by filter until there are no more", async () => {
  const { server, skein } = await createClient();
  accept(server, "GET /events/e1", "GET /events", "POST /events/e1/replay");
  await skein.events.get("e1");
  await skein.events.list({ key: "a", since: new Date(0) });
  await skein.events.replay("e1", { idempotencyKey: "again" });
  expect(server.requestsTo("GET /events/e1")).toHaveLength(1);
  expect(server.requestsTo("GET /events")).toHaveLength(1);
  expect(server.requestsTo("POST /events/e1/replay")[0]?.body).toEqual({ idempotencyKey: "again" });

  const pages = [
    { events: [{ id: "n1", replayOf: "o1", runs: [] }], nextCursor: "c" },
    { events: [{ id: "n2", replayOf: "o2", runs: [] }], nextCursor: null },
  ];
  server.on("POST /events/replay", () => ({ body: pages.shift() ?? {} }));
  const replayed = await skein.events.replayMany(
    { key: "a", since: new Date(0) },
    { idempotencyKey: "all" },
  );
  expect(replayed.map(({ id }) => id)).toEqual(["n1", "n2"]);
  const filter = { key: "a", since: "1970-01-01T00:00:00.000Z" };
  expect(server.requestsTo("POST /events/replay").map(({ body }) => body)).toEqual([
    { filter, idempotencyKey: "all" },
    { filter, idempotencyKey: "all", cursor: "c" },
  ]);
});
