/** The client against a real HTTP server: what it asks, what it makes of answers, when it retries. */
import { expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { MAX_BODY_BYTES } from "../../protocol/limits.ts";
import {
  Client,
  InvalidInputError,
  RunFailedError,
  SkeinError,
  workflow,
} from "../../sdk/index.ts";
import { FakeShard, problem, TOKEN } from "./fake-shard.ts";
import type { Answer } from "./heard-request.ts";

const order = workflow({
  name: "order",
  input: z.object({ id: z.string().transform((id) => `#${id}`) }),
});
const ship = order.step("ship", { run: () => ({ parcel: 1 }) });
const shipOrder = order.returns(ship);

async function createClient(): Promise<{ server: FakeShard; skein: Client }> {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  server.on("POST /runs", () => ({ status: 201, body: { id: "run-1", created: true } }));
  return { server, skein: new Client({ url: `${server.url}/`, token: TOKEN, random: () => 0 }) };
}

/** Answers with each in turn, the last for ever. */
function inTurn(...answers: Answer[]): () => Answer {
  let turn = 0;
  return () => answers[Math.min(turn++, answers.length - 1)] ?? {};
}

function resultOf(state: string, more: object = {}): Answer {
  return { body: { id: "run-1", state, outputs: {}, error: null, ...more } };
}

test("a run is started with the input as it was given, its labels and its key", async () => {
  const { server, skein } = await createClient();
  const handle = await skein.start(
    shipOrder,
    { id: "1" },
    { metadata: { a: "b" }, idempotencyKey: "k" },
  );
  expect(handle).toMatchObject({ id: "run-1", created: true });
  const [request] = server.requestsTo("POST /runs");
  expect(request?.body).toEqual({
    workflow: "order",
    input: { id: "1" },
    metadata: { a: "b" },
    idempotencyKey: "k",
  });
  expect(request?.headers).toMatchObject({
    authorization: `Bearer ${TOKEN}`,
    "content-type": "application/json",
  });
});

test("an input that the schema refuses is not sent", async () => {
  const { server, skein } = await createClient();
  const started = skein.start(shipOrder, { id: 1 as never });
  await expect(started).rejects.toThrow(InvalidInputError);
  const many = skein.startMany(shipOrder, [{ input: { id: "1" } }, { input: { id: 2 as never } }]);
  await expect(many).rejects.toThrow(InvalidInputError);
  expect(server.requests).toEqual([]);
});

test("run gives the output of the step that the workflow returns", async () => {
  const { server, skein } = await createClient();
  const outputs = { charge: 5, ship: { parcel: 9 } };
  server.on("GET /runs/run-1/result", () => resultOf("completed", { outputs }));
  expect(await skein.run(shipOrder, { id: "1" })).toEqual({ parcel: 9 });
  expect(await skein.run(order, { id: "1" })).toEqual(outputs);
});

test("a result is asked for until the run has finished", async () => {
  const { server, skein } = await createClient();
  const answers = inTurn(resultOf("queued"), resultOf("running"), resultOf("completed"));
  server.on("GET /runs/run-1/result", answers);
  expect(await skein.runs.result("run-1")).toMatchObject({ state: "completed" });
  const asked = server.requestsTo("GET /runs/run-1/result");
  expect(asked.map(({ query }) => query.get("waitMs"))).toEqual(["30000", "30000", "30000"]);
});

test("a server that can't wait for a result is asked again after a pause", async () => {
  const { server } = await createClient();
  const answers = inTurn(resultOf("queued"), resultOf("running"), resultOf("completed"));
  server.on("GET /runs/run-1/result", answers);
  const jitter = vi.fn(() => 0);
  const skein = new Client({ url: server.url, token: TOKEN, random: jitter });
  expect(await skein.runs.result("run-1")).toMatchObject({ state: "completed" });
  expect(jitter).toHaveBeenCalledTimes(2);
});

test("a failed run throws with its run, state, step and error", async () => {
  const { server, skein } = await createClient();
  const error = { code: "handler_error", name: "TypeError", message: "no card", step: "ship" };
  server.on("GET /runs/run-1/result", () => resultOf("failed", { error }));
  const failure = await skein.run(shipOrder, { id: "1" }).catch((thrown: unknown) => thrown);
  expect(failure).toBeInstanceOf(RunFailedError);
  expect(failure).toMatchObject({ runId: "run-1", state: "failed", step: "ship", error });
  expect(String(failure)).toContain('Run run-1 failed in step "ship": TypeError: no card');
  expect(await skein.runs.result("run-1")).toMatchObject({ state: "failed", error });
});

test("a cancelled run throws too", async () => {
  const { server, skein } = await createClient();
  server.on("GET /runs/run-1/result", () => resultOf("cancelled"));
  const handle = await skein.start(shipOrder, { id: "1" });
  await expect(handle.result()).rejects.toMatchObject({
    state: "cancelled",
    step: null,
    error: null,
  });
});

test("waiting ends at the timeout, and asks the server for no more than is left", async () => {
  const { server, skein } = await createClient();
  server.on("GET /runs/run-1/result", () => resultOf("running"));
  const failure = await skein.runs
    .result("run-1", { timeoutMs: 30 })
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "result_timeout", status: 0 });
  const waits = server
    .requestsTo("GET /runs/run-1/result")
    .map(({ query }) => Number(query.get("waitMs")));
  expect(Math.max(...waits)).toBeLessThanOrEqual(30);
});

