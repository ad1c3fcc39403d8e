/** What a client says of history: exports, imports, how long it is kept, and checks against it. */
import { expect, onTestFinished, test } from "vitest";
import { Client, SkeinError, workflow } from "../../sdk/index.ts";
import { exportedRun, RUN } from "../support/exported-run.ts";
import { FakeShard, problem, TOKEN } from "./fake-shard.ts";

async function createClient(): Promise<{ server: FakeShard; skein: Client }> {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  return { server, skein: new Client({ url: server.url, token: TOKEN, random: () => 0 }) };
}

const order = workflow({ name: "order" });
order.step("charge", { run: () => 1 });

const document = exportedRun(order.definition(), { charge: { output: 1 } });

const found = {
  run: RUN,
  version: 1,
  step: "charge",
  kind: "step_skipped",
  was: "it ran",
  would: "it would be skipped",
  message: 'Step "charge": then it ran; now it would be skipped.',
};

const answer = (parts: object = {}): object => ({
  workflow: "order",
  version: null,
  checked: 1,
  same: 1,
  divergent: 0,
  byKind: {},
  divergences: [],
  more: 0,
  tooLarge: [],
  nextCursor: null,
  ...parts,
});

test("a run is exported, without its logs when that is asked for", async () => {
  const { server, skein } = await createClient();
  server.on(`GET /runs/${RUN}/export`, () => ({ body: document }));
  expect(await skein.runs.export(RUN)).toEqual(document);
  await skein.runs.export(RUN, { logs: false });
  const asked = server.requestsTo(`GET /runs/${RUN}/export`);
  expect(asked.map(({ query }) => Object.fromEntries(query))).toEqual([{}, { logs: "false" }]);
});

test("a document is imported, read, listed, exported again and deleted", async () => {
  const { server, skein } = await createClient();
  const summary = { id: "i1", run: RUN, workflow: "order" };
  server.on("POST /imports", () => ({ status: 201, body: { ...summary, created: true } }));
  server.on("GET /imports/i1", () => ({ body: { ...summary, document } }));
  server.on("GET /imports", () => ({ body: { items: [summary], nextCursor: "c2" } }));
  server.on("GET /imports/i1/export", () => ({ body: document }));
  server.on("DELETE /imports/i1", () => ({ body: { id: "i1" } }));
  expect(await skein.imports.create(document)).toEqual({ ...summary, created: true });
  expect(server.requestsTo("POST /imports")[0]?.body).toEqual(document);
  expect((await skein.imports.get("i1")).document).toEqual(document);
  expect(await skein.imports.list({ limit: 2, cursor: "c1" })).toMatchObject({ nextCursor: "c2" });
  const [listed] = server.requestsTo("GET /imports");
  expect(Object.fromEntries(listed?.query ?? [])).toEqual({ cursor: "c1", limit: "2" });
  expect(await skein.imports.export("i1")).toEqual(document);
  expect(await skein.imports.delete("i1")).toBeUndefined();
});

test("a period is read and set", async () => {
  const { server, skein } = await createClient();
  server.on("GET /tenant/retention", () => ({ body: { days: 90 } }));
  server.on("PUT /tenant/retention", () => ({ body: { days: null } }));
  expect(await skein.retention.get()).toBe(90);
  await skein.retention.set(null);
  await skein.retention.set(30);
  const bodies = server.requestsTo("PUT /tenant/retention").map(({ body }) => body);
  expect(bodies).toEqual([{ days: null }, { days: 30 }]);
});

test("the number of shards is read and set", async () => {
  const { server, skein } = await createClient();
  const two = { count: 1, version: 3, shards: [{ number: 0, state: "active" }] };
  server.on("GET /tenant/shards", () => ({ body: two }));
  server.on("PUT /tenant/shards", () => ({ body: { ...two, count: 4 } }));
  expect(await skein.tenant.shards.get()).toEqual(two);
  expect(await skein.tenant.shards.set(4)).toMatchObject({ count: 4 });
  expect(server.requestsTo("PUT /tenant/shards")[0]?.body).toEqual({ count: 4 });
});

test("a check goes on until all runs have been checked, and adds up", async () => {
  const { server, skein } = await createClient();
  const answers = [
    answer({ nextCursor: "c1", tooLarge: ["r9"] }),
    answer({ same: 0, divergent: 1, byKind: { step_skipped: 3 }, divergences: [found], more: 2 }),
  ];
  server.on("POST /workflows/order/check", () => ({ body: answers.shift() }));
  const since = new Date("2026-01-31T12:00:00Z");
  const result = await skein.workflows.replayCheck(order, { runs: { last: 7, since } });
  expect(server.requestsTo("POST /workflows/order/check").map(({ body }) => body)).toEqual([
    { definition: order.definition(), runs: { last: 7, since: since.toISOString() } },
    { definition: order.definition(), runs: { last: 7, since: since.toISOString() }, cursor: "c1" },
  ]);
  expect(result).toMatchObject({
    isSame: false,
    checked: 2,
    same: 1,
    divergent: 1,
    byKind: { step_skipped: 3 },
    divergences: [found],
    more: 2,
    tooLarge: ["r9"],
  });
  expect(`${result}`).toBe(
    [
      '1 of 2 runs of "order" would have gone another way:',
      `  ${RUN} (version 1): ${found.message}`,
      "  and 2 more divergences.",
      "  r9 is too large to be checked.",
    ].join("\n"),
  );
});

test("documents and imports are checked alone, unless runs are asked for as well", async () => {
  const { server, skein } = await createClient();
  server.on("POST /workflows/order/check", () => ({ body: answer() }));
  const against = { name: "order", version: 3 };
  const result = await skein.workflows.replayCheck(against, {
    documents: [document],
    imports: ["i1"],
  });
  const bodies = () => server.requestsTo("POST /workflows/order/check").map(({ body }) => body);
  expect(bodies()).toEqual([
    { version: 3, documents: [document] },
    { version: 3, imports: ["i1"] },
  ]);
  expect(result.isSame).toBe(true);
  expect(String(result)).toBe('2 runs of "order" would have gone the same way.');
  await skein.workflows.replayCheck(against, { imports: ["i1"], runs: {} });
  expect(bodies().slice(2)).toEqual([
    { version: 3, imports: ["i1"] },
    { version: 3, runs: {} },
  ]);
});

test("many documents are several calls, none larger than a body may be", async () => {
  const { server, skein } = await createClient();
  server.on("POST /workflows/order/check", () => ({ body: answer() }));
  const large = { ...document, parentKey: "x".repeat(5 * 1024 * 1024) };
  await skein.workflows.replayCheck(order, { documents: [large, large, large] });
  const counts = server
    .requestsTo("POST /workflows/order/check")
    .map(({ body }) => (body as { documents: unknown[] }).documents.length);
  expect(counts).toEqual([2, 1]);
});

test("what the server refuses is thrown", async () => {
  const { server, skein } = await createClient();
  server.on("POST /workflows/order/check", () =>
    problem(404, "version_not_found", "There is none"),
  );
  const checked = skein.workflows.replayCheck({ name: "order", version: 9 });
  await expect(checked).rejects.toThrow(SkeinError);
  await expect(checked).rejects.toMatchObject({ code: "version_not_found" });
});
