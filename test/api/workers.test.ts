/** Workers over the API: which there are, pausing them, and having them leave. */
import { z } from "zod";
import { beforeEach, expect, test } from "vitest";
import type { WorkerRecord } from "../../protocol/http.ts";
import { workerSchema } from "../../workers/api/schemas.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectProblem } from "./answers.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "only" }] });
});

async function list(): Promise<WorkerRecord[]> {
  const answer = await ask(world, "GET", "/workers");
  return expectAnswer(answer, 200, z.object({ items: z.array(workerSchema) })).items;
}

test("without workers the list is empty", async () => {
  expect(await list()).toEqual([]);
});

test("workers are listed with what they offer and what they hold", async () => {
  const worker = await world.connectWorker({ actions: ["job:only"], slots: 3, worker: "north" });
  await world.startRun({ workflow: "job" });
  await worker.receiveTask();
  expect(await list()).toEqual([
    {
      id: worker.welcome?.session,
      name: "north",
      shard: 0,
      state: "connected",
      slots: 3,
      usedSlots: 1,
      actions: ["job:only"],
      labels: {},
      connectedAt: expect.any(String),
      heardAt: expect.any(String),
    },
  ]);
});

test("a worker whose socket has closed is listed until it is given up", async () => {
  const worker = await world.connectWorker({ actions: ["job:only"] });
  worker.vanish();
  await world.settled();
  expect(await list()).toMatchObject([{ state: "disconnected" }]);
  await world.advance(60_000);
  expect(await list()).toEqual([]);
});

test("a paused worker gets nothing until it is resumed", async () => {
  const worker = await world.connectWorker({ actions: ["job:only"] });
  const id = worker.welcome?.session ?? "";
  const paused = await ask(world, "PUT", `/workers/${id}/pause`);
  expect([paused.status, paused.body]).toEqual([200, { id }]);
  await worker.receive("pause");
  expect(await list()).toMatchObject([{ id, state: "paused" }]);
  await world.startRun({ workflow: "job" });
  expect(await worker.unreadWhenQuiet()).toEqual([]);

  const resumed = await ask(world, "DELETE", `/workers/${id}/pause`);
  expect([resumed.status, resumed.body]).toEqual([200, { id }]);
  await worker.receive("resume");
  await worker.receiveTask();
  expect(await list()).toMatchObject([{ id, state: "connected" }]);
});

test("a worker that is drained is asked to leave, and gets nothing more", async () => {
  const worker = await world.connectWorker({ actions: ["job:only"] });
  const id = worker.welcome?.session ?? "";
  const drained = await ask(world, "POST", `/workers/${id}/drain`);
  expect([drained.status, drained.body]).toEqual([200, { id }]);
  await worker.receive("drain");
  expect(await list()).toMatchObject([{ id, state: "draining" }]);
  await world.startRun({ workflow: "job" });
  expect(await worker.unreadWhenQuiet()).toEqual([]);
});

test("a worker is found at whichever of several shards it is", async () => {
  const own = await createWorld();
  await own.sql("update v1.tenant set shards = 3 where id = $1", [own.tenant]);
  const worker = await own.connectWorker({ actions: ["job:only"] });
  const id = worker.welcome?.session ?? "";
  expect((await ask(own, "PUT", `/workers/${id}/pause`)).status).toBe(200);
  expect((await ask<{ items: unknown[] }>(own, "GET", "/workers")).body.items).toHaveLength(1);
});

test.each([
  ["PUT", "/workers/nobody/pause"],
  ["DELETE", "/workers/nobody/pause"],
  ["POST", "/workers/nobody/drain"],
])("%s %s finds no worker", async (method, path) => {
  const asked = await ask(world, method, path);
  await expectProblem(
    asked,
    "worker_not_found",
    /There is no worker nobody.*GET \/api\/v1\/workers/,
  );
});
