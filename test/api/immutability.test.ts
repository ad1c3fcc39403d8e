/**
 * What has finished is as it was, whatever is asked of the API: every operation of the OpenAPI document is tried on
 * a finished run, and its export is the same afterwards, byte for byte. An operation that is added is tried as well.
 */
import { beforeAll, expect, test } from "vitest";
import type { PublishedEvent } from "../../protocol/http.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, type World } from "../support/world.ts";
import { fetchPage, listOperations, OPERATOR } from "./answers.ts";

let world: World;
let worker: FakeWorker;
let run: string;
let event: string;
let imported: string;

const DEFINITION = {
  name: "order",
  events: ["order:placed"],
  steps: [
    { name: "pay", compensate: {} },
    { name: "ship", parents: ["pay"] },
  ],
  onFailure: {},
};

beforeAll(async () => {
  world = await createWorld();
  await world.register(DEFINITION);
  worker = await world.connectWorker({ actions: ["order:pay", "order:ship"], slots: 2 });
  const placed = { key: "order:placed", payload: { id: 1 }, idempotencyKey: "first" };
  const { body } = await world.call<PublishedEvent>("POST", "/events", placed);
  [run = "", event] = [body.runs[0], body.id];
  for (const step of ["pay", "ship"]) {
    const { task, attempt, ...rest } = await worker.receiveTask({ step });
    const line = { level: "info" as const, message: `${step} began`, at: Date.now() };
    worker.say({ type: "log", task, attempt, first: 0, lines: [line] });
    worker.complete({ task, attempt, ...rest }, `${step} done`);
    await worker.receive("recorded");
  }
  const { body: document } = await world.call("GET", `/runs/${run}/export`);
  imported = (await world.call<{ id: string }>("POST", "/imports", document)).body.id;
  expect(await exported()).toContain('"isFinished":true');
});

async function exported(): Promise<string> {
  const response = await fetchPage(`/api/v1/runs/${run}/export`, {
    headers: { authorization: `Bearer ${world.token}` },
  });
  expect(response.status).toBe(200);
  return await response.text();
}

/** What each call with a body says, as much about the run as it can. Others say nothing. */
function bodies(): Record<string, unknown> {
  const changed = { ...DEFINITION, steps: [{ name: "other" }] };
  return {
    registerWorkflow: changed,
    activateVersion: { version: 1 },
    promoteVersion: { version: 1, percent: 50 },
    startRun: { workflow: "order", idempotencyKey: "first", input: run },
    startRuns: { runs: [{ workflow: "order", input: run }] },
    cancelRun: { reason: "after its end" },
    cancelRuns: { workflow: "order" },
    replayRun: { fromStep: "ship", input: "other" },
    replayRuns: { filter: { workflow: "order" } },
    checkReplay: { definition: changed },
    publishEvent: { key: "order:placed", idempotencyKey: "first", payload: "other" },
    publishEvents: { events: [{ key: "order:placed", idempotencyKey: "first" }] },
    replayEvents: { filter: { key: "order:placed" } },
    pauseWorkflow: { mode: "drop" },
    putRetention: { days: 1 },
    setTenantShards: { count: 2 },
    putLimit: { concurrency: 1 },
    putWebhook: { provider: "github", secrets: ["secret"] },
    putNotification: { url: "https://example.test/", states: ["completed"] },
    createFilter: { workflow: "order", expression: "true" },
    createFilters: { filters: [{ workflow: "order", expression: "input.id == 1" }] },
    changeFilter: { expression: "false" },
    tryFilter: { expression: "true", event },
    resendDeadMessages: { ids: [event] },
    deleteDeadMessages: { ids: [event, run] },
  };
}

/** Calls that must have been let in, to count. */
const LET_IN = ["cancelRun", "replayRun", "registerWorkflow", "publishEvent", "putRetention"];

/** The address with what is of the run in each of its places. */
function addressOf(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, (_place, name: string) => {
    if (name === "name") return "order";
    if (name === "number") return "0";
    if (path.startsWith("/admin")) return name === "id" ? world.tenant : run;
    if (path.startsWith("/tasks")) return `${run.slice(0, 32)}0001`;
    if (path.startsWith("/events")) return event;
    return path.startsWith("/imports") ? imported : run;
  });
}

test("no operation of the API changes a finished run", async () => {
  const before = await exported();
  const operations = await listOperations();
  expect(operations.length).toBeGreaterThan(60);
  const statuses: Record<string, number> = {};
  for (const { method, path, operation } of operations) {
    const { operationId = "" } = operation;
    const body = operation.requestBody === undefined ? undefined : (bodies()[operationId] ?? {});
    const headers = path.startsWith("/admin") ? OPERATOR : {};
    const { status } = await world.call(method, addressOf(path), body, headers);
    expect(status, operationId).toBeLessThan(500);
    statuses[operationId] = status;
    expect(await exported(), operationId).toBe(before);
  }
  for (const name of LET_IN) expect(statuses[name], name).toBeLessThan(300);
});

test("no frame of a worker changes a finished run: results, lines and children come too late", async () => {
  const before = await exported();
  for (const step of [1, 2]) {
    const task = `${run.slice(0, 32)}000${step}`;
    for (const attempt of [1, 2]) {
      const lines = [{ level: "error" as const, message: "never said", at: Date.now() }];
      worker.say({ type: "log", task, attempt, first: 1, lines });
      const late = { task, attempt, run, shard: 0 } as Parameters<FakeWorker["complete"]>[0];
      worker.complete(late, "other");
      worker.fail(late, "after its end");
    }
  }
  await worker.unreadWhenQuiet();
  expect(await exported()).toBe(before);
});
