/**
 * Lives of a shard: a newer one ends the older, sees all that it committed, and knows for every
 * ready task whether a worker has it. No attempt is given out twice.
 */
import { describe, expect, inject, test } from "vitest";
import { expectSound } from "./invariants.ts";
import { begun, completed, expired, lost, retried } from "./rows.ts";
import {
  idsOf,
  openPool,
  postgres,
  type StartedRun,
  taskOf,
  TestShard,
  untilBlocked,
  takes,
  lanes,
} from "./support.ts";

describe.each(inject("databases"))("a shard's life on $name", (database) => {
  const pool = openPool(database);

  async function threeRuns(shard: TestShard): Promise<[StartedRun, StartedRun, StartedRun]> {
    const workflow = await shard.register("pair", { a: [], b: ["a"] });
    return [
      await shard.startRun(workflow),
      await shard.startRun(workflow),
      await shard.startRun(workflow),
    ];
  }

  test("ends with the next: its commits are refused and change nothing", async () => {
    const shard = await TestShard.create(pool);
    const [run] = await threeRuns(shard);
    const workflow = await shard.register("one", { a: [] });
    const late = shard.request({
      starts: [shard.start(workflow)],
      results: [completed(run.task("a"))],
      settled: [1],
    });
    await shard.recover();
    const before = await shard.picture();
    await expect(shard.send(late)).rejects.toMatchObject({ code: "SK001" });
    await expect(shard.send({ ...late, epoch: shard.epoch + 1 })).rejects.toMatchObject({
      code: "SK001",
    });
    expect(await shard.picture()).toEqual(before);
  });

  test("of a tenant that never had one is refused", async () => {
    const shard = await TestShard.create(pool);
    const other = { ...shard.request({}), shard: 1 };
    await expect(shard.send(other)).rejects.toMatchObject({ code: "SK001" });
  });

  test("begins with every task it does not lease in the queue, at the same attempt", async () => {
    const shard = await TestShard.create(pool);
    const [one, two, three] = await threeRuns(shard);
    await shard.commit({ started: [begun(three.task("a"))] });
    const reply = await shard.recover([{ t: two.task("a"), a: 1 }]);
    expect(reply).toMatchObject({ epoch: 2, trusted: true, leased: [two.task("a")] });
    expect(reply.lanes).toEqual(lanes(["pair:a"]));
    expect(await shard.queued()).toEqual([one.task("a"), three.task("a")]);
    expect(await shard.handouts()).toEqual({ 0: [two.task("a")] });
    const { ready } = await shard.commit({ take: takes({ "pair:a": 5 }) });
    expect(ready?.map(({ attempt }) => attempt)).toEqual([1, 1]);
  });

  test("keeps no lease on what has ended, moved on or never was", async () => {
    const shard = await TestShard.create(pool);
    const [ended, moved, held] = await threeRuns(shard);
    await shard.commit({ results: [completed(ended.task("a")), lost(moved.task("a"))] });
    const tasks = [ended.task("a"), moved.task("a"), held.task("b"), held.task("a")];
    const { leased } = await shard.recover(tasks.map((t) => ({ t, a: 1 })));
    expect(leased).toEqual([held.task("a")]);
    expect(await shard.queued()).toEqual([ended.task("b"), moved.task("a")]);
  });

  test("whose memory is not of the last life writes off every attempt that may be running", async () => {
    const shard = await TestShard.create(pool);
    const [one, two, three] = await threeRuns(shard);
    await shard.commit({ started: [begun(two.task("a"))] });
    const workflow = await shard.register("one", { a: [] });
    const queued = await shard.startRun(workflow, { s: [[0, 0]] });
    await shard.recover([{ t: three.task("a"), a: 1 }], { epoch: 0 });
    const written = [one, two, three].map(({ task }) => task("a"));
    expect(await shard.queued()).toEqual([...written, queued.task("a")]);
    expect(await shard.handouts()).toEqual({});
    for (const task of written) {
      expect(await shard.task(task)).toMatchObject({ state: "queued", attempt: 1, worker: null });
    }
    const history = await shard.rows(
      "select task_id, attempt, outcome from v1.task_attempt where task_id = any ($1) order by 1",
      [[...written, queued.task("a")]],
    );
    const outcome = { attempt: 1, outcome: "lost" };
    expect(history).toEqual(written.map((task_id) => ({ task_id, ...outcome })));
    const { results } = await shard.commit({ results: [completed(one.task("a"))] });
    expect(results).toEqual({ [one.task("a")]: "stale" });
  });

  test("that follows an untrusted one is trusted again", async () => {
    const shard = await TestShard.create(pool);
    const [run] = await threeRuns(shard);
    expect((await shard.recover([], { epoch: 7 })).trusted).toBe(false);
    await shard.commit({ take: takes({ "pair:a": 1 }) });
    const { trusted, leased } = await shard.recover([{ t: run.task("a"), a: 2 }]);
    expect({ trusted, leased }).toEqual({ trusted: true, leased: [run.task("a")] });
  });

  test("begins with its soonest timers and the queue's first expiry", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("slow", { a: { scheduleTimeoutMs: 1_000 } });
    const runs = [1, 2, 3].map(() => shard.start(workflow, { u: 60_000 }));
    await shard.commit({ at: 1_000_000, starts: runs });
    await shard.commit({
      at: 2_000_000,
      results: runs
        .slice(1)
        .map(({ id }, at) => retried(taskOf(workflow, id, "a"), 2_001_000 - at)),
    });
    const reply = await shard.recover([], { agenda: 2 });
    expect(reply.agenda).toEqual([
      { id: runs[0]?.id, k: "timeout", d: 1_060_000 },
      { id: runs[1]?.id, k: "timeout", d: 1_060_000 },
    ]);
    expect(reply.expiry).toBe(1_001_000);
    const { agenda } = await shard.commit({ agenda: 100 });
    expect(agenda?.map(({ k, d }) => [k, d]).slice(2)).toEqual([
      ["timeout", 1_060_000],
      ["retry", 2_000_999],
      ["retry", 2_001_000],
    ]);
    await shard.commit({ take: takes({ "slow:a": 1 }) });
    expect(await shard.recover([], { agenda: 0 })).toMatchObject({ agenda: [] });
  });

  test("leaves tasks in backoff to their timers, also when its memory is not of the last life", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("pair", { a: [], b: ["a"] }));
    await shard.commit({ results: [retried(task("a"), Date.now() + 60_000)] });
    const before = await shard.task(task("a"));
    await shard.recover([{ t: task("a"), a: 2 }]);
    await shard.recover([], { epoch: 0 });
    expect(await shard.task(task("a"))).toEqual(before);
    expect([await shard.queued(), await shard.handouts()]).toEqual([[], {}]);
    await expectSound(shard);
  });

  test("takes a begun task that it does not lease for one that nobody has begun", async () => {
    const shard = await TestShard.create(pool);
    const steps = { a: { scheduleTimeoutMs: 1_000 } };
    const { task } = await shard.startRun(await shard.register("slow", steps));
    await shard.commit({ started: [begun(task("a"))] });
    const { expiry = 0 } = await shard.recover();
    expect(await shard.task(task("a"))).toMatchObject({ state: "queued", worker: null });
    const { ready } = await shard.commit({ at: expiry, expired: 1 });
    expect(idsOf(ready)).toEqual([task("a")]);
    const { finished } = await shard.commit({ results: [expired(task("a"))] });
    expect(finished).toMatchObject([{ state: "failed" }]);
  });

  test("loses nothing, however often it ends and begins", async () => {
    const shard = await TestShard.create(pool);
    const runs = await threeRuns(shard);
    for (let life = 0; life < 5; life++) {
      await shard.recover();
      await shard.commit({ take: takes({ "pair:a": 2 }) });
    }
    await shard.recover();
    expect(await shard.queued()).toEqual(runs.map(({ task }) => task("a")));
    const { ready } = await shard.commit({ take: takes({ "pair:a": 9 }) });
    expect(ready?.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
  });
});

