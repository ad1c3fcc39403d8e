/**
 * Commits at the same time, on a real Postgres: batches that overlap wait for each other in one
 * order, so that nothing deadlocks, nothing is lost and nothing becomes ready twice.
 */
import { describe, expect, test } from "vitest";
import { pauseWorkflow, resumeWorkflow } from "../../database/workflow-changes.ts";
import { expectSound } from "./invariants.ts";
import {
  cancelled,
  child,
  completed,
  failed,
  lost,
  outOfTime,
  retried,
  spawned,
  woken,
} from "./rows.ts";
import {
  idsOf,
  openPool,
  postgres,
  queryOf,
  type StartedRun,
  type Steps,
  TestShard,
  untilBlocked,
  takes,
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

  test("of every kind, overlapping in every order, neither deadlock nor leave anything behind", async () => {
    const shard = await TestShard.create(pool);
    await shard.register("leaf", { x: [] });
    const steps = { a: [], b: [], c: { compensate: {} }, d: ["a", "b", "c"] };
    const workflow = await shard.register("mixed", steps, { timeoutMs: 60_000, onFailure: {} });
    const runs: StartedRun[] = [];
    for (let count = 0; count < 24; count++) runs.push(await shard.startRun(workflow));
    const asleep = runs.map(({ task }) => retried(task("b"), Date.now() + 60_000));
    await shard.commit({ results: asleep });
    const connections = Array.from({ length: 6 }, (_, connection) => {
      const turned = [...runs.slice(connection * 4), ...runs.slice(0, connection * 4)];
      const order = connection % 2 === 0 ? turned : turned.toReversed();
      const half = order.slice(0, 12);
      return [
        { results: half.map(({ task }) => completed(task("a"))) },
        {
          wakes: order.map(({ task }) => woken(task("b"))),
          cancels: [cancelled(runs[0]?.run ?? "")],
        },
        { spawns: half.map(({ task }) => spawned(task("c"), [child("one", "leaf")])) },
        {
          results: half.map(({ task }, number) =>
            number % 2 === 0 ? failed(task("c")) : completed(task("c")),
          ),
          cancels: order
            .slice(12)
            .map(({ run }, number) => (number % 3 === 0 ? outOfTime(run) : cancelled(run))),
          take: takes({ "mixed:a": 3 }),
        },
      ];
    });
    await Promise.all(
      connections.map(async (batches) => {
        for (const batch of batches) await shard.commit(batch);
      }),
    );
    // Each commit of a shard carries its own tasks; here each only adds to what is in hand.
    const text = `select r.state, count(*)::integer from v1.workflow_run r
                    where r.tenant_id = $1 and r.parent_id is null group by 1 order by 1`;
    const counted = await shard.rows<{ state: string; count: number }>(text, [shard.tenant]);
    expect(counted.reduce((sum, { count }) => sum + count, 0)).toBe(runs.length);
    const children =
      "select count(*)::integer as runs from v1.child_run where run_id in (select id from v1.workflow_run where tenant_id = $1)";
    const [row] = await shard.rows<{ runs: number }>(children, [shard.tenant]);
    expect(row?.runs).toBeLessThanOrEqual(runs.length);
    await expectSound(shard);
  });

  test("a refill and a cancellation of the same run wait for each other", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const { run } = await shard.startRun(workflow, { s: [[0, 0]] });
    const refill = await pool.connect();
    try {
      await refill.query("begin");
      const { ready } = await shard.commit({ take: takes({ "one:a": 1 }) }, refill);
      expect(ready).toHaveLength(1);
      const cancelling = shard.commit({ cancels: [cancelled(run)] });
      await untilBlocked(shard, refill);
      await refill.query("commit");
      expect(await cancelling).toMatchObject({ cancelled: [run] });
      expect(await shard.queued()).toEqual([]);
      await expectSound(shard);
    } finally {
      refill.release();
    }
  });

  test("a start that is held waits for its workflow to be resumed, and is refused after it", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    await pauseWorkflow(queryOf(pool), shard.change("one"), "hold");
    await shard.readDefinitions();
    const resuming = await pool.connect();
    try {
      await resuming.query("begin");
      await resumeWorkflow(queryOf(resuming), shard.change("one"));
      const start = shard.start(workflow, { h: true });
      const late = shard.commit({ starts: [start] });
      await untilBlocked(shard, resuming);
      await resuming.query("commit");
      expect((await late).starts).toEqual({ [start.id]: "stale" });
    } finally {
      resuming.release();
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
    const starts = Array.from({ length: 30 }, () => shard.start(workflow, { s: [[0, 0]] }));
    await shard.commit({ starts });
    const refills = Array.from({ length: 6 }, () => shard.commit({ take: takes({ "one:a": 5 }) }));
    const taken = (await Promise.all(refills)).flatMap(({ ready }) => idsOf(ready));
    expect(new Set(taken).size).toBe(taken.length);
    expect(
      Object.values(await shard.handouts())
        .flat()
        .toSorted(),
    ).toEqual(taken.toSorted());
  });
});
