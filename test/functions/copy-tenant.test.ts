/**
 * A tenant is copied to another database whole, and its work goes on there: what docs/scaling.md has an
 * operator do, on two databases.
 */
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { pauseWorkflow, resumeWorkflow } from "../../database/workflow-changes.ts";
import { compareTenant, copyTenant, nextTimer } from "../../migrations/copy-tenant.ts";
import { migrate } from "../../migrations/migrate.ts";
import { OTHER_TABLES, TENANT_TABLES } from "../../migrations/tenant-tables.ts";
import { newId, newRunId } from "../../protocol/ids.ts";
import type { TestDatabase } from "../support/databases.ts";
import { ask, freshDatabase } from "./fresh-database.ts";
import { expectSound } from "./invariants.ts";
import { begun, completed, failed, released, retried, woken } from "./rows.ts";
import {
  openPool,
  postgres,
  queryOf,
  type Registered,
  TestShard,
  takes,
  type StartedRun,
} from "./support.ts";

const ALL_TABLES = `
  select relname as name from pg_class where relnamespace = 'v1'::regnamespace
    and relkind in ('r', 'p') and not relispartition order by relname collate "C"`;

const TOKEN = `insert into v1.api_token (id, tenant_id, name, prefix, hash)
  values ($5, $1, 'first', 'sk', sha256('secret'))`;

const SCHEDULE = `insert into v1.schedule (id, tenant_id, workflow_id, cron, timezone, input, metadata, overlap,
    catch_up, catch_up_limit, jitter_ms, is_declared, seen_until)
  values ($5, $1, $2, '@daily', 'UTC', 'null', '{}', 'allow', 'none', 1, 0, false, now())`;

const MESSAGE = `insert into v1.message (id, tenant_id, queue, kind, body, bytes)
  values ($5, $1, 'events', 'event', '{}', 2)`;

/** A row at least in every table that `work` leaves empty. */
const FILL = [
  SCHEDULE,
  "update v1.schedule set is_enabled = false where tenant_id = $1",
  MESSAGE,
  "update v1.message set died_at = now(), reason = '{}', dead_id = 7 where tenant_id = $1",
  "insert into v1.promotion (workflow_id, tenant_id, version_id, share) values ($2, $1, $3, 100)",
  "insert into v1.promotion_count values ($3, 1, 0, 2, 1)",
  `insert into v1."limit" (tenant_id, name, definition) values ($1, 'few', '{"concurrency": 1}')`,
  `insert into v1.filter (id, tenant_id, workflow_id, expression, payload, equalities, version)
     values ($5, $1, $2, 'true', 'null', '[]', 1)`,
  "insert into v1.deleted_filter (tenant_id, version, id) values ($1, 1, $5)",
  `insert into v1.webhook (tenant_id, name, definition, secrets, secret_count)
     values ($1, 'in', '{}', '{a,"b, c"}', 2)`,
  "insert into v1.webhook_failure (tenant_id, webhook, code) select $1, 'in', 'c' || n from generate_series(1, 3) n",
  `insert into v1.notification (tenant_id, name, url, states, secrets)
     values ($1, 'out', 'https://example.test/', '{failed}', '{a}')`,
  "insert into v1.idempotency values ($1, 'event', 'key', $5, now())",
  `insert into v1.imported_run values ($5, $1, 'sum', $5, 'report', 1, 'failed', 2, '{}')`,
  "insert into v1.event (id, tenant_id, key, payload, metadata, runs) values ($5, $1, 'asked', 'null', '{}', '{}')",
  `insert into v1.filter_failure values ($5, $5, '{"message": "no such field"}')`,
  "insert into v1.task_wait (task_id, began_at) values ($4, now())",
  "insert into v1.child_run values ($4, 'key', $5, false)",
  "insert into v1.log_line values ($4, 1, 0, now(), 'info', 'said', null)",
  "insert into v1.queue_item (tenant_id, shard, action, task_id, lane) values ($1, 0, 'report:a', $5, 0)",
  "insert into v1.match values ($1, 0, 'stop', 0, $5, 0, 'cancel', 'true')",
];

const HOUR_MS = 3_600_000;

/** A month long past, for which a new database has no partition. */
const LONG_AGO = Date.UTC(2025, 3, 15);

