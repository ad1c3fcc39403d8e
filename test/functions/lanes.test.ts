/**
 * Lanes of the queue: a refill takes from those it names and no others, and what a shard has too much
 * of goes back to where it belongs, once.
 */
import { describe, expect, inject, test } from "vitest";
import { expectSound } from "./invariants.ts";
import { begun, cancelled, completed, parked } from "./rows.ts";
import { idsOf, openPool, type Registered, takes, TestShard, taskOf } from "./support.ts";

const NOW = 1_800_000_000_000;

describe.each(inject("databases"))("lanes on $name", (database) => {
  const pool = openPool(database);

  /** Tasks of runs that start at once, each in its lane. */
  async function fill(shard: TestShard, workflow: Registered, lanes: number[]): Promise<string[]> {
    const starts = lanes.map((lane) => shard.start(workflow, { s: [[0, lane]] }));
    await shard.commit({ at: NOW, starts });
    return starts.map(({ id }) => taskOf(workflow, id, "a"));
  }

  /** Tasks in the shard's hands, under the seq of one commit. */
  async function hold(shard: TestShard, workflow: Registered, count: number): Promise<string[]> {
    const starts = Array.from({ length: count }, () => shard.start(workflow));
    await shard.commit({ at: NOW, starts });
    return starts.map(({ id }) => taskOf(workflow, id, "a"));
  }

  async function laneOf(shard: TestShard, task: string): Promise<number | undefined> {
    const text = "select lane::double precision from v1.queue_item where task_id = $1";
    return (await shard.rows<{ lane: number }>(text, [task]))[0]?.lane;
  }

  test("give what is asked of each, the oldest first, and tell which have more", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const tasks = await fill(shard, workflow, [7, 8, 7, 9, 7, 8]);
    const { ready, more } = await shard.commit({
      take: [...takes({ "one:a": 2 }, 7), ...takes({ "one:a": 5 }, 8), ...takes({ "one:a": 1 }, 6)],
    });
    expect(idsOf(ready).toSorted()).toEqual([0, 1, 2, 5].map((at) => tasks[at]));
    expect(more).toEqual([{ action: "one:a", lane: 7 }]);
    expect(await shard.queued()).toEqual([tasks[3], tasks[4]]);
    await expectSound(shard);
  });

  test("get what is parked, with its expiry, and it leaves its handout", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: { scheduleTimeoutMs: 1_000 } });
    const [kept = "", gone = ""] = await hold(shard, workflow, 2);
    const { expiry } = await shard.commit({ parks: [parked(gone, 2 ** 53 - 1)] });
    expect(expiry).toBe(NOW + 1_000);
    expect(await laneOf(shard, gone)).toBe(2 ** 53 - 1);
    expect(await shard.handouts()).toEqual({ 1: [kept] });
    await expectSound(shard);
    const { ready } = await shard.commit({ take: takes({ "one:a": 5 }, 2 ** 53 - 1) });
    expect(ready).toMatchObject([{ id: gone, attempt: 1, queuedAt: NOW }]);
    await expectSound(shard);
  });

  test("get a parked task once, however often its commit is sent and wherever it has gone since", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [task = "", other = ""] = await hold(shard, workflow, 2);
    const request = shard.request({ parks: [parked(task, 5)] });
    await shard.send(request);
    await shard.send(request);
    await expectSound(shard);
    const { ready } = await shard.commit({ take: takes({ "one:a": 1 }, 5) });
    expect(idsOf(ready)).toEqual([task]);
    await shard.send(request);
    expect(await shard.queued()).toEqual([]);
    expect(await shard.handouts()).toEqual({ 1: [other], 3: [task] });
    await expectSound(shard);
    await shard.commit({ results: [completed(task)], settled: [3] });
    await shard.send(request);
    expect(await shard.queued()).toEqual([]);
    await expectSound(shard);
  });

  test("lose the tasks of runs that hold limits since, also when that is said again", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("two", { a: [], b: [] });
    const [held, other] = [5, 6].map((lane) =>
      shard.start(workflow, {
        s: [
          [0, lane],
          [1, lane],
        ],
      }),
    );
    if (held === undefined || other === undefined) throw new Error("unreachable");
    await shard.commit({ at: NOW, starts: [held, other] });
    await shard.commit({ take: takes({ "two:a": 1 }, 5) });
    const request = shard.request({ unlined: [{ r: held.id }] });
    for (const _sending of [1, 2]) {
      expect(await shard.send(request)).toMatchObject({ spilled: ["two:b"] });
    }
    const of = (run: string, step: string): string => taskOf(workflow, run, step);
    expect(await laneOf(shard, of(held.id, "b"))).toBe(0);
    expect(await laneOf(shard, of(other.id, "a"))).toBe(6);
    expect(await laneOf(shard, of(other.id, "b"))).toBe(6);
    await expectSound(shard);
    const { ready } = await shard.commit({ take: takes({ "two:b": 9 }, 0) });
    expect(idsOf(ready)).toEqual([of(held.id, "b")]);
  });

  test("may be asked for what the same commit parks, also when that is sent again", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [task = ""] = await hold(shard, workflow, 1);
    const request = shard.request({
      parks: [parked(task, 5)],
      take: takes({ "one:a": 1 }, 5),
      settled: [1],
    });
    for (const reply of [await shard.send(request), await shard.send(request)]) {
      expect(idsOf(reply.ready)).toEqual([task]);
      await expectSound(shard);
    }
    expect(await shard.handouts()).toEqual({ 2: [task] });
  });

  test("get nothing that has begun, has ended, or is of another attempt", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [running = "", ended = "", later = ""] = await hold(shard, workflow, 3);
    await shard.commit({ started: [begun(running)], results: [completed(ended)] });
    const parks = [parked(running, 1), parked(ended, 1), parked(later, 1, 2)];
    await shard.commit({ parks });
    expect(await shard.queued()).toEqual([]);
    expect(await shard.handouts()).toEqual({ 1: [running, ended, later].toSorted() });
  });

  test("get nothing of another tenant's, and give nothing of it", async () => {
    const [shard, intruder] = [await TestShard.create(pool), await TestShard.create(pool)];
    const workflow = await shard.register("one", { a: [] });
    const [held = ""] = await hold(shard, workflow, 1);
    await fill(shard, workflow, [4]);
    const before = await shard.picture();
    const parks = [parked(held, 4)];
    await intruder.commit({ carried: [held] });
    const reply = await intruder.commit({
      parks,
      take: takes({ "one:a": 9 }, 4),
      lanes: { n: 9 },
    });
    expect(reply).toMatchObject({ ready: [], more: [], lanes: [] });
    expect(await shard.picture()).toEqual(before);
    expect(await intruder.queued()).toEqual([]);
  });

  test("are given back with a recovery, but for what goes there unsorted", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [kept = "", gone = ""] = await hold(shard, workflow, 2);
    await shard.commit({ parks: [parked(gone, 3)] });
    const { lanes } = await shard.recover();
    expect(lanes).toEqual([0, 3].map((lane) => ({ action: "one:a", lane })));
    expect([await laneOf(shard, kept), await laneOf(shard, gone)]).toEqual([0, 3]);
    expect((await shard.recover([], { lanes: 1 })).lanes).toEqual(lanes.slice(0, 1));
    await expectSound(shard);
  });

  test("keep a parked task's attempt when nobody knows what the shard had in hand", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [kept = "", gone = ""] = await hold(shard, workflow, 2);
    await shard.commit({ parks: [parked(gone, 3)] });
    await shard.recover([], { epoch: 9 });
    expect(await shard.task(kept)).toMatchObject({ attempt: 1 });
    expect(await shard.task(gone)).toMatchObject({ attempt: 0 });
    expect(await laneOf(shard, gone)).toBe(3);
  });

  test("lose what a cancellation ends, whichever it is in", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [first = "", second = ""] = await fill(shard, workflow, [1, 2]);
    await shard.commit({ cancels: [cancelled(first.slice(0, 32) + "0000")] });
    expect(await shard.queued()).toEqual([second]);
    await expectSound(shard);
  });
});
