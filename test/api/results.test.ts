/** Waiting for a run's result, and reading what its handlers logged. */
import { beforeEach, describe, expect, test } from "vitest";
import type { RunResult } from "../../protocol/http.ts";
import { app } from "../../workers/api/app.ts";
import { pageOf } from "../../workers/api/fields.ts";
import { logLineSchema, runResultSchema } from "../../workers/api/run-schemas.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectProblem } from "./answers.ts";

let world: World;
let worker: FakeWorker;
let run: string;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "pair", steps: [{ name: "a" }, { name: "b", parents: ["a"] }] });
  worker = await world.connectWorker({ actions: ["pair:a", "pair:b"] });
  run = (await world.startRun({ workflow: "pair" })).id;
});

const result = (waitMs: number) =>
  ask<RunResult>(world, "GET", `/runs/${run}/result?waitMs=${waitMs}`);

test("without waiting, the result is the run's present state", async () => {
  worker.complete(await worker.receiveTask({ step: "a" }), { half: true });
  await worker.receive("recorded");
  const asked = await ask(world, "GET", `/runs/${run}/result`);
  expect(expectAnswer(asked, 200, runResultSchema)).toEqual({
    id: run,
    state: "running",
    outputs: { a: { half: true } },
    error: null,
  });
});

test("a result that is waited for comes as soon as the run has completed", async () => {
  const waiting = result(60_000);
  worker.complete(await worker.receiveTask({ step: "a" }), 1);
  worker.complete(await worker.receiveTask({ step: "b" }), 2);
  // Time stands still: only the run's end can have ended the wait.
  expect(expectAnswer(await waiting, 200, runResultSchema)).toEqual({
    id: run,
    state: "completed",
    outputs: { a: 1, b: 2 },
    error: null,
  });
});

describe("an end that comes while the wait begins is not missed:", () => {
  /** Completes the run; it is durable, and the shard has heard of it. */
  async function end(): Promise<void> {
    for (const step of ["a", "b"]) {
      worker.complete(await worker.receiveTask({ step }));
      await worker.receive("recorded");
    }
  }

  /** Waits at a shard that is reached in this way. */
  async function waitBy(reach: (wait: () => Promise<unknown>) => Promise<unknown>) {
    const getByName = (name: string) => ({
      waitForRun: async (id: string, timeoutMs: number) =>
        await reach(() => world.env.DISPATCHER.getByName(name).waitForRun(id, timeoutMs)),
    });
    const env = { ...world.env, DISPATCHER: { getByName } };
    const headers = { authorization: `Bearer ${world.token}` };
    const path = `/api/v1/runs/${run}/result?waitMs=60000`;
    return await (await app.request(path, { headers }, env)).json<RunResult>();
  }

  // Time stands still: a wait that misses the end lasts longer than the test may.
  test("before the shard hears of the wait", async () => {
    const { state } = await waitBy(async (wait) => {
      await end();
      return await wait();
    });
    expect(state).toBe("completed");
  });

  test("at a shard that dies with it, and knows nothing of it in its next life", async () => {
    let lives = 0;
    const { state } = await waitBy(async (wait) => {
      if (++lives > 1) return await wait();
      await end();
      await world.crashShard();
      throw new Error("crashed");
    });
    expect(lives).toBe(2);
    expect(state).toBe("completed");
  });

  test("at a shard that can't be reached any more", async () => {
    let calls = 0;
    const { state } = await waitBy(async () => {
      if (++calls === 1) await end();
      throw new Error("gone");
    });
    expect(state).toBe("completed");
  });
});

test("a result of a failed run says which step failed and why", async () => {
  const waiting = result(60_000);
  worker.fail(await worker.receiveTask({ step: "a" }), "no luck");
  expect(expectAnswer(await waiting, 200, runResultSchema)).toMatchObject({
    state: "failed",
    outputs: {},
    error: { step: "a", code: "handler_error", name: "Error", message: "no luck" },
  });
});

test("a run that has finished answers at once, however long the call would wait", async () => {
  worker.complete(await worker.receiveTask({ step: "a" }));
  worker.complete(await worker.receiveTask({ step: "b" }));
  await worker.receive("recorded");
  await worker.receive("recorded");
  expect((await result(60_000)).body.state).toBe("completed");
});

test("a run that doesn't finish in time answers with the state it has", async () => {
  await worker.receiveTask({ step: "a" });
  const waiting = result(5_000);
  let answered = false;
  void waiting.then(() => {
    answered = true;
  });
  await expect.poll(() => world.alarmAt()).toBeLessThanOrEqual(Date.now() + 5_000);
  await world.advance(4_000);
  expect(answered).toBe(false);
  await world.advance(1_000);
  const { state } = expectAnswer(await waiting, 200, runResultSchema);
  expect(["queued", "running"]).toContain(state);
});

test.each([
  ["waitMs=60001", /waitMs must be at most 60000/],
  ["waitMs=-1", /waitMs must be at least 0/],
  ["waitMs=soon", /waitMs must be a number, not "soon"/],
  ["wait=5", /wait is not a parameter/],
])("a result is refused with ?%s", async (query, detail) => {
  const asked = await ask(world, "GET", `/runs/${run}/result?${query}`);
  await expectProblem(asked, "invalid_request", detail);
});

describe("logs", () => {
  const logs = (query = "") => ask(world, "GET", `/runs/${run}/logs?${query}`);
  const page = pageOf(logLineSchema);

  async function log(step: string, count: number): Promise<void> {
    const task = await worker.receiveTask({ step });
    const { task: id, attempt } = task;
    const lines = Array.from({ length: count }, (_, n) => ({
      level: "info" as const,
      message: `${step}${n}`,
      at: Date.now() + n,
      ...(n === 0 && { fields: { step } }),
    }));
    worker.say({ type: "log", task: id, attempt, first: 0, lines });
    worker.complete(task);
    await worker.receive("recorded");
  }

  test("are read in pages, each line once, in the order they were written", async () => {
    await log("a", 5);
    await log("b", 4);
    const messages: string[] = [];
    let query = "limit=4";
    for (;;) {
      const { items, nextCursor } = expectAnswer(await logs(query), 200, page);
      messages.push(...items.map(({ message }) => message));
      if (nextCursor === null) break;
      query = `limit=4&cursor=${encodeURIComponent(nextCursor)}`;
    }
    expect(messages).toEqual(["a0", "a1", "a2", "a3", "a4", "b0", "b1", "b2", "b3"]);
  });

  test("say which step and attempt wrote them, and when", async () => {
    const at = new Date().toISOString();
    await log("a", 1);
    const { items } = expectAnswer(await logs(), 200, page);
    expect(items).toMatchObject([
      { step: "a", attempt: 1, level: "info", message: "a0", fields: { step: "a" }, at },
    ]);
  });

  test("of a run that logged nothing are an empty page", async () => {
    expect(expectAnswer(await logs(), 200, page)).toEqual({ items: [], nextCursor: null });
  });

  test.each(["cursor=abc", "cursor=%00", "cursor=a/b/c", "cursor=x/1/1", "cursor=1/2"])(
    "are refused with ?%s",
    async (query) => {
      await expectProblem(
        await logs(query),
        "invalid_request",
        /cursor is not a cursor of this list/,
      );
    },
  );
});
