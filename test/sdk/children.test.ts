/** Runs that handlers start: what is asked of the shard, how often, and under which keys. */
import { expect, test } from "vitest";
import { z } from "zod";
import { MAX_METADATA_BYTES, MAX_PAYLOAD_BYTES, MAX_SPAWN } from "../../protocol/limits.ts";
import {
  DefinitionError,
  InvalidInputError,
  SkeinError,
  type TaskContext,
  workflow,
} from "../../sdk/index.ts";
import { type FakeSession, type FakeShard, task } from "./fake-shard.ts";
import { type Call, createWorld, signalOf } from "./world.ts";

const ship = workflow({ name: "ship", input: z.object({ id: z.string() }) });
const label = workflow({ name: "label" });

/** A handler that runs, and the session it came by. */
async function runningHandler(): Promise<{
  call: Call;
  ctx: TaskContext<{ id: string }>;
  session: FakeSession;
  shard: FakeShard;
}> {
  const { connect, calls, shard } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  return { call, ctx: call.ctx, session, shard };
}

test("a child is a run once the shard has said so, with its key, its labels and its input", async () => {
  const { ctx, session } = await runningHandler();
  const options = { key: "parcel", metadata: { tier: "gold" }, detached: true };
  const spawned = ctx.spawn(ship, { id: "1" }, options);
  expect(await session.next("spawn")).toEqual({
    type: "spawn",
    task: "task-1",
    attempt: 1,
    children: [
      {
        key: "parcel",
        workflow: "ship",
        input: { id: "1" },
        metadata: { tier: "gold" },
        isDetached: true,
      },
    ],
  });
  session.send({ type: "spawned", task: "task-1", attempt: 1, key: "parcel", run: "run-7" });
  expect(await spawned).toMatchObject({ id: "run-7", key: "parcel" });
});

test("nothing that is default is said, but for the labels", async () => {
  const { ctx, session } = await runningHandler();
  const spawned = ctx.spawn(label);
  const children = [{ key: "label:1", workflow: "label", input: null, metadata: {} }];
  expect(await session.grantSpawn()).toEqual(children);
  expect(await spawned).toMatchObject({ id: "run-of-label:1", key: "label:1" });
});

test("keys are counted by workflow in the order of the calls, whatever takes longer", async () => {
  const { ctx, session } = await runningHandler();
  const release = Promise.withResolvers<void>();
  const slow = workflow({
    name: "slow",
    input: z.string().refine(async () => await release.promise.then(() => true)),
  });
  const spawned = Promise.all([
    ctx.spawn(slow, "first"),
    ctx.spawn(ship, { id: "1" }),
    ctx.spawnMany(ship, [{ input: { id: "2" } }, { input: { id: "3" }, key: "own" }]),
    ctx.spawn(ship, { id: "4" }),
  ]);
  for (let frame = 0; frame < 3; frame += 1) await session.grantSpawn();
  release.resolve();
  await session.grantSpawn();
  const keys = (await spawned).flat().map(({ key }) => key);
  expect(keys).toEqual(["slow:1", "ship:1", "ship:2", "own", "ship:3"]);
});

test("a key that is used twice in an attempt is refused, and nothing is sent", async () => {
  const { ctx, session } = await runningHandler();
  void ctx.spawn(ship, { id: "1" }, { key: "ship:2" });
  await session.grantSpawn();
  const again = ctx.spawn(label, undefined, { key: "ship:2" });
  await expect(again).rejects.toThrow(DefinitionError);
  await expect(again).rejects.toThrow(
    'Step "charge" spawns two children with the key "ship:2": give each a `key` of its own',
  );
  const many = ctx.spawnMany(ship, [
    { input: { id: "1" }, key: "a" },
    { input: { id: "2" }, key: "a" },
  ]);
  await expect(many).rejects.toThrow('two children with the key "a"');
  await session.settled();
  expect(session.count("spawn")).toBe(0);
});

test("an input that the child's schema refuses is not sent, and its key may be used again", async () => {
  const { ctx, session } = await runningHandler();
  const bad = ctx.spawn(ship, { id: 5 as never }, { key: "parcel" });
  await expect(bad).rejects.toThrow(InvalidInputError);
  const many = ctx.spawnMany(ship, [{ input: { id: "1" } }, { input: { id: 5 as never } }]);
  await expect(many).rejects.toThrow(InvalidInputError);
  await session.settled();
  expect(session.count("spawn")).toBe(0);
  void ctx.spawn(ship, { id: "5" }, { key: "parcel" });
  expect(await session.grantSpawn()).toHaveLength(1);
});

test("what the shard would end the session for is refused here", async () => {
  const { ctx, session } = await runningHandler();
  const large = ctx.spawn(label, "x".repeat(MAX_PAYLOAD_BYTES));
  await expect(large).rejects.toMatchObject({ code: "payload_too_large", status: 413 });
  await expect(ctx.spawn(label, 1n)).rejects.toThrow(
    'The input of child "label:2" of workflow "label" is not JSON',
  );
  for (const key of ["", "a\0b", "\ud800", "x".repeat(256)]) {
    await expect(ctx.spawn(label, 1, { key })).rejects.toThrow("give 1 to 255 characters");
  }
  for (const metadata of [
    { "": "a" },
    { a: "\0" },
    { a: 1 as never },
    { ["x".repeat(201)]: "a" },
  ]) {
    await expect(ctx.spawn(label, 1, { metadata })).rejects.toThrow(
      /^The metadata of child "label/,
    );
  }
  const heavy = ctx.spawn(label, 1, { metadata: { a: "x".repeat(MAX_METADATA_BYTES) } });
  await expect(heavy).rejects.toThrow("is too large: it may be 16384 bytes");
  await session.settled();
  expect(session.count("spawn")).toBe(0);
});

