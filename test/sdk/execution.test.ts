/** What a worker makes of task frames: contexts, results, limits of results, slots, cancels. */
import { expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import {
  MAX_ERROR_BYTES,
  MAX_LOG_LINES,
  MAX_NAME_LENGTH,
  MAX_PAYLOAD_BYTES,
} from "../../protocol/limits.ts";
import { type TaskAbortedError, workflow } from "../../sdk/index.ts";
import { task } from "./fake-shard.ts";
import { createWorld, signalOf } from "./world.ts";

test("a handler sees its input, its parents' outputs and who it is", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  const before = Date.now();
  session.send(task({ parents: { reserve: { seat: 4 } }, metadata: { tier: "gold" }, attempt: 7 }));
  const { ctx } = await calls.next("a call");
  expect(ctx).toMatchObject({ input: { id: "1" }, parents: { reserve: { seat: 4 } } });
  expect(ctx).toMatchObject({ runId: "run-1", taskId: "task-1", workflow: "order", version: 3 });
  expect(ctx).toMatchObject({ step: "charge", attempt: 7, fencingToken: 7 });
  expect(ctx.metadata).toEqual({ tier: "gold" });
  expect(ctx.deadline.getTime()).toBeGreaterThanOrEqual(before + 60_000);
  expect(ctx.signal.aborted).toBe(false);
});

test("a handler's output is reported with its times and its owner shard", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task({ shard: 5 }));
  (await calls.next("a call")).finish({ receipt: "r" });
  const { startedAt, finishedAt, ...completed } = await session.next("completed");
  expect(completed).toEqual({
    type: "completed",
    task: "task-1",
    attempt: 1,
    shard: 5,
    output: { receipt: "r" },
  });
  expect(finishedAt).toBeGreaterThanOrEqual(startedAt);
});

test("a handler that returns nothing has the output null", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  (await calls.next("a call")).finish();
  expect((await session.next("completed")).output).toBeNull();
});

test("what a handler throws fails the attempt with its name, message and stack", async () => {
  const { connect, calls, lines } = await createWorld();
  const { session } = await connect();
  session.send(task());
  (await calls.next("a call")).fail(new TypeError("no such card"));
  const { error } = await session.next("failed");
  expect(error).toMatchObject({
    code: "handler_error",
    name: "TypeError",
    message: "no such card",
  });
  expect(error.stack).toContain("no such card");
  expect(lines.at(-1)).toContain('step "charge" of run run-1 (attempt 1) failed: TypeError');
});

test("an enormous error is cut to what the shard accepts", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const thrown = new Error("é".repeat(MAX_ERROR_BYTES));
  thrown.name = "N".repeat(MAX_NAME_LENGTH * 2);
  (await calls.next("a call")).fail(thrown);
  const { error } = await session.next("failed");
  expect(Buffer.byteLength(error.message)).toBeLessThanOrEqual(MAX_ERROR_BYTES);
  expect(Buffer.byteLength(error.message)).toBeGreaterThan(MAX_ERROR_BYTES - 4);
  expect(Buffer.byteLength(error.stack ?? "")).toBeLessThanOrEqual(MAX_ERROR_BYTES);
  expect(error.message).toMatch(/é… \(cut\)$/);
  expect(Buffer.byteLength(error.name)).toBe(MAX_NAME_LENGTH);
});

test("an output of exactly the limit passes and one byte more fails with its size", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task({ task: "fits" }), task({ task: "too-large" }));
  (await calls.next("a call")).finish("x".repeat(MAX_PAYLOAD_BYTES - 2));
  (await calls.next("a call")).finish("x".repeat(MAX_PAYLOAD_BYTES - 1));
  expect((await session.next("completed")).task).toBe("fits");
  const { error } = await session.next("failed");
  expect(error.code).toBe("payload_too_large");
  expect(error.message).toContain(`${MAX_PAYLOAD_BYTES + 1} bytes`);
  expect(error.message).toContain(`${MAX_PAYLOAD_BYTES}`);
});

