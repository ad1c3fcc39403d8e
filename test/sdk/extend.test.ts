/** Deadlines: when an attempt's time is up, and how handlers ask for more. Only dates are virtual. */
import { expect, onTestFinished, test, vi } from "vitest";
import { MAX_TIMEOUT_MS } from "../../protocol/limits.ts";
import { DefinitionError } from "../../sdk/index.ts";
import { task } from "./fake-shard.ts";
import { createWorld, signalOf } from "./world.ts";

const START = 1_000_000;

function fakeDates(): void {
  vi.useFakeTimers({ toFake: ["Date"], now: START });
  onTestFinished(() => void vi.useRealTimers());
}

test("a handler's extension moves its deadline once the shard has granted it, and not before", async () => {
  fakeDates();
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task({ timeoutMs: 60_000 }));
  const { ctx } = await calls.next("a call");
  expect(ctx.deadline.getTime()).toBe(START + 60_000);
  vi.setSystemTime(START + 50_000);
  const extended = ctx.extendTimeout("2m");
  expect(await session.next("extend")).toEqual({
    type: "extend",
    task: "task-1",
    attempt: 1,
    timeoutMs: 120_000,
  });
  expect(ctx.deadline.getTime()).toBe(START + 60_000);
  // The answer takes a second: the shard counted from when it heard, the worker from when it asked.
  vi.setSystemTime(START + 51_000);
  session.send({ type: "extended", task: "task-1", attempt: 1, timeoutMs: 120_000 });
  await extended;
  expect(ctx.deadline.getTime()).toBe(START + 170_000);
});

test("extensions are answered in the order they were asked for", async () => {
  fakeDates();
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const { ctx } = await calls.next("a call");
  const granted: string[] = [];
  const first = ctx.extendTimeout(2_000).then(() => granted.push("first"));
  const second = ctx.extendTimeout(3_000).then(() => granted.push("second"));
  await session.next("extend");
  await session.next("extend");
  session.send({ type: "extended", task: "task-1", attempt: 1, timeoutMs: 2_000 });
  await first;
  expect(ctx.deadline.getTime()).toBe(START + 2_000);
  session.send({ type: "extended", task: "task-1", attempt: 1, timeoutMs: 3_000 });
  await second;
  expect(granted).toEqual(["first", "second"]);
  expect(ctx.deadline.getTime()).toBe(START + 3_000);
});

test("an extension that was not answered is asked for again on the next socket", async () => {
  fakeDates();
  const { connect, calls, shard } = await createWorld();
  const { session: first } = await connect();
  first.send(task());
  const { ctx } = await calls.next("a call");
  const extended = ctx.extendTimeout("1m");
  await first.next("extend");
  first.vanish();
  const second = await shard.session();
  vi.setSystemTime(START + 4_000);
  second.welcome({ resumed: [{ task: "task-1", attempt: 1 }] });
  expect(await second.next("extend")).toMatchObject({ timeoutMs: 60_000 });
  second.send({ type: "extended", task: "task-1", attempt: 1, timeoutMs: 60_000 });
  await extended;
  expect(ctx.deadline.getTime()).toBe(START + 64_000);
});

test("an extension of an attempt that is cancelled rejects with why", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const { ctx } = await calls.next("a call");
  const extended = ctx.extendTimeout("1m").catch((error: unknown) => error);
  await session.next("extend");
  session.send({ type: "cancel", task: "task-1", attempt: 1, reason: "execution_timeout" });
  const reason = await signalOf(ctx.signal);
  expect(await extended).toBe(reason);
  await expect(ctx.extendTimeout("1m")).rejects.toBe(reason);
});

test("an extension that a handler leaves behind rejects, and ends no process", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  // Nobody waits for the first: were it unhandled, the test would fail.
  void call.ctx.extendTimeout("1m");
  const left = call.ctx.extendTimeout("1m").catch((error: unknown) => error);
  call.finish();
  await session.next("completed");
  expect(await left).toMatchObject({ code: "attempt_over", status: 0 });
  await expect(call.ctx.extendTimeout("1m")).rejects.toMatchObject({ code: "attempt_over" });
});

test("an extension that no shard would grant is refused at once", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const { ctx } = await calls.next("a call");
  await expect(ctx.extendTimeout(0)).rejects.toThrow(DefinitionError);
  await expect(ctx.extendTimeout(MAX_TIMEOUT_MS + 1)).rejects.toThrow(
    'The timeout that step "charge" asks for is 86400001 ms: the most it can be is 86400000 ms',
  );
  await session.settled();
  expect(session.count("extend")).toBe(0);
});
