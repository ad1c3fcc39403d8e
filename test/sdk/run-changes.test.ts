/** Cancelling, replaying and pausing by the client: what it asks, and how often. */
import { expect, onTestFinished, test } from "vitest";
import { Client, RunFailedError, workflow } from "../../sdk/index.ts";
import { FakeShard, problem, TOKEN } from "./fake-shard.ts";
import type { Answer, HeardRequest } from "./heard-request.ts";

async function createClient(): Promise<{ server: FakeShard; skein: Client }> {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  return { server, skein: new Client({ url: server.url, token: TOKEN, random: () => 0 }) };
}

/** Answers with each in turn, the last for ever. */
function inTurn(...answers: Answer[]): () => Answer {
  let turn = 0;
  return () => answers[Math.min(turn++, answers.length - 1)] ?? {};
}

function keyOf({ body }: HeardRequest): string {
  return (body as { idempotencyKey: string }).idempotencyKey;
}

test("a run is cancelled by its id, with a reason or without", async () => {
  const { server, skein } = await createClient();
  const cancelled = { id: "run-1", state: "cancelled", cancelled: true };
  server.on("POST /runs/run-1/cancel", () => ({ body: cancelled }));
  expect(await skein.runs.cancel("run-1")).toEqual(cancelled);
  await skein.runs.cancel("run-1", { reason: "by mistake" });
  const bodies = server.requestsTo("POST /runs/run-1/cancel").map(({ body }) => body);
  expect(bodies).toEqual([{}, { reason: "by mistake" }]);
});

test("a handle cancels its own run", async () => {
  const { server, skein } = await createClient();
  server.on("POST /runs", () => ({ body: { id: "run-1", created: true } }));
  const finished = { id: "run-1", state: "completed", cancelled: false };
  server.on("POST /runs/run-1/cancel", () => ({ body: finished }));
  const handle = await skein.start(workflow({ name: "order" }));
  expect(await handle.cancel()).toEqual(finished);
});

test("runs are cancelled by filter until there are no more, and counted", async () => {
  const { server, skein } = await createClient();
  server.on(
    "POST /runs/cancel",
    inTurn(
      { body: { cancelled: 1_000, hasMore: true } },
      { body: { cancelled: 1_000, hasMore: true } },
      { body: { cancelled: 7, hasMore: false } },
    ),
  );
  const filter = {
    workflow: "order",
    state: "running" as const,
    since: new Date(0),
    until: "2026-01-01T00:00:00Z",
    metadata: { customer: "acme" },
    eventId: "event-1",
  };
  expect(await skein.runs.cancelMany(filter)).toBe(2_007);
  const bodies = server.requestsTo("POST /runs/cancel").map(({ body }) => body);
  const expected = { ...filter, since: "1970-01-01T00:00:00.000Z" };
  expect(bodies).toEqual([expected, expected, expected]);
});

test("a replay is a new run, whose handle gives all outputs by step name", async () => {
  const { server, skein } = await createClient();
  server.on("POST /runs/run-1/replay", () => ({ status: 201, body: { id: "r2", created: true } }));
  const outputs = { charge: 5, ship: { parcel: 9 } };
  server.on("GET /runs/r2/result", () => ({
    body: { id: "r2", state: "completed", outputs, error: null },
  }));
  const again = await skein.runs.replay("run-1", {
    fromStep: "ship",
    input: { id: "2" },
    version: "original",
    idempotencyKey: "k",
  });
  expect(again).toMatchObject({ id: "r2", created: true });
  expect(await again.result()).toEqual(outputs);
  expect(server.requestsTo("POST /runs/run-1/replay")[0]?.body).toEqual({
    fromStep: "ship",
    input: { id: "2" },
    version: "original",
    idempotencyKey: "k",
  });
});

test("a replay says only what it was told, but an input of null is told", async () => {
  const { server, skein } = await createClient();
  server.on("POST /runs/run-1/replay", () => ({ body: { id: "r2", created: true } }));
  await skein.runs.replay("run-1");
  await skein.runs.replay("run-1", { input: null, fromFailure: false });
  const [bare, told] = server.requestsTo("POST /runs/run-1/replay").map(({ body }) => body);
  expect(Object.keys(bare as object)).toEqual(["idempotencyKey"]);
  expect(told).toMatchObject({ input: null, fromFailure: false });
});