// PGlite has no COPY to a client that is another database's.
describe.runIf(postgres)("a tenant is copied to another database", () => {
  let from: string;
  let to: string;
  let pool: pg.Pool;
  let shard: TestShard;
  let workflow: Registered;

  beforeAll(async () => {
    from = await freshDatabase(postgres as TestDatabase);
    await migrate({ databaseUrl: from });
    pool = openPool({ databaseUrl: from });
  });

  beforeEach(async () => {
    to = await freshDatabase(postgres as TestDatabase);
    await migrate({ databaseUrl: to });
    shard = await TestShard.create(pool);
    workflow = await shard.register("report", { a: { retries: 1 }, b: ["a"] });
  });

  const copy = (): Promise<void> => copyTenant({ tenant: shard.tenant, from, to });
  const compare = (): ReturnType<typeof compareTenant> =>
    compareTenant({ tenant: shard.tenant, from, to });

  /** With $1 the tenant, $2 the workflow, $3 its version, $4 a task of it and $5 a new id. */
  async function put(texts: string[], task = newId()): Promise<void> {
    const values = [shard.tenant, workflow.id, workflow.version, task, newId()];
    for (const text of texts) {
      await pool.query(text.replaceAll(/\$(\d)/g, (_, number) => `'${values[number - 1]}'`));
    }
  }

  /** Runs that have ended, failed, wait for a retry and wait for a worker; returns the open ones. */
  async function work(): Promise<{ ready: StartedRun; inBackoff: StartedRun; held: StartedRun }> {
    const done = await shard.startRun(workflow, { i: { text: "Grüße \\N\t\n\\." } });
    await shard.commit({ results: [completed(done.task("a"), null)] });
    await shard.commit({ results: [completed(done.task("b"), { rows: [1, null] })] });
    const broken = await shard.startRun(workflow);
    await shard.commit({ results: [failed(broken.task("a"))] });
    const ready = await shard.startRun(workflow);
    const inBackoff = await shard.startRun(workflow);
    await shard.commit({ results: [retried(inBackoff.task("a"), Date.now() + HOUR_MS)] });
    await pauseWorkflow(queryOf(pool), shard.change("report"), "hold");
    await shard.readDefinitions();
    const held = await shard.startRun(workflow, { h: true });
    return { ready, inBackoff, held };
  }

  test("with a row of every table, and nobody else's", async () => {
    const other = await TestShard.create(pool);
    await other.startRun(await other.register("report", { a: [] }));
    const { ready } = await work();
    await put(FILL, ready.task("a"));
    await copy();
    const { rows: tables } = await pool.query<{ name: string }>(ALL_TABLES);
    expect(tables.map(({ name }) => name)).toEqual(
      [...TENANT_TABLES.map(({ name }) => name), ...OTHER_TABLES].toSorted(),
    );
    for (const { name, rows } of TENANT_TABLES) {
      const count = `select count(*)::int as n from v1."${name}" t`;
      const [own] = await ask(from, `${count} where ${rows(`'${shard.tenant}'`)}`);
      expect(own?.["n"], name).toBeGreaterThan(0);
      expect(await ask(to, count), name).toEqual([own]);
    }
    expect(await compare()).toEqual([]);
    expect(await ask(to, "select 1 from v1.api_token")).toEqual([]);
    const buried = "select 1 from v1.message m join pgmq.q_dead q on q.msg_id = m.dead_id";
    expect(await ask(to, `${buried} and q.message->>'id' = m.id::text`)).toHaveLength(1);
  });

  test("and its shard goes on there with what was open", async () => {
    const { ready, inBackoff, held } = await work();
    await copy();
    expect(await nextTimer({ tenant: shard.tenant, from, to })).toBeInstanceOf(Date);
    const there = openPool({ databaseUrl: to });
    const moved = shard.in(there);
    const { epoch } = moved;
    await moved.recover();
    expect(moved.epoch).toBe(epoch + 1);
    expect((await moved.commit({ take: takes({ "report:a": 10 }) })).ready).toMatchObject([
      { id: ready.task("a") },
    ]);
    await resumeWorkflow(queryOf(there), moved.change("report"));
    await moved.readDefinitions();
    await moved.commit({ wakes: [woken(inBackoff.task("a"))], releases: [released(held.run)] });
    for (const step of ["a", "b"]) {
      const results = [ready, inBackoff, held].map((run) =>
        completed(run.task(step), step, run === inBackoff && step === "a" ? 2 : 1),
      );
      await moved.commit({ results });
    }
    for (const { run } of [ready, inBackoff, held]) {
      expect(await moved.run(run)).toMatchObject({ state: "completed" });
      expect(await shard.run(run)).not.toMatchObject({ state: "completed" });
    }
    await expectSound(moved);
    await expectSound(shard);
  });

  test("and what the two don't have alike is found", async () => {
    const { ready } = await work();
    await copy();
    await ask(to, "update v1.task_output set output = '3' where output = 'null'");
    expect(await compare()).toEqual([{ table: "task_output", from: 2, to: 2 }]);
    await shard.recover(); // somebody woke it meanwhile
    expect(await compare()).toContainEqual({ table: "shard", from: 1, to: 1 });
    await shard.commit({ results: [completed(ready.task("a"))] });
    expect(await compare()).toContainEqual({ table: "task_output", from: 3, to: 2 });
  });

  test("not while something of it could change, and nothing is copied then", async () => {
    const { ready } = await work();
    await shard.commit({ started: [begun(ready.task("a"))] });
    await put([TOKEN, SCHEDULE, MESSAGE]);
    await expect(copy()).rejects.toThrow(
      /not at rest.*1 tokens.*revoke.*1 schedules.*disable.*1 messages.*1 tasks that run/s,
    );
    expect(await ask(to, "select 1 from v1.tenant")).toEqual([]);
  });

  test("not twice, not to another version, not one that isn't there", async () => {
    await copy();
    await expect(copy()).rejects.toThrow(/has the tenant already/);
    await ask(to, "update v1.applied_function set checksum = 'older' where name = 'run_id.sql'");
    await expect(copy()).rejects.toThrow(/not at the same version.*migrate/);
    const nobody = { from, to: from };
    await expect(copyTenant({ ...nobody, tenant: newId() })).rejects.toThrow(/has no tenant/);
    await expect(copyTenant({ ...nobody, tenant: "acme" })).rejects.toThrow(/not a tenant's id/);
  });

  test("all of it or nothing", async () => {
    await work();
    await ask(to, "alter table v1.handout add constraint full_disk check (false)");
    await expect(copy()).rejects.toThrow(/full_disk/);
    expect(await ask(to, "select 1 from v1.tenant")).toEqual([]);
  });

  test("with months for which a new database has no room yet", async () => {
    await pool.query("select v1.ensure_partitions(to_timestamp($1 / 1000.0))", [LONG_AGO]);
    const { run } = await shard.startRun(workflow, { id: newRunId(LONG_AGO) });
    await copy();
    expect(await compare()).toEqual([]);
    expect(await ask(to, "select id from v1.workflow_run")).toEqual([{ id: run }]);
  });
});