test("waiting ends with the caller's own reason when its signal is aborted", async () => {
  const { server, skein } = await createClient();
  const asked = Promise.withResolvers<void>();
  server.on("GET /runs/run-1/result", async () => {
    asked.resolve();
    return await new Promise<Answer>(() => undefined);
  });
  const caller = new AbortController();
  const waiting = skein.runs.result("run-1", { signal: caller.signal });
  await asked.promise;
  const reason = new Error("went home");
  caller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});

test("a start whose answer was lost is sent again with the same key", async () => {
  const { server, skein } = await createClient();
  const answers = inTurn(
    { isCut: true },
    problem(503, "overloaded", "Too much"),
    problem(500, "internal_error", "Oops"),
    { body: { id: "run-1", created: false } },
  );
  server.on("POST /runs", answers);
  expect(await skein.start(shipOrder, { id: "1" })).toMatchObject({ id: "run-1", created: false });
  const keys = server
    .requestsTo("POST /runs")
    .map(({ body }) => (body as { idempotencyKey: string }).idempotencyKey);
  expect(keys).toHaveLength(4);
  expect(new Set(keys).size).toBe(1);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
});

test("two starts without keys of their own have different ones", async () => {
  const { server, skein } = await createClient();
  await skein.start(shipOrder, { id: "1" });
  await skein.start(shipOrder, { id: "1" });
  const keys = server
    .requestsTo("POST /runs")
    .map(({ body }) => (body as { idempotencyKey: string }).idempotencyKey);
  expect(new Set(keys).size).toBe(2);
});

test("Retry-After decides how long a retry waits, in seconds or as a date", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const start = Date.now();
  const headers = [
    { "retry-after": "7" },
    { "retry-after": new Date(Math.ceil(start / 1_000) * 1_000 + 20_000).toUTCString() },
  ];
  const asked: number[] = [];
  const skein = new Client({
    url: "http://skein.test",
    random: () => 0,
    fetch: async () => {
      const header = headers[asked.length];
      asked.push(Date.now() - start);
      if (header !== undefined) return new Response("{}", { status: 503, headers: header });
      return Response.json({ id: "run-1", created: true });
    },
  });
  const started = skein.start(shipOrder, { id: "1" });
  await vi.advanceTimersByTimeAsync(6_999);
  expect(asked).toEqual([0]);
  await vi.advanceTimersByTimeAsync(30_000);
  await started;
  expect(asked.slice(0, 2)).toEqual([0, 7_000]);
  expect(asked[2]).toBeGreaterThanOrEqual(20_000);
  expect(asked[2]).toBeLessThan(21_000);
});

