/**
 * Room and refill: how many ready tasks come with a reply, what is spilled to the queue, what a
 * refill takes from it, and which handouts say what the shard holds.
 */
import { randomBytes } from "node:crypto";
import { describe, expect, inject, test } from "vitest";
import type { ResultRow } from "../../database/rows.ts";
import { migrate } from "../../migrations/migrate.ts";
import { freshDatabase } from "./fresh-database.ts";
import { completed, lost, retried, woken } from "./rows.ts";
import { idsOf, openPool, taskOf, TestShard, WIDE_ROOM, lanes, takes } from "./support.ts";

const FAN = { root: [], x: ["root"], y: ["root"], z: ["root"] };

describe.each(inject("databases"))("the window on $name", (database) => {
  const pool = openPool(database);

  /** Runs of a single step, all in the queue, oldest first. */
  async function queueRuns(
    shard: TestShard,
    name: string,
    count: number,
    input = "",
  ): Promise<string[]> {
    const workflow = await shard.register(name, { a: [] });
    const starts = Array.from({ length: count }, () =>
      shard.start(workflow, { s: [[0, 0]], i: input }),
    );
    await shard.commit({ starts });
    return starts.map(({ id }) => taskOf(workflow, id, "a"));
  }

  test("gets ready tasks up to its room for each action, the oldest first; the rest is queued", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", { a: [], b: ["a"] });
    const starts = Array.from({ length: 5 }, () => shard.start(workflow));
    await shard.commit({ starts });
    const children = starts.map(({ id }) => taskOf(workflow, id, "b"));
    const reply = await shard.commit({
      results: starts.map(({ id }) => completed(taskOf(workflow, id, "a"))).toReversed(),
      room: { ...WIDE_ROOM, default: 0, actions: { "pair:b": 2 } },
    });
    expect(idsOf(reply.ready)).toEqual(children.slice(0, 2));
    expect(reply.spilled).toEqual(["pair:b"]);
    expect(await shard.queued()).toEqual(children.slice(2));
    expect((await shard.handouts())[shard.lastSeq]).toEqual(children.slice(0, 2));
  });

  test("has its default room for actions it does not name", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("fan", FAN));
    const reply = await shard.commit({
      results: [completed(task("root"))],
      room: { ...WIDE_ROOM, default: 1, actions: { "fan:y": 0 } },
    });
    expect(idsOf(reply.ready)).toEqual([task("x"), task("z")]);
    expect(reply.spilled).toEqual(["fan:y"]);
    expect(await shard.queued()).toEqual([task("y")]);
  });

  test("gets tasks up to its room in bytes, the oldest first; the rest is queued", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("fan", FAN));
    // Incompressible, so that what is stored is about as long.
    const output = randomBytes(4_000).toString("base64url");
    const reply = await shard.commit({
      results: [completed(task("root"), output)],
      room: { ...WIDE_ROOM, bytes: 1.5 * output.length },
    });
    expect(idsOf(reply.ready)).toEqual([task("x"), task("y")]);
    expect(await shard.queued()).toEqual([task("z")]);
    const { ready } = await shard.commit({ take: takes({ "fan:z": 1 }) });
    expect(ready?.[0]?.parents).toEqual({ root: output });
  });

  test("refills with the oldest of each action it asks for, and hears of which there are more", async () => {
    const shard = await TestShard.create(pool);
    const [reds, blues, greens] = [
      await queueRuns(shard, "red", 3),
      await queueRuns(shard, "blue", 2),
      await queueRuns(shard, "green", 1),
    ];
    const { ready, more } = await shard.commit({
      take: takes({ "red:a": 2, "blue:a": 2, "none:a": 4 }),
    });
    expect(idsOf(ready)).toEqual([...reds.slice(0, 2), ...blues]);
    expect(more).toEqual(lanes(["red:a"]));
    expect(await shard.queued()).toEqual([...reds.slice(2), ...greens]);
    expect((await shard.handouts())[shard.lastSeq]).toEqual([...reds.slice(0, 2), ...blues]);
  });

  test("leaves in the queue what is too many bytes for one refill", async () => {
    const shard = await TestShard.create(pool);
    const input = randomBytes(4_000).toString("base64url");
    const tasks = await queueRuns(shard, "big", 3, input);
    const room = { ...WIDE_ROOM, bytes: 1.5 * input.length };
    const { ready, more } = await shard.commit({ take: takes({ "big:a": 3 }), room });
    // The one that goes beyond the room is the last: a task larger than all of it must start too.
    expect(idsOf(ready)).toEqual(tasks.slice(0, 2));
    expect(more).toEqual(lanes(["big:a"]));
    expect(await shard.queued()).toEqual(tasks.slice(2));
  });

  test("gets what a commit readied and what it took in one reply", async () => {
    const shard = await TestShard.create(pool);
    const [waiting] = await queueRuns(shard, "old", 1);
    const { task } = await shard.startRun(await shard.register("pair", { a: [], b: ["a"] }));
    const reply = await shard.commit({
      results: [completed(task("a"))],
      take: takes({ "old:a": 1 }),
    });
    expect(idsOf(reply.ready)).toEqual([task("b"), waiting]);
    expect((await shard.handouts())[shard.lastSeq]).toEqual([waiting, task("b")].toSorted());
  });

  test("takes nothing from the queue that has ended meanwhile, and clears it away", async () => {
    const shard = await TestShard.create(pool);
    const [ended, other] = await queueRuns(shard, "one", 2);
    await shard.commit({ results: [completed(ended ?? "")] });
    const { ready, more } = await shard.commit({ take: takes({ "one:a": 5 }) });
    expect(idsOf(ready)).toEqual([other]);
    expect(more).toEqual([]);
    expect(await shard.queued()).toEqual([]);
  });

  test("keeps a handout until it is settled, and what it carries in its own", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const starts = [shard.start(workflow), shard.start(workflow)];
    const [first = "", second = ""] = starts.map(({ id }) => taskOf(workflow, id, "a"));
    await shard.commit({ starts });
    await shard.commit({ results: [completed(first)] });
    expect(await shard.handouts()).toEqual({ 1: [first, second] });
    await shard.commit({ settled: [1], carried: [second] });
    expect(await shard.handouts()).toEqual({ 3: [second] });
    await shard.commit({ results: [completed(second)], settled: [3] });
    expect(await shard.handouts()).toEqual({});
  });

  test("hands a lost task out under the seq of the commit that wrote it off", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("one", { a: [] }));
    await shard.commit({ results: [lost(task("a"))], settled: [1] });
    expect(await shard.handouts()).toEqual({ 2: [task("a")] });
    const room = { ...WIDE_ROOM, default: 0 };
    const { spilled } = await shard.commit({ results: [lost(task("a"), 2)], settled: [2], room });
    expect(spilled).toEqual(["one:a"]);
    expect(await shard.handouts()).toEqual({});
    expect(await shard.queued()).toEqual([task("a")]);
  });

  test("hears of every action with queued tasks, however many there are", async () => {
    const shard = await TestShard.create(pool);
    const steps = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`step-${n}`, []]));
    const workflow = await shard.register("wide", steps);
    expect((await shard.commit({ lanes: { n: 1_000 } })).lanes).toEqual([]);
    const every = workflow.steps.map((_, step): [number, number] => [step, 0]);
    await shard.commit({ starts: [1, 2, 3].map(() => shard.start(workflow, { s: every })) });
    const all = await shard.commit({ lanes: { n: 1_000 } });
    const actions = workflow.steps.map((step) => `wide:${step}`).toSorted();
    expect(all.lanes).toEqual(lanes(actions));
    const page = await shard.commit({
      lanes: { n: 2, after: { action: actions[4] ?? "", lane: 0 } },
    });
    expect(page.lanes).toEqual(lanes(actions.slice(5, 7)));
  });

  test("is busy when a timer is due, and not before", async () => {
    const shard = await TestShard.create(pool);
    const isBusy = async (): Promise<boolean> => {
      const [row] = await shard.rows<{ busy: { tenant: string }[] }>(
        "select v1.busy_shards() as busy",
      );
      return (row?.busy ?? []).some(({ tenant }) => tenant === shard.tenant);
    };
    const { task } = await shard.startRun(await shard.register("one", { a: [] }));
    const retries = (due: number, attempt: number): ResultRow[] => [
      retried(task("a"), due, attempt),
    ];
    await shard.commit({ results: retries(Date.now() + 60_000, 1), settled: [1] });
    expect(await isBusy()).toBe(false);
    await shard.commit({ wakes: [woken(task("a"))] });
    await shard.commit({ at: 1_000, results: retries(2_000, 2), settled: [shard.lastSeq] });
    expect(await shard.handouts()).toEqual({});
    expect(await isBusy()).toBe(true);
  });

  test("is busy while it holds tasks or tasks wait for it, and only then", async () => {
    const shard = await TestShard.create(pool);
    const isBusy = async (): Promise<boolean> => {
      const [row] = await shard.rows<{ busy: { tenant: string; shard: number }[] }>(
        "select v1.busy_shards() as busy",
      );
      return (row?.busy ?? []).some(({ tenant }) => tenant === shard.tenant);
    };
    expect(await isBusy()).toBe(false);
    const [task = ""] = await queueRuns(shard, "one", 1);
    expect(await isBusy()).toBe(true);
    await shard.commit({ take: takes({ "one:a": 1 }) });
    expect(await isBusy()).toBe(true);
    await shard.commit({ results: [completed(task)], settled: [2] });
    expect(await isBusy()).toBe(false);
  });

  test("is named busy with so many others at most, those with a due timer first, the others by turns", async () => {
    const databaseUrl = await freshDatabase(database);
    await migrate({ databaseUrl });
    const own = openPool({ databaseUrl });
    const tenants: string[] = [];
    for (let number = 0; number < 3; number++) {
      const shard = await TestShard.create(own);
      await queueRuns(shard, "one", 1);
      tenants.push(shard.tenant);
    }
    const late = await TestShard.create(own);
    const { task } = await late.startRun(await late.register("one", { a: [] }));
    await late.commit({ at: 1_000, results: [retried(task("a"), 2_000)] });
    const busy = async (most: number, turn = 0): Promise<string[]> => {
      const [row] = await late.rows<{ busy: { tenant: string }[] }>(
        "select v1.busy_shards($1, $2) as busy",
        [most, turn],
      );
      return (row?.busy ?? []).map(({ tenant }) => tenant);
    };
    expect((await busy(10)).toSorted()).toEqual([...tenants, late.tenant].toSorted());
    expect(await busy(1)).toEqual([late.tenant]);
    const named = new Set<string>();
    for (let minute = 0; minute < 100; minute++) {
      const [first, second = "", ...more] = await busy(2, minute);
      expect([first, more]).toEqual([late.tenant, []]);
      named.add(second);
    }
    expect(named).toEqual(new Set(tenants));
  });
});
