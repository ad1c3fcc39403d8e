/**
 * Tenants apart: whatever a commit of one names of another's, nothing of the other's changes.
 */
import { describe, expect, inject, test } from "vitest";
import { pauseWorkflow, resumeWorkflow } from "../../database/workflow-changes.ts";
import type { LogLine } from "../../protocol/session.ts";
import {
  begun,
  cancelled,
  child,
  completed,
  failed,
  lost,
  outOfTime,
  released,
  retried,
  spawned,
  timedOut,
  woken,
} from "./rows.ts";
import { openPool, queryOf, type StartedRun, TestShard, takes } from "./support.ts";

const LINE: LogLine = { level: "info", message: "mine now", at: 1 };

describe.each(inject("databases"))("tenants on $name", (database) => {
  const pool = openPool(database);

  /** A tenant with a run in hand and one in the queue, and an intruder. */
  async function victimAndIntruder(): Promise<{
    victim: TestShard;
    held: StartedRun;
    queued: StartedRun;
    intruder: TestShard;
  }> {
    const victim = await TestShard.create(pool);
    const workflow = await victim.register("pair", { a: [], b: ["a"] });
    const held = await victim.startRun(workflow, { k: "key" });
    const queued = await victim.startRun(workflow, { s: [[0, 0]] });
    const intruder = await TestShard.create(pool);
    await intruder.register("pair", { a: [], b: ["a"] });
    return { victim, held, queued, intruder };
  }

  test("results and start records of another tenant's tasks are not applied", async () => {
    const { victim, held, queued, intruder } = await victimAndIntruder();
    const before = await victim.picture();
    for (const result of [completed, failed, timedOut]) {
      const results = [result(held.task("a")), result(queued.task("a"))];
      expect((await intruder.commit({ results })).ready ?? []).toEqual([]);
    }
    await intruder.commit({ results: [lost(held.task("a"))], started: [begun(queued.task("a"))] });
    expect(await victim.picture()).toEqual(before);
    expect([await intruder.queued(), await intruder.handouts()]).toEqual([[], {}]);
  });

  test("no moment that comes and nobody who cancels moves another tenant's runs", async () => {
    const { victim, held, queued, intruder } = await victimAndIntruder();
    const { run, task } = await victim.startRun(
      await victim.register("one", { a: [] }, { timeoutMs: 60_000 }),
    );
    await victim.commit({ results: [retried(task("a"), Date.now() + 60_000)] });
    const paused = await victim.register("paused", { a: [] });
    await pauseWorkflow(queryOf(pool), victim.change("paused"), "hold");
    await victim.readDefinitions();
    const { run: waiting } = await victim.startRun(paused, { h: true });
    const before = await victim.picture();
    await resumeWorkflow(queryOf(pool), intruder.change("paused"));
    const reply = await intruder.commit({
      wakes: [woken(task("a"))],
      releases: [released(waiting)],
      cancels: [...[held.run, queued.run].map((id) => cancelled(id)), outOfTime(run)],
      expired: 10,
      agenda: 10,
      at: Date.now() + 120_000,
    });
    expect(reply).toMatchObject({ ready: [], cancelled: [], agenda: [] });
    expect(await victim.picture()).toEqual(before);
  });

  test("another tenant's tasks start no children, tell of none, and its runs can't be replayed", async () => {
    const { victim, held, intruder } = await victimAndIntruder();
    await victim.commit({ spawns: [spawned(held.task("a"), [child("known", "pair")])] });
    const done = await victim.startRun(await victim.register("one", { a: [] }));
    await victim.commit({ results: [completed(done.task("a"), "secret")] });
    const workflow = await intruder.register("one", { a: [] });
    const own = await intruder.startRun(workflow);
    const replay = intruder.start(workflow, { ro: done.run, ru: [0], n: 1 });
    const before = await victim.picture();
    const children = [child("known", "pair"), child("new", "pair")];
    const reply = await intruder.commit({
      spawns: [
        spawned(held.task("a"), children),
        { ...spawned(held.task("a"), children), r: own.run },
      ],
      starts: [replay],
    });
    const refused = ["known", "new", "known", "new"].map((k) => {
      return { t: held.task("a"), k, refused: "stale" };
    });
    expect(reply).toMatchObject({ spawned: refused, starts: { [replay.id]: "stale" }, ready: [] });
    expect(await victim.picture()).toEqual(before);
  });

  test("a child's workflow is looked for among the tenant's own", async () => {
    const { victim, intruder } = await victimAndIntruder();
    await victim.register("secret", { a: [] });
    const { task } = await intruder.startRun(await intruder.register("one", { a: [] }));
    const { spawned: answer } = await intruder.commit({
      spawns: [spawned(task("a"), [child("one", "secret")])],
    });
    expect(answer).toMatchObject([{ refused: "workflow_not_found" }]);
  });

  test("a start under another tenant's run id, and a key it has, change nothing of its own", async () => {
    const { victim, held, intruder } = await victimAndIntruder();
    const before = await victim.picture();
    const workflow = await intruder.register("one", { a: [] });
    const start = intruder.start(workflow, { id: held.run });
    const keyed = intruder.start(workflow, { k: "key" });
    await intruder.commit({ starts: [start, keyed] });
    expect(await victim.picture()).toEqual(before);
    expect(await intruder.hasRun(keyed.id)).toBe(true);
  });

  test("refills and settled handouts reach only the tenant's own shard", async () => {
    const { victim, intruder } = await victimAndIntruder();
    const before = await victim.picture();
    const reply = await intruder.commit({
      take: takes({ "pair:a": 9 }),
      settled: [1, 2],
      lanes: { n: 1_000 },
    });
    expect(reply.ready ?? []).toEqual([]);
    expect(reply.lanes).toEqual([]);
    expect(await victim.picture()).toEqual(before);
  });

  test("lines logged to another tenant's task are not kept", async () => {
    const { victim, held, intruder } = await victimAndIntruder();
    const before = await victim.picture();
    await intruder.commit({ logs: [{ t: held.task("a"), a: 1, n: 0, l: [LINE] }] });
    expect(await victim.picture()).toEqual(before);
  });

  test("a recovery neither leases, queues nor writes off another tenant's tasks", async () => {
    const { victim, held, queued, intruder } = await victimAndIntruder();
    const before = await victim.picture();
    const tasks = [held.task("a"), queued.task("a")];
    await intruder.commit({ carried: tasks });
    const { leased } = await intruder.recover(tasks.map((t) => ({ t, a: 1 })));
    await intruder.commit({ carried: tasks });
    await intruder.recover([], { epoch: 0 });
    expect(leased).toEqual([]);
    expect(await intruder.queued()).toEqual([]);
    expect(await victim.picture()).toEqual(before);
  });

  test("another tenant's workflows, versions and definitions can't be read", async () => {
    const { victim, intruder } = await victimAndIntruder();
    const { version } = await victim.register("secret", { a: [] });
    const [row] = await intruder.rows(
      `select v1.read_versions($1, array[$2::uuid]) as versions, v1.read_active_version($1, 'secret') as active,
              v1.read_definitions($1)->'workflows'->0->>'name' as name,
              jsonb_array_length(v1.read_definitions($1)->'workflows') as workflows`,
      [intruder.tenant, version],
    );
    expect(row).toEqual({ versions: [], active: null, name: "pair", workflows: 1 });
  });
});
