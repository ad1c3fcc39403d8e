/**
 * Commits at the same time, on a real Postgres: batches that overlap wait for each other in one
 * order, so that nothing deadlocks, nothing is lost and nothing becomes ready twice.
 */
import { describe, expect, test } from "vitest";
import {
  completed,
  idsOf,
  lost,
  openPool,
  postgres,
  type Steps,
  TestShard,
  untilBlocked,
} from "./support.ts";

const DIAMOND: Steps = { a: [], b: ["a"], c: ["a"], d: ["b", "c"] };

describe.runIf(postgres)("commits at the same time", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });

  test("of different runs don't wait, and each fan-in becomes ready once", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("diamond", DIAMOND);
    const [one, two] = [await shard.startRun(workflow), await shard.startRun(workflow)];
    for (const { task } of [one, two]) await shard.commit({ results: [completed(task("a"))] });
    const [first, second] = [await pool.connect(), await pool.connect()];
    try {
      const ready: string[] = [];
      for (const client of [first, second]) await client.query("begin");
      for (const step of ["b", "c"]) {
        const firstReply = await shard.commit({ results: [completed(one.task(step))] }, first);
        const secondReply = await shard.commit({ results: [completed(two.task(step))] }, second);
        ready.push(...idsOf(firstReply.ready), ...idsOf(secondReply.ready));
      }
      for (const client of [first, second]) await client.query("commit");
      expect(ready).toEqual([one.task("d"), two.task("d")]);
    } finally {
      first.release();
      second.release();
    }
  });

  test("of one run wait, and its fan-in becomes ready once", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("diamond", DIAMOND));
    await shard.commit({ results: [completed(task("a"))] });
    const first = await pool.connect();
    try {
      await first.query("begin");
      const { ready } = await shard.commit({ results: [completed(task("b"))] }, first);
      expect(ready ?? []).toEqual([]);
      const second = shard.commit({ results: [completed(task("c"))] });
      await untilBlocked(shard, first);
      await first.query("commit");
      expect(idsOf((await second).ready)).toEqual([task("d")]);
    } finally {
      first.release();
    }
  });

  test("a result and a loss of the same attempt: the first to commit counts", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("one", { a: [] }));
    const first = await pool.connect();
    try {
      await first.query("begin");
      await shard.commit({ results: [completed(task("a"))] }, first);
      const second = shard.commit({ results: [lost(task("a"))] });
      await untilBlocked(shard, first);
      await first.query("commit");
      expect(await second).toMatchObject({ results: { [task("a")]: "recorded" } });
      expect(await shard.task(task("a"))).toMatchObject({ state: "completed", attempt: 1 });
    } finally {
      first.release();
    }
  });

  test("that overlap in every order lose nothing and ready nothing twice", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("diamond", DIAMOND);
    const runs = [];
    for (let count = 0; count < 40; count++) runs.push(await shard.startRun(workflow));
    const ready: string[] = [];
    for (const steps of [["a"], ["b", "c"], ["d"]]) {
      const results = runs.flatMap(({ task }) => steps.map((step) => completed(task(step))));
      // Every connection reports everything, each from another place on, half of them backwards.
      const orders = Array.from({ length: 6 }, (_, connection) => {
        const turned = [...results.slice(connection * 7), ...results.slice(0, connection * 7)];
        return connection % 2 === 0 ? turned : turned.toReversed();
      });
      const batches = orders.flatMap((order) => [order.slice(0, 25), order.slice(25)]);
      const replies = await Promise.all(batches.map((batch) => shard.commit({ results: batch })));
      ready.push(...replies.flatMap((reply) => idsOf(reply.ready)));
    }
    const expected = runs.flatMap(({ task }) => ["b", "c", "d"].map((step) => task(step)));
    expect(ready.toSorted()).toEqual(expected.toSorted());
    for (const { run } of runs) {
      expect(await shard.run(run)).toMatchObject({ state: "completed", remaining: 0 });
    }
  });

  test("that claim the same keys in opposite orders start one run for each", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const keys = Array.from({ length: 50 }, (_, number) => `key-${number}`);
    const batches = Array.from({ length: 6 }, (_, connection) => {
      const starts = keys.map((k) => shard.start(workflow, { k }));
      return connection % 2 === 0 ? starts : starts.toReversed();
    });
    const replies = await Promise.all(batches.map((starts) => shard.commit({ starts })));
    const refused = replies.flatMap(({ starts }) => Object.keys(starts ?? {}));
    expect(refused).toHaveLength(5 * keys.length);
    const text = "select count(*)::integer as runs from v1.workflow_run where tenant_id = $1";
    expect(await shard.rows(text, [shard.tenant])).toEqual([{ runs: keys.length }]);
  });

  test("that refill from one queue never both get a task", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const starts = Array.from({ length: 30 }, () => shard.start(workflow, { s: [0] }));
    await shard.commit({ starts });
    const takes = Array.from({ length: 6 }, () => shard.commit({ take: { "one:a": 5 } }));
    const taken = (await Promise.all(takes)).flatMap(({ ready }) => idsOf(ready));
    expect(new Set(taken).size).toBe(taken.length);
    expect(
      Object.values(await shard.handouts())
        .flat()
        .toSorted(),
    ).toEqual(taken.toSorted());
  });
});