describe.runIf(postgres)("two lives of a shard at once", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });

  test("the newer one waits for a commit in flight, and sees what it has done", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("pair", { a: [], b: ["a"] }));
    const flight = await pool.connect();
    try {
      await flight.query("begin");
      await shard.commit({ results: [completed(task("a"))], settled: [1] }, flight);
      const recovering = shard.recover();
      await untilBlocked(shard, flight);
      expect(await shard.handouts()).toEqual({ 1: [task("a")] });
      await flight.query("commit");
      expect(await recovering).toMatchObject({ epoch: 2, trusted: true, lanes: lanes(["pair:b"]) });
      expect(await shard.queued()).toEqual([task("b")]);
    } finally {
      flight.release();
    }
  });

  test("a commit waits for a recovery in flight, and is refused after it", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("one", { a: [] }));
    const late = shard.request({ results: [completed(task("a"))] });
    const recovery = await pool.connect();
    try {
      await recovery.query("begin");
      await shard.recover([], { sql: recovery });
      const refused = expect(shard.send(late)).rejects.toMatchObject({ code: "SK001" });
      await untilBlocked(shard, recovery);
      await recovery.query("commit");
      await refused;
      expect(await shard.run(run)).toMatchObject({ state: "queued" });
    } finally {
      recovery.release();
    }
  });

  test("two commits of one life don't wait for each other", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", { a: [], b: ["a"] });
    const [one, two] = [await shard.startRun(workflow), await shard.startRun(workflow)];
    const first = await pool.connect();
    try {
      await first.query("begin");
      await shard.commit({ results: [completed(one.task("a"))] }, first);
      const { ready } = await shard.commit({ results: [completed(two.task("a"))] });
      expect(idsOf(ready)).toEqual([two.task("b")]);
      await first.query("commit");
    } finally {
      first.release();
    }
  });
});