test("a replay whose answer was lost is asked for again with the same key", async () => {
  const { server, skein } = await createClient();
  const answers = inTurn({ isCut: true }, { body: { id: "r2", created: false } });
  server.on("POST /runs/run-1/replay", answers);
  expect(await skein.runs.replay("run-1")).toMatchObject({ id: "r2", created: false });
  const keys = server.requestsTo("POST /runs/run-1/replay").map(keyOf);
  expect(keys).toHaveLength(2);
  expect(new Set(keys).size).toBe(1);
});

test("runs are replayed by filter page by page, under one key", async () => {
  const { server, skein } = await createClient();
  server.on(
    "POST /runs/replay",
    inTurn(
      { body: { runs: [{ id: "r3", replayOf: "r1" }], nextCursor: "c1" } },
      { isCut: true },
      { body: { runs: [{ id: "r4", replayOf: "r2" }], nextCursor: null } },
    ),
  );
  const runs = await skein.runs.replayMany(
    { workflow: "order", state: "failed", since: new Date(0) },
    { fromFailure: true },
  );
  expect(runs).toEqual([
    { id: "r3", replayOf: "r1" },
    { id: "r4", replayOf: "r2" },
  ]);
  const requests = server.requestsTo("POST /runs/replay");
  const body = {
    filter: { workflow: "order", state: "failed", since: "1970-01-01T00:00:00.000Z" },
    fromFailure: true,
    idempotencyKey: expect.any(String),
  };
  expect(requests.map((request) => request.body)).toEqual([
    body,
    { ...body, cursor: "c1" },
    { ...body, cursor: "c1" },
  ]);
  expect(new Set(requests.map(keyOf)).size).toBe(1);
});

test("what can't be cancelled or replayed says why", async () => {
  const { server, skein } = await createClient();
  const unfinished = problem(409, "run_not_finished", "Run run-1 is running");
  server.on("POST /runs/run-1/replay", () => unfinished);
  await expect(skein.runs.replay("run-1")).rejects.toMatchObject({ code: "run_not_finished" });
  server.on("POST /runs/run-1/cancel", () => problem(404, "run_not_found", "No run run-1"));
  await expect(skein.runs.cancel("run-1")).rejects.toMatchObject({ code: "run_not_found" });
  const odd = skein.runs.replay("run-1", { input: () => 1 });
  await expect(odd).rejects.toThrow("The input of a replay of run run-1 is not JSON");
});

test("a run that took too long throws with its own error, and no step", async () => {
  const { server, skein } = await createClient();
  server.on("POST /runs", () => ({ body: { id: "run-1", created: true } }));
  const error = { code: "run_timeout", name: "RunTimeout", message: "longer than 5 s", step: null };
  server.on("GET /runs/run-1/result", () => ({
    body: { id: "run-1", state: "failed", outputs: {}, error },
  }));
  const handle = await skein.start(workflow({ name: "order" }));
  const failure = await handle.result().catch((thrown: unknown) => thrown);
  expect(failure).toBeInstanceOf(RunFailedError);
  expect(failure).toMatchObject({ state: "failed", step: null, error });
  expect(String(failure)).toContain("Run run-1 failed: longer than 5 s");
});

test("a workflow is paused with a mode, and resumed", async () => {
  const { server, skein } = await createClient();
  server.on("PUT /workflows/order/pause", () => ({ body: {} }));
  server.on("DELETE /workflows/order/pause", () => ({ body: {} }));
  await skein.workflows.pause("order", { mode: "hold" });
  await skein.workflows.resume("order");
  expect(server.requestsTo("PUT /workflows/order/pause")[0]?.body).toEqual({ mode: "hold" });
  expect(server.requestsTo("DELETE /workflows/order/pause")[0]?.body).toBeUndefined();
});

test("workers are listed, paused, resumed and drained", async () => {
  const { server, skein } = await createClient();
  const record = { id: "w/1", name: "tester", state: "connected" };
  server.on("GET /workers", () => ({ body: { items: [record] } }));
  expect(await skein.workers.list()).toEqual([record]);
  const paths = [
    "PUT /workers/w%2F1/pause",
    "DELETE /workers/w%2F1/pause",
    "POST /workers/w%2F1/drain",
  ];
  for (const path of paths) server.on(path, () => ({ body: {} }));
  await skein.workers.pause("w/1");
  await skein.workers.resume("w/1");
  await skein.workers.drain("w/1");
  expect(server.requests.slice(1).map(({ method, path }) => `${method} ${path}`)).toEqual(paths);
  server.on("POST /workers/gone/drain", () => problem(404, "worker_not_found", "No worker gone"));
  await expect(skein.workers.drain("gone")).rejects.toMatchObject({ code: "worker_not_found" });
});