test.each([
  ["workflow_not_found", 404],
  ["workflow_paused", 409],
  ["invalid_request", 422],
] as const)(
  "a child that is refused as %s throws so, and its key may be used again",
  async (code, status) => {
    const { ctx, session } = await runningHandler();
    const spawned = ctx.spawn(ship, { id: "1" }, { key: "parcel" });
    await session.next("spawn");
    const refusal = { code, detail: "It can't be" };
    session.send({ type: "spawned", task: "task-1", attempt: 1, key: "parcel", refusal });
    const failure = await spawned.catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(SkeinError);
    expect(failure).toMatchObject({ code, status, detail: "It can't be" });
    const again = ctx.spawn(ship, { id: "1" }, { key: "parcel" });
    await session.grantSpawn();
    expect((await again).id).toBe("run-of-parcel");
  },
);

test("many children are asked for a piece at a time, in order", async () => {
  const { ctx, session } = await runningHandler();
  const items = Array.from({ length: MAX_SPAWN + 1 }, (_, n) => ({ input: { id: String(n) } }));
  const spawned = ctx.spawnMany(ship, items);
  const { children } = await session.next("spawn");
  expect(children).toHaveLength(MAX_SPAWN);
  await session.settled();
  expect(session.count("spawn")).toBe(0);
  session.grant(children);
  expect(await session.grantSpawn()).toHaveLength(1);
  const ids = (await spawned).map(({ id }) => id);
  expect(ids).toEqual(items.map((_, n) => `run-of-ship:${n + 1}`));
  expect(await ctx.spawnMany(ship, [])).toEqual([]);
});

test("large children are spread over several messages", async () => {
  const { ctx, session } = await runningHandler();
  const input = "x".repeat(MAX_PAYLOAD_BYTES - 2);
  const spawned = ctx.spawnMany(
    label,
    Array.from({ length: 10 }, () => ({ input })),
  );
  for (let count = 0; count < 10;) count += (await session.grantSpawn()).length;
  expect(await spawned).toHaveLength(10);
  const spawns = session.messages.filter(({ frames }) => frames[0]?.type === "spawn");
  const sizes = spawns.map((message) => JSON.stringify(message).length);
  expect(Math.max(...sizes)).toBeLessThan(5 * 1024 * 1024);
});

test("children are asked for again on every socket until they have finished, then not", async () => {
  const { ctx, session: first, shard } = await runningHandler();
  const answered = ctx.spawn(ship, { id: "1" }, { key: "answered" });
  const finished = ctx.spawn(ship, { id: "2" }, { key: "finished" });
  await first.grantSpawn();
  await first.grantSpawn();
  await Promise.all([answered, finished]);
  first.finishChild("finished");
  const unanswered = ctx.spawn(ship, { id: "3" }, { key: "unanswered", metadata: { a: "b" } });
  await first.next("spawn");
  first.vanish();
  const second = (await shard.session()).welcome();
  // Whose key is known needs no input: it is not kept for as long as the child runs.
  expect(await second.grantSpawn()).toEqual([
    { key: "answered", workflow: "ship", input: null, metadata: {} },
    { key: "unanswered", workflow: "ship", input: { id: "3" }, metadata: { a: "b" } },
  ]);
  expect(await unanswered).toMatchObject({ id: "run-of-unanswered" });
  second.finishChild("answered").finishChild("unanswered");
  await second.settled();
  second.vanish();
  const third = (await shard.session()).welcome();
  await third.settled();
  expect(third.count("spawn")).toBe(0);
});

test("a spawn that is not answered rejects when its attempt is cancelled, and is not repeated", async () => {
  const { ctx, session, shard } = await runningHandler();
  const running = ctx.spawn(ship, { id: "0" });
  await session.grantSpawn();
  await running;
  const spawned = ctx.spawn(ship, { id: "1" }).catch((error: unknown) => error);
  await session.next("spawn");
  session.send({ type: "cancel", task: "task-1", attempt: 1, reason: "cancelled" });
  const reason = await signalOf(ctx.signal);
  expect(await spawned).toBe(reason);
  await expect(ctx.spawn(ship, { id: "2" })).rejects.toBe(reason);
  await session.settled();
  expect(session.count("spawn")).toBe(0);
  session.vanish();
  const next = (await shard.session()).welcome();
  expect((await next.hello).running).toEqual([{ task: "task-1", attempt: 1 }]);
  await next.settled();
  expect(next.count("spawn")).toBe(0);
});

test("a spawn that a handler leaves behind rejects, and ends no process", async () => {
  const { call, session } = await runningHandler();
  void call.ctx.spawn(ship, { id: "1" });
  call.finish();
  await session.next("completed");
  await expect(call.ctx.spawn(ship, { id: "2" })).rejects.toMatchObject({ code: "attempt_over" });
});
