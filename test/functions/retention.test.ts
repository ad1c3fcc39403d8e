/**
 * Months of history that nobody may read any more are dropped, a partition a call; never one that somebody may
 * read, or waits for, and never in anybody's way. Each database is the test's own: dropping concerns all tenants.
 */
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { firstIdAt, lastTaskId, taskId } from "../../protocol/ids.ts";
import { migrate } from "../../migrations/migrate.ts";
import { freshDatabase } from "./fresh-database.ts";
import { child, completed, spawned } from "./rows.ts";
import { openPool, type Registered, TestShard } from "./support.ts";

const JANUARY = Date.parse("2025-01-10T00:00:00Z");
const FEBRUARY = Date.parse("2025-02-10T00:00:00Z");
const TABLES = [
  "workflow_run",
  "task",
  "task_attempt",
  "task_output",
  "task_wait",
  "child_run",
  "log_line",
  "event",
  "filter_failure",
];

let made = 0;

/** An id of a run, or with another ending of an event, as it was made then. */
function idAt(ms: number, ending = "0000"): string {
  const number = (++made).toString(16).padStart(8, "0");
  return `${firstIdAt(ms).slice(0, 14)}7000-8000-${number}${ending}`;
}

describe.each(inject("databases"))("retention on $name", (database) => {
  let pool: pg.Pool;
  let shard: TestShard;
  let workflow: Registered;

  beforeAll(async () => {
    const databaseUrl = await freshDatabase(database);
    await migrate({ databaseUrl });
    pool = openPool({ databaseUrl });
  });

  beforeEach(async () => {
    // What tests before have left.
    for (const table of ["timer", "queue_item", "handout", "message"]) {
      await pool.query(`delete from v1.${table}`);
    }
    await pool.query("update v1.tenant set retention_days = 30, retention_changed_at = null");
    await pool.query("update v1.workflow_run set finished_at = '2025-03-01'");
    for (let left = 20; left > 0; left--) await drop();
    await pool.query("select v1.ensure_partitions('2025-01-12')");
    shard = await TestShard.create(pool);
    await pool.query("update v1.tenant set retention_days = 30");
    workflow = await shard.register("old", { a: [] }, { events: ["asked"] });
  });

  /** As an hour after the last look. */
  async function drop(): Promise<string | null> {
    await pool.query("update v1.retention_look set looked_at = '-infinity'");
    const { rows } = await pool.query("select v1.drop_history() as dropped");
    return rows[0].dropped;
  }

  /** A run that was started then, and ended a minute later. */
  async function oldRun(at: number, { isOpen = false } = {}): Promise<string> {
    const id = idAt(at);
    await shard.commit({ at, starts: [shard.start(workflow, { id })] });
    const line = { level: "info" as const, message: "done", at };
    if (isOpen) return id;
    const task = taskId(id, 0);
    await shard.commit({ at, logs: [{ t: task, a: 1, n: 0, l: [line] }] });
    const times = { b: at, f: at + 60_000 };
    await shard.commit({ at: at + 60_000, results: [{ ...completed(task, "A"), ...times }] });
    return id;
  }

  async function partitions(month: string): Promise<string[]> {
    const { rows } = await pool.query(
      "select relname from pg_class where relnamespace = 'v1'::regnamespace and relname like '%' || $1 and relkind = 'r'",
      [month],
    );
    return rows.map(({ relname }) => relname.replace(month, "").replace(/_$/, ""));
  }

  test("a month that is past for all is dropped, one partition a call, runs first; others stay", async () => {
    await oldRun(JANUARY);
    const later = await oldRun(FEBRUARY);
    await shard.commit({
      at: JANUARY,
      events: [shard.event("asked", { id: idAt(JANUARY, "0007") })],
    });
    await pool.query("delete from v1.timer");
    await pool.query("update v1.workflow_run set finished_at = now() where id = $1", [later]);
    const dropped: (string | null)[] = [];
    for (let calls = 0; calls < TABLES.length + 1; calls++) dropped.push(await drop());
    expect(dropped).toEqual([...TABLES.map((table) => `${table}_2025_01`), null]);
    expect(await partitions("2025_01")).toEqual([]);
    expect((await partitions("2025_02")).toSorted()).toEqual(TABLES.toSorted());
    expect((await shard.run(later)).state).toBe("completed");
    const index = await pool.query("select count(*) from v1.workflow_run where id < $1", [
      firstIdAt(FEBRUARY),
    ]);
    expect(index.rows[0].count).toBe("0");
  });

  test("it looks once an hour, and goes on at once while there is something to drop", async () => {
    await oldRun(JANUARY);
    await pool.query("update v1.retention_look set looked_at = now() - interval '59 minutes'");
    const call = async (): Promise<unknown> =>
      (await pool.query("select v1.drop_history() as dropped")).rows[0].dropped;
    expect(await call()).toBeNull();
    await pool.query("update v1.retention_look set looked_at = now() - interval '61 minutes'");
    for (const table of TABLES) expect(await call()).toBe(`${table}_2025_01`);
    for (const table of TABLES) expect(await call()).toBe(`${table}_2025_02`);
    expect(await call()).toBeNull();
    await pool.query("select v1.ensure_partitions('2025-01-12')");
    expect(await call()).toBeNull();
    expect(await partitions("2025_01")).toHaveLength(TABLES.length);
  });

  test("months that are open are never dropped, however short the periods", async () => {
    await pool.query("update v1.tenant set retention_days = 1");
    while ((await drop()) !== null);
    const month = new Date(Date.now() - 86_400_000).toISOString().slice(0, 7).replace("-", "_");
    expect((await partitions(month)).toSorted()).toEqual(TABLES.toSorted());
    const started = await shard.startRun(workflow);
    expect((await shard.run(started.run)).state).toBe("queued");
  });

  const KEPT: Record<string, (run: string) => Promise<unknown>> = {
    "its tenant keeps everything": () =>
      pool.query("update v1.tenant set retention_days = null where id = $1", [shard.tenant]),
    "its tenant's period is not over": () =>
      pool.query("update v1.tenant set retention_days = 3650 where id = $1", [shard.tenant]),
    "its tenant's period was changed a moment ago": () =>
      pool.query("select v1.put_retention($1, 1)", [shard.tenant]),
    "another tenant's run is in it": async () => {
      const other = await TestShard.create(pool);
      const theirs = await other.register("theirs", { a: [] });
      const id = idAt(JANUARY);
      await other.commit({ at: JANUARY, starts: [other.start(theirs, { id })] });
      await pool.query("update v1.workflow_run set finished_at = '2025-01-11' where id = $1", [id]);
      await pool.query("delete from v1.handout");
      await pool.query("update v1.tenant set retention_days = null where id = $1", [other.tenant]);
    },
    "a run in it has ended lately": (run) =>
      pool.query(
        "update v1.workflow_run set finished_at = now() - interval '29 days' where id = $1",
        [run],
      ),
    "a run in it has not ended": () => oldRun(JANUARY + 1, { isOpen: true }),
    "an event in it has a timer": () =>
      pool.query(
        "insert into v1.timer (tenant_id, shard, id, kind, due_at) values ($1, 0, $2, 'match', now())",
        [shard.tenant, idAt(JANUARY, "0007")],
      ),
    "an event of it is not published yet": () =>
      pool.query(
        "insert into v1.message (id, tenant_id, queue, kind, body, bytes) values ($1, $2, 'events', 'publish', '{}', 2)",
        [idAt(JANUARY, "0007"), shard.tenant],
      ),
  };

  test.each(Object.entries(KEPT))("a month is kept while %s", async (_why, keep) => {
    const run = await oldRun(JANUARY);
    await keep(run);
    expect(await drop()).toBe("workflow_run_2025_02"); // which is empty
    expect(await partitions("2025_01")).toHaveLength(TABLES.length);
    expect((await shard.run(run)).state).toBe("completed");
  });

  test("a child's month is kept while its parent goes on in an earlier one", async () => {
    const parent = await oldRun(JANUARY, { isOpen: true });
    const one = child("one", "old", { id: idAt(FEBRUARY) });
    await shard.commit({ at: FEBRUARY, spawns: [spawned(taskId(parent, 0), [one])] });
    const times = { b: FEBRUARY, f: FEBRUARY + 1 };
    await shard.commit({
      at: FEBRUARY + 1,
      results: [{ ...completed(taskId(one.id, 0), "B"), ...times }],
    });
    expect(await drop()).toBeNull();
    await shard.commit({
      at: FEBRUARY + 2,
      results: [{ ...completed(taskId(parent, 0), "A"), ...times }],
    });
    expect(await drop()).toBe("workflow_run_2025_01");
    for (let calls = 0; calls < TABLES.length; calls++) await drop();
    expect(await partitions("2025_02")).not.toContain("workflow_run");
  });

  test("tenants that have nothing in a month have no say in it", async () => {
    await oldRun(JANUARY);
    const other = await TestShard.create(pool);
    await pool.query("update v1.tenant set retention_days = null where id = $1", [other.tenant]);
    expect(await drop()).toBe("workflow_run_2025_01");
  });

  test("a key that names a dropped run is long forgotten, a replay and a child of one say which it was", async () => {
    const original = await oldRun(JANUARY);
    const id = idAt(Date.now());
    await shard.commit({ starts: [shard.start(workflow, { id, ro: original, ru: [] })] });
    await shard.commit({ results: [completed(taskId(id, 0), "again")] });
    while ((await drop()) !== null);
    const [row] = await shard.rows("select replay_of, state from v1.workflow_run where id = $1", [
      id,
    ]);
    expect(row).toEqual({ replay_of: original, state: "completed" });
    await shard.commit({
      starts: [shard.start(workflow, { id: idAt(Date.now()), ro: original, ru: [0], n: 1 })],
    });
    const tasks = await shard.rows("select from v1.task where id between $1 and $2", [
      original,
      lastTaskId(original),
    ]);
    expect(tasks).toEqual([]);
  });

  // The rest only where connections run at the same time.
  if (database.name !== "Postgres") return;

  test("it waits for nobody, and nobody for it: who reads the table keeps it, commits go on", async () => {
    await oldRun(JANUARY);
    const reader = await pool.connect();
    await reader.query("begin");
    await reader.query("select from v1.workflow_run limit 1");
    const began = performance.now();
    const [dropped, started] = await Promise.all([drop(), shard.startRun(workflow)]);
    expect(dropped).toBeNull();
    expect((await shard.run(started.run)).state).toBe("queued");
    expect(performance.now() - began).toBeLessThan(5_000);
    await reader.query("rollback");
    reader.release();
    expect(await drop()).toBe("workflow_run_2025_01");
  });

  test("a period is changed before a month is looked at, or after it is dropped", async () => {
    await oldRun(JANUARY);
    const changing = await pool.connect();
    await changing.query("begin");
    await changing.query("select v1.put_retention($1, null)", [shard.tenant]);
    expect(await drop()).toBeNull(); // not by the period as it was
    await changing.query("commit");
    changing.release();
    expect(await drop()).toBe("workflow_run_2025_02");
    expect(await partitions("2025_01")).toHaveLength(TABLES.length);
  });
});