test.each([
  ["a cycle", cycle],
  ["a bigint", (): unknown => ({ amount: 1n })],
  ["a function", (): unknown => ({ retry: () => 1 })],
  ["a Map", (): unknown => ({ items: new Map([[1, 2]]) })],
])("%s in an output fails the attempt as invalid_output", async (_what, output) => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  (await calls.next("a call")).finish(output());
  const { error } = await session.next("failed");
  expect(error.code).toBe("invalid_output");
  expect(error.message).toMatch(/^The output of step "charge" is not JSON: /);
});

function cycle(): unknown {
  const self: Record<string, unknown> = {};
  self["self"] = self;
  return self;
}

test("an input that the schema refuses fails the attempt before the handler runs", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task({ input: { id: 5 } }));
  const { error } = await session.next("failed");
  expect(error).toMatchObject({ code: "handler_error", name: "InvalidInputError" });
  expect(error.message).toContain('workflow "order"');
  expect(error.message).toContain("id: ");
  expect(calls.size).toBe(0);
});

test("a handler gets what the schema makes of the input, also an asynchronous schema", async () => {
  const { connect } = await createWorld();
  const count = workflow({
    name: "count",
    input: z.object({ n: z.string().transform(async (text) => Number(text) + 1) }),
  });
  count.step("one", { run: ({ input }) => input.n });
  const { session } = await connect({ workflows: [count] });
  session.send(task({ action: "count:one", input: { n: "41" } }));
  expect((await session.next("completed")).output).toBe(42);
});

test("a task for a step that the worker does not have fails with the action's name", async () => {
  const { connect } = await createWorld();
  const { session } = await connect();
  session.send(task({ action: "order:refund" }));
  expect((await session.next("failed")).error.message).toContain('"order:refund"');
});

test("results that are ready in one turn travel in one message", async () => {
  const { connect } = await createWorld();
  const echo = workflow({ name: "echo" });
  echo.step("one", { run: async (ctx) => ctx.taskId });
  const { session } = await connect({ workflows: [echo] });
  const ids = Array.from({ length: 50 }, (_, index) => `t${index}`);
  session.send(...ids.map((id) => task({ task: id, action: "echo:one" })));
  for (const id of ids) expect((await session.next("completed")).task).toBe(id);
  const withResults = session.messages.filter(({ frames }) => frames[0]?.type === "completed");
  expect(withResults.map(({ frames }) => frames.length)).toEqual([50]);
});

test("results too large for one message are spread over several", async () => {
  const { connect } = await createWorld();
  const large = workflow({ name: "large" });
  large.step("one", { run: async () => "x".repeat(MAX_PAYLOAD_BYTES - 2) });
  const { session } = await connect({ workflows: [large] });
  const ids = Array.from({ length: 10 }, (_, index) => `t${index}`);
  session.send(...ids.map((id) => task({ task: id, action: "large:one" })));
  for (const id of ids) expect((await session.next("completed")).task).toBe(id);
  const results = session.messages.filter(({ frames }) => frames[0]?.type === "completed");
  expect(results.map(({ frames }) => frames.length)).toEqual([3, 3, 3, 1]);
});

test("no more handlers run at once than there are slots, and the rest follow in order", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect({ slots: 2 });
  session.send(task({ task: "a" }), task({ task: "b" }), task({ task: "c" }));
  const first = await calls.next("a call");
  await session.settled();
  expect(calls.size).toBe(1);
  first.finish();
  await session.next("completed");
  await calls.next("a call");
  expect((await calls.next("a call")).ctx.taskId).toBe("c");
});

test("a task that is already running is not run again", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task(), task());
  await calls.next("a call");
  await session.settled();
  expect(calls.size).toBe(0);
});

test("a task whose result is unanswered gets its result again, and is not run again", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  (await calls.next("a call")).finish("once");
  await session.next("completed");
  session.send(task());
  expect(await session.next("completed")).toMatchObject({ task: "task-1", output: "once" });
  expect(calls.size).toBe(0);
});

test("a newer attempt aborts the older one, whose result is not sent", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const older = await calls.next("a call");
  session.send(task({ attempt: 2 }));
  const newer = await calls.next("a call");
  expect(await signalOf(older.ctx.signal)).toMatchObject({ code: "stale" });
  older.finish("old");
  expect(await session.next("released")).toMatchObject({ attempt: 1 });
  newer.finish("new");
  expect(await session.next("completed")).toMatchObject({ attempt: 2, output: "new" });
  expect(session.count("completed")).toBe(0);
});