test("without Retry-After retries wait with full jitter", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const start = Date.now();
  const asked: number[] = [];
  const skein = new Client({
    url: "http://skein.test",
    random: () => 0.5,
    fetch: async () => {
      asked.push(Date.now() - start);
      throw new TypeError("fetch failed");
    },
  });
  const failed = skein.runs.get("run-1").catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await failed).toMatchObject({ code: "network_error" });
  expect(asked).toEqual([0, 125, 375, 875, 1_875, 3_875]);
});

test("a server that never answers is given up, and asked again", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const skein = new Client({
    url: "http://skein.test",
    random: () => 0,
    fetch: (_url, { signal }) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  });
  const failed = skein.runs.get("run-1").catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(6 * 30_000 + 1_000);
  expect(await failed).toMatchObject({ code: "request_timeout" });
});

test("a server that asks for a longer wait than a minute fails the call at once", async () => {
  const { server, skein } = await createClient();
  server.on("POST /runs", () => ({
    ...problem(429, "overloaded", "Later"),
    headers: { "retry-after": "3600" },
  }));
  await expect(skein.start(shipOrder, { id: "1" })).rejects.toMatchObject({ status: 429 });
  expect(server.requests).toHaveLength(1);
});

test("after five retries the failure is thrown", async () => {
  const { server, skein } = await createClient();
  server.on("GET /runs/run-1", () => problem(503, "database_unavailable", "No database"));
  await expect(skein.runs.get("run-1")).rejects.toMatchObject({ code: "database_unavailable" });
  expect(server.requests).toHaveLength(6);
});

test("a refusal is thrown at once with everything the problem says", async () => {
  const { server, skein } = await createClient();
  const errors = [{ path: "input.id", message: "too long" }];
  const refusal = problem(422, "invalid_request", "The input is not valid");
  server.on("POST /runs", () => ({ ...refusal, body: { ...(refusal.body as object), errors } }));
  const failure = await skein.start(shipOrder, { id: "1" }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(SkeinError);
  expect(failure).toMatchObject({
    status: 422,
    code: "invalid_request",
    detail: "The input is not valid",
    errors,
    requestId: "r-1",
  });
  expect(String(failure)).toContain("input.id: too long");
  expect(String(failure)).not.toContain(TOKEN);
  expect(server.requests).toHaveLength(1);
});

test("an answer that is not Skein's says so", async () => {
  const { server, skein } = await createClient();
  server.on("GET /runs/run-1", () => ({ body: "<html>" }));
  await expect(skein.runs.get("run-1")).rejects.toMatchObject({
    code: "invalid_answer",
    status: 200,
  });
});

test("a server that can't be reached is named", async () => {
  const { server, skein } = await createClient();
  const { url } = server;
  await server.stop();
  const failure = await skein.runs.get("run-1").catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "network_error", status: 0 });
  expect(String(failure)).toContain(`GET ${url}/api/v1/runs/run-1 could not be reached`);
});

test("many runs are cut into calls of a thousand, in order", async () => {
  const { server, skein } = await createClient();
  server.on("POST /runs/bulk", ({ body }) => {
    const { runs } = body as { runs: { input: { id: string } }[] };
    return { body: { runs: runs.map(({ input }) => ({ id: `run-${input.id}`, created: true })) } };
  });
  const items = Array.from({ length: 2_500 }, (_, n) => ({ input: { id: String(n) } }));
  const handles = await skein.startMany(shipOrder, items);
  expect(handles.map(({ id }) => id)).toEqual(items.map(({ input }) => `run-${input.id}`));
  const calls = server
    .requestsTo("POST /runs/bulk")
    .map(({ body }) => (body as { runs: unknown[] }).runs.length);
  expect(calls).toEqual([1_000, 1_000, 500]);
});

