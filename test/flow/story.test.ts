/** The main job on a database of its own: an event starts a DAG, and its result comes back. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { localToken } from "../../local/local-tenant.ts";
import { Client, RunFailedError } from "../../sdk/index.ts";
import { broken, counted } from "./workflows.ts";
import { FlowWorld } from "./world.ts";

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.start();
  await world.startWorker();
});
afterAll(() => world?.stop());

test("a run's result is typed, and its caller has it as soon as it has finished", async () => {
  const result = await world.client.run(counted, { n: 20 });
  expect(result).toMatchObject({ n: 41, reported: true, token: 1 });
});

test("an event starts a run of every workflow that listens to its key", async () => {
  const [event] = await world.client.publishMany([
    { key: "number:given", payload: { n: 1 }, metadata: { source: "story" } },
  ]);
  expect(event?.runs).toHaveLength(1);
  const result = await world.client.runs.result(event?.runs[0] ?? "");
  expect(result).toMatchObject({ state: "completed", outputs: { report: { n: 3 } } });
  const { items } = await world.client.runs.list({ metadata: { source: "story" } });
  expect(items.map(({ id, eventId }) => ({ id, eventId }))).toEqual([
    { id: event?.runs[0], eventId: event?.id },
  ]);
});

test("an event starts a run for each filter that it meets, whose handlers see which", async () => {
  const small = await world.client.publish("order:placed", { amount: 1 });
  expect(small.runs).toEqual([]);
  const stored = await world.client.filters.create("chosen", {
    scope: "acme",
    expression: "input.amount > 10",
    payload: "stored",
  });
  const { id, runs } = await world.client.publish(
    "order:placed",
    { amount: 120 },
    { scope: "acme" },
  );
  const results = await Promise.all(runs.map((run) => world.client.runs.result(run)));
  const told = results.map(({ outputs }) => outputs["tells"]);
  expect(told).toEqual([{ least: 100 }, "stored"]);
  const event = await world.client.events.get(id);
  expect(event.runs.map(({ filter }) => filter)).toContain(stored.id);
});

test("an event cancels the run that it means, whose handler stops", async () => {
  const { hold, release } = world.holdFile();
  const [meant, other] = await world.client.startMany(
    counted,
    [100, 101].map((n) => ({ input: { n, hold } })),
  );
  await world.client.publish("number:taken", { n: 100 });
  const failure: unknown = await meant?.result().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(RunFailedError);
  expect(String(failure)).toContain("cancelled by the event number:taken");
  release();
  expect(await other?.result()).toMatchObject({ n: 203 });
});

test("an endpoint is told of a run that has failed, and can tell that it was Skein", async () => {
  const told = Promise.withResolvers<{ headers: IncomingHttpHeaders; body: string }>();
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      told.resolve({ headers: request.headers, body });
      response.writeHead(204).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/hook`;
  const { secret = "" } = await world.client.notifications.put("story", { url });
  const { id } = await world.client.start(broken, { message: "tell everybody" });
  const { headers, body } = await told.promise;
  expect(JSON.parse(body)).toMatchObject({
    type: "run.failed",
    data: { id, error: { step: "fails", message: "tell everybody" } },
  });
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(signed).digest("base64");
  expect(headers["webhook-signature"]).toBe(`v1,${signature}`);
  const delivery = await world.client.runs.result(String(headers["webhook-id"]));
  expect(delivery).toMatchObject({ state: "completed", outputs: { deliver: { status: 204 } } });
  await world.client.notifications.delete("story");
});

test("a handler's error fails its run, and the caller gets the error and the logs", async () => {
  const failure: unknown = await world.client
    .run(broken, { message: "no such luck" })
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(RunFailedError);
  const { runId } = failure as RunFailedError;
  const run = await world.client.runs.get(runId);
  expect(run.tasks[0]).toMatchObject({
    state: "failed",
    error: { code: "handler_error", name: "TypeError", message: "no such luck" },
  });
  const logs = await world.client.runs.logs(runId);
  expect(logs.items).toMatchObject([{ level: "warn", message: "about to fail", step: "fails" }]);
});

test("the database killed and started again: what was accepted finishes", async () => {
  const { hold, release } = world.holdFile();
  const handles = await world.client.startMany(
    counted,
    Array.from({ length: 10 }, (_, n) => ({ input: { n, hold } })),
  );
  await world.stack.database.kill();
  release();
  await world.stack.database.restart();
  await Promise.all(handles.map((handle) => handle.result()));
  await world.expectCompletedOnce(handles.map(({ id }) => id));
});

test("a stack's first token is kept; another directory has one of its own, of the same tenant", async () => {
  const [directory, another] = [world.newFile(), world.newFile()];
  for (const path of [directory, another]) mkdirSync(path);
  const first = await localToken(world.stack, directory);
  expect(await localToken(world.stack, directory)).toBe(first);
  const theirs = await localToken(world.stack, another);
  expect(theirs).not.toBe(first);
  writeFileSync(join(directory, "token"), "skein_of_another_database");
  const renewed = await localToken(world.stack, directory);
  const [client, ...others] = [first, theirs, renewed].map(
    (token) => new Client({ url: world.stack.url, token }),
  );
  const event = await client?.publish("nobody:listens", {});
  for (const other of others) {
    expect(await other.events.get(event?.id ?? "")).toMatchObject({ key: "nobody:listens" });
  }
});

test("a second stack on the same directory says what is wrong, and the first goes on", async () => {
  const second = FlowWorld.startAgain(world);
  await expect(second).rejects.toThrow(/in use|holds|another/i);
  await expect(world.client.run(counted, { n: 1 })).resolves.toMatchObject({ n: 3 });
});