test.each(["cancelled", "execution_timeout", "run_timeout", "lost"] as const)(
  "a cancel for %s aborts the signal, and the slot is released once the handler has ended",
  async (reason) => {
    const { connect, calls, lines } = await createWorld();
    const { session } = await connect();
    session.send(task());
    const call = await calls.next("a call");
    session.send({ type: "cancel", task: "task-1", attempt: 1, reason });
    const aborted = (await signalOf(call.ctx.signal)) as TaskAbortedError;
    expect(aborted).toBeInstanceOf(Error);
    expect(aborted).toMatchObject({ name: "TaskAbortedError", code: reason });
    expect(aborted.message).not.toBe("");
    await session.settled();
    expect(session.count("released")).toBe(0);
    call.fail(aborted);
    expect(await session.next("released")).toMatchObject({ task: "task-1", attempt: 1 });
    expect(session.count("failed")).toBe(0);
    expect(lines.some((line) => line.includes("failed"))).toBe(false);
  },
);

test("a cancelled handler gives its slot back when it ends, though it asked for more time too late", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  void call.ctx.extendTimeout("1m");
  await session.next("extend");
  const ref = { task: "task-1", attempt: 1 };
  session.send({ type: "cancel", ...ref, reason: "cancelled" }, { type: "stale", ...ref });
  await session.settled();
  call.finish();
  expect(await session.next("released")).toMatchObject(ref);
});

test("a cancelled task that still waits for a slot is released at once and never runs", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect({ slots: 1 });
  session.send(task({ task: "a" }), task({ task: "b" }));
  const first = await calls.next("a call");
  session.send({ type: "cancel", task: "b", attempt: 1, reason: "cancelled" });
  expect(await session.next("released")).toMatchObject({ task: "b" });
  first.finish();
  await session.next("completed");
  await session.settled();
  expect(calls.size).toBe(0);
});

test("log lines arrive in one frame a turn, before the result", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  call.ctx.log.info("charging", { cents: 5 });
  call.ctx.log.warn("slow");
  call.finish();
  const { lines, ...ref } = await session.next("log");
  expect(ref).toEqual({ type: "log", task: "task-1", attempt: 1, first: 0 });
  expect(lines).toMatchObject([
    { level: "info", message: "charging", fields: { cents: 5 } },
    { level: "warn", message: "slow" },
  ]);
  expect(lines[0]?.at).toBeTypeOf("number");
  await session.next("completed");
  const kinds = session.messages.flatMap(({ frames }) => frames.map(({ type }) => type));
  expect(kinds).toEqual(["hello", "received", "log", "completed"]);
});

test("log lines are numbered on from turn to turn", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  call.ctx.log.info("one");
  call.ctx.log.info("two");
  expect((await session.next("log")).first).toBe(0);
  call.ctx.log.info("three");
  expect((await session.next("log")).first).toBe(2);
});

test("a handler that logs in a loop is cut off, and the last line says so", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  for (let line = 0; line < MAX_LOG_LINES * 2; line += 1) call.ctx.log.info(`line ${line}`);
  const { lines } = await session.next("log");
  expect(lines).toHaveLength(MAX_LOG_LINES);
  expect(lines.at(-1)).toMatchObject({
    level: "warn",
    message: expect.stringContaining("dropped"),
  });
});

test("fields that are not JSON do not throw into the handler", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  call.ctx.log.info("odd", { big: 1n } as never);
  const { lines } = await session.next("log");
  expect(lines[0]?.fields?.["dropped"]).toContain("not JSON");
});

test("handlers that don't look at their signal cost no AbortController", async () => {
  const { connect } = await createWorld();
  const echo = workflow({ name: "echo" });
  echo.step("one", { run: async () => 1 });
  const { session } = await connect({ workflows: [echo] });
  let made = 0;
  class CountedController extends AbortController {
    constructor() {
      super();
      made += 1;
    }
  }
  vi.stubGlobal("AbortController", CountedController);
  onTestFinished(() => void vi.unstubAllGlobals());
  session.send(
    ...Array.from({ length: 20 }, (_, n) => task({ task: `t${n}`, action: "echo:one" })),
  );
  for (let n = 0; n < 20; n += 1) await session.next("completed");
  expect(made).toBe(0);
});