test("large events are cut into calls that fit in a body", async () => {
  const { server, skein } = await createClient();
  server.on("POST /events/bulk", ({ body }) => {
    const { events } = body as { events: unknown[] };
    return { body: { events: events.map(() => ({ id: "e", created: true, runs: [] })) } };
  });
  const payload = "x".repeat(1_000_000);
  const items = Array.from({ length: 20 }, () => ({ key: "large", payload }));
  expect(await skein.publishMany(items)).toHaveLength(20);
  const sizes = server
    .requestsTo("POST /events/bulk")
    .map(({ headers }) => Number(headers["content-length"]));
  expect(sizes).toHaveLength(2);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_BODY_BYTES);
});

test("an event is published with its payload, and nothing at all is null", async () => {
  const { server, skein } = await createClient();
  server.on("POST /events", () => ({ body: { id: "e-1", created: true, runs: ["run-1"] } }));
  const published = await skein.publish("order:created", { id: "1" }, { idempotencyKey: "k" });
  expect(published).toEqual({ id: "e-1", created: true, runs: ["run-1"] });
  await skein.publish("ping");
  const bodies = server.requestsTo("POST /events").map(({ body }) => body);
  expect(bodies[0]).toEqual({ key: "order:created", payload: { id: "1" }, idempotencyKey: "k" });
  expect(bodies[1]).toMatchObject({ key: "ping", payload: null });
});

test("an input that is not JSON is refused with what it is", async () => {
  const { server, skein } = await createClient();
  const free = workflow({ name: "free" });
  await expect(skein.start(free, { n: 1n })).rejects.toThrow(
    'The input of a run of workflow "free" is not JSON',
  );
  await expect(skein.publish("e", () => 1)).rejects.toThrow('The payload of event "e" is not JSON');
  expect(server.requests).toEqual([]);
});

test("a workflow is registered under its name", async () => {
  const { server, skein } = await createClient();
  expect(await skein.register(shipOrder)).toMatchObject({ name: "order", created: true });
  expect(server.requestsTo("PUT /workflows/order")[0]?.body).toEqual(order.definition());
  await expect(skein.register(workflow({ name: "empty" }))).rejects.toThrow("has no steps");
});

test("lists carry their filters, labels and page", async () => {
  const { server, skein } = await createClient();
  const page = { items: [], nextCursor: null };
  for (const path of ["/runs", "/runs/run-1/logs", "/workflows"])
    server.on(`GET ${path}`, () => ({ body: page }));
  await skein.runs.list({
    workflow: "order",
    state: "failed",
    since: new Date(0),
    until: "2026-01-01T00:00:00Z",
    metadata: { tier: "gold" },
    limit: 5,
    cursor: "c/1",
  });
  await skein.runs.logs("run-1", { cursor: "c2" });
  await skein.workflows.list({ limit: 2 });
  const [runs, logs, workflows] = server.requests.map(({ query }) => Object.fromEntries(query));
  expect(runs).toEqual({
    workflow: "order",
    state: "failed",
    since: "1970-01-01T00:00:00.000Z",
    until: "2026-01-01T00:00:00Z",
    "metadata.tier": "gold",
    limit: "5",
    cursor: "c/1",
  });
  expect(logs).toEqual({ cursor: "c2" });
  expect(workflows).toEqual({ limit: "2" });
});

test("address and token come from the environment when they are not given", async () => {
  const { server } = await createClient();
  vi.stubEnv("SKEIN_URL", server.url);
  vi.stubEnv("SKEIN_TOKEN", TOKEN);
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(await new Client().start(shipOrder, { id: "1" })).toMatchObject({ id: "run-1" });
  vi.stubEnv("SKEIN_URL", "");
  expect(() => new Client()).toThrow("set SKEIN_URL");
  expect(() => new Client({ url: "localhost:8787" })).toThrow("is not a URL");
});
