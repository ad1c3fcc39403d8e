/**
 * What has finished never changes, because the database does not let the application change it: here
 * the application's role tries, by every statement and by every function with every lie.
 */
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { CommitRequest, SpawnRow } from "../../database/rows.ts";
import { newId, newRunId, taskId } from "../../protocol/ids.ts";
import {
  abandoned,
  begun,
  cancelled,
  child,
  completed,
  expired,
  failed,
  lost,
  outOfTime,
  released,
  retried,
  spawned,
  timedOut,
  woken,
} from "./rows.ts";
import { openPool, type Registered, TestShard, takes } from "./support.ts";

const NOT_PERMITTED = "42501";

/** What the application calls; everything else is theirs to call. */
const ENTRIES = [
  "accept_events",
  "activate_version",
  "bury_messages",
  "busy_shards",
  "change_filter",
  "change_schedule",
  "claim_key",
  "close_shard",
  "commit",
  "delete_filter",
  "delete_import",
  "delete_limit",
  "delete_messages",
  "delete_notification",
  "delete_schedules",
  "delete_webhook",
  "drop_history",
  "end_notification",
  "end_promotion",
  "ensure_partitions",
  "fail_promotion",
  "forget_deleted_filters",
  "forget_ended_schedules",
  "forget_expired_keys",
  "hold_shard",
  "limit_users",
  "move_schedules",
  "open_messages",
  "open_shards",
  "overdue_clocks",
  "pause_workflow",
  "promote_version",
  "put_filters",
  "put_import",
  "put_limit",
  "put_notification",
  "put_retention",
  "put_schedules",
  "put_webhook",
  "read_active_version",
  "read_definitions",
  "read_due_schedules",
  "read_notification",
  "read_queue",
  "read_shards",
  "read_version",
  "read_versions",
  "read_webhook",
  "record_webhook_failure",
  "recover_shard",
  "register_workflow",
  "resend_messages",
  "resume_workflow",
  "set_shards",
  "settle_queue",
  "show_queue",
  "unfinished_runs",
  "waiting_messages",
];

/** Runs as its caller, and reads nothing but its arguments. */
const HARMLESS = ["first_id_at", "task_id"];

describe.each(inject("databases"))("the application's role on $name", (database) => {
  const pool = openPool(database);
  let client: pg.PoolClient;
  let shard: TestShard;
  let workflow: Registered;
  /** One run of each end, and all their tasks. */
  const runs: string[] = [];
  let tasks: string[] = [];

  beforeAll(async () => {
    shard = await TestShard.create(pool);
    workflow = await shard.register("trip", { a: { compensate: {} }, b: ["a"] }, { onFailure: {} });
    const started = [1, 2, 3].map(() => shard.start(workflow));
    const [fine, broken, stopped] = started.map(({ id }) => id);
    if (fine === undefined || broken === undefined || stopped === undefined) return;
    runs.push(fine, broken, stopped);
    const event = shard.event("trip:asked", { r: runs });
    await shard.commit({
      events: [event],
      starts: started.map((start) => ({ ...start, e: event.id })),
    });
    const line = { level: "info" as const, message: "as it was", at: 1 };
    const one = child("one", "trip");
    await shard.commit({
      logs: runs.map((run) => ({ t: taskId(run, 0), a: 1, n: 0, l: [line] })),
      results: [retried(taskId(fine, 0), 1), lost(taskId(broken, 0))],
      spawns: [spawned(taskId(fine, 0), [one])],
    });
    runs.push(one.id);
    await shard.commit({ cancels: [cancelled(stopped), cancelled(one.id)] });
    await shard.commit({
      results: [completed(taskId(fine, 0), "A", 2), completed(taskId(broken, 0), "A", 2)],
    });
    await shard.commit({ results: [completed(taskId(fine, 1), "B"), failed(taskId(broken, 1))] });
    await shard.commit({ results: [completed(taskId(broken, 2))] });
    await shard.commit({ results: [completed(taskId(broken, 3))] });
    tasks = (
      await shard.rows<{ id: string }>("select id from v1.task where v1.run_id(id) = any ($1)", [
        runs,
      ])
    ).map(({ id }) => id);
    const open = await shard.rows(
      "select from v1.workflow_run where finished_at is null and id = any ($1)",
      [runs],
    );
    expect(open).toEqual([]);
    client = await pool.connect();
  });
  afterAll(() => client?.release());

  /** Runs a statement as the application; says how it was refused. */
  async function attempt(text: string, parameters: unknown[] = []): Promise<string | undefined> {
    await client.query("begin");
    try {
      await client.query("set local role skein_application");
      await client.query(text, parameters);
      await client.query("commit");
      return undefined;
    } catch (error) {
      await client.query("rollback");
      return (error as pg.DatabaseError).code;
    }
  }

  /** Every row of finished history, with where and by whom it was written. */
  async function history(): Promise<unknown> {
    const ofTasks = (table: string, column = "task_id"): string =>
      `select '${table}' as name, xmin::text, ctid::text, t::text as row from v1.${table} t
         where v1.run_id(${column}) = any ($1)`;
    const text = [
      "select 'workflow_run' as name, xmin::text, ctid::text, t::text as row from v1.workflow_run t where id = any ($1)",
      ofTasks("task", "id"),
      ofTasks("task_attempt"),
      ofTasks("task_output"),
      ofTasks("log_line"),
      ofTasks("child_run", "parent_id"),
      `select 'event' as name, xmin::text, ctid::text, t::text from v1.event t where t.tenant_id = $2`,
      `select 'version' as name, xmin::text, ctid::text, t::text from v1.workflow_version t where t.id = $3`,
      `select 'dag' as name, xmin::text, ctid::text, t::text from v1.dag t where t.version_id = $3`,
    ].join("\nunion all ");
    const parameters = [runs, shard.tenant, workflow.version];
    return await shard.rows(`${text}\norder by 1, 4`, parameters);
  }

  async function names(text: string): Promise<string[]> {
    return (await shard.rows<{ name: string }>(text)).map(({ name }) => name);
  }

  test("makes a tenant in a jurisdiction, and never moves it to another", async () => {
    const insert = `insert into v1.tenant (id, name, location_hint, jurisdiction)
        values ($1, $2, 'weur', 'eu')`;
    expect(await attempt(insert, [newId(), `tenant-${newId()}`])).toBeUndefined();
    const change = "update v1.tenant set jurisdiction = null where id = $1";
    expect(await attempt(change, [shard.tenant])).toBe(NOT_PERMITTED);
  });

  test("writes to no table, in no way, but makes tenants and tokens and revokes those", async () => {
    const before = await history();
    const tables = await names(
      "select relname as name from pg_class where relnamespace = 'v1'::regnamespace and relkind in ('r', 'p')",
    );
    expect(tables.length).toBeGreaterThan(25);
    for (const table of tables) {
      const [column] = await names(
        `select attname as name from pg_attribute where attrelid = 'v1.${table}'::regclass and attnum = 1`,
      );
      for (const statement of [
        `update v1.${table} set ${column} = ${column}`,
        `delete from v1.${table}`,
        `truncate v1.${table}`,
        `insert into v1.${table} select * from v1.${table}`,
        `select from v1.${table} for update`,
        `lock v1.${table} in access exclusive mode`,
        `alter table v1.${table} add column mine text`,
        `alter table v1.${table} disable trigger all`,
        `create rule mine as on update to v1.${table} do instead nothing`,
        `drop table v1.${table} cascade`,
      ]) {
        const isLock = statement.includes("for update") && table === "api_token";
        if (isLock) continue; // what may be revoked may be locked
        expect({ statement, refused: await attempt(statement) }).toEqual({
          statement,
          refused: NOT_PERMITTED,
        });
      }
    }
    for (const statement of [
      "update v1.tenant set shards = 2",
      "update v1.api_token set hash = ''",
      "insert into v1.tenant (id, name, shards) values (gen_random_uuid(), 'mine', 9)",
      "create table v1.mine ()",
      "create function v1.mine() returns void language sql as ''",
      "alter function v1.commit(jsonb) security invoker",
      "drop schema v1 cascade",
    ]) {
      expect({ statement, refused: await attempt(statement) }).toEqual({
        statement,
        refused: NOT_PERMITTED,
      });
    }
    expect(await history()).toEqual(before);
  });

  test("reads what the API shows, and nothing of how shards work", async () => {
    for (const table of [
      "workflow_run",
      "task",
      "task_attempt",
      "log_line",
      "timer",
      "child_run",
      "limit",
      "queue_item", // a task's place in its line
      "message", // the dead, and how deep queues are
      "webhook_failure",
    ]) {
      expect(await attempt(`select * from v1."${table}" limit 1`)).toBeUndefined();
    }
    for (const table of ["handout", "shard", "idempotency", "applied_function", "webhook"]) {
      expect(await attempt(`select * from v1.${table} limit 1`)).toBe(NOT_PERMITTED);
    }
    expect(await attempt("select name, secret_count from v1.webhook")).toBeUndefined();
    for (const secrets of ["secrets", "cardinality(secrets)", "to_jsonb(w)", "w::text"]) {
      expect(await attempt(`select ${secrets} from v1.webhook w`)).toBe(NOT_PERMITTED);
    }
  });

  test("calls the functions that keep the rules, and none of those that they call", async () => {
    const callable = await names(
      `select proname as name from pg_proc where pronamespace = 'v1'::regnamespace
         and has_function_privilege('skein_application', oid, 'execute') order by 1`,
    );
    expect(callable).toEqual([...ENTRIES, ...HARMLESS].toSorted());
    const guarded = await names(
      `select proname as name from pg_proc where pronamespace = 'v1'::regnamespace and prosecdef
         and proconfig @> array['search_path=pg_catalog, pg_temp'] order by 1`,
    );
    expect(guarded).toEqual(ENTRIES);
    const { tenant } = shard;
    for (const [call, ...parameters] of [
      ["v1.complete_tasks($1, now(), $2)", tenant, "[]"],
      ["v1.cancel_runs($1, now(), $2)", tenant, "[]"],
      ["v1.unwind_runs(now(), $1)", runs],
      ["v1.reuse_tasks($1)", runs],
      ["v1.append_logs($1, $2)", tenant, "[]"],
      ["v1.run_id($1)", runs[0]],
    ] as [string, ...unknown[]][]) {
      expect({ call, refused: await attempt(`select ${call}`, parameters) }).toEqual({
        call,
        refused: NOT_PERMITTED,
      });
    }
  });

  test("changes nothing that has finished by any commit, true or false", async () => {
    const before = await history();
    const commit = async (parts: Partial<CommitRequest>): Promise<string | undefined> =>
      await attempt("select v1.commit($1::jsonb)", [JSON.stringify(shard.request(parts))]);
    const outcomes = [completed, failed, timedOut, lost, abandoned, expired];
    for (const number of [0, 1, 2, 3, 4]) {
      for (const ending of outcomes) {
        const results = tasks.map((task) => ({ ...ending(task), a: number }));
        expect(await commit({ results, carried: tasks })).toBeUndefined();
      }
      const next = tasks.map((task) => retried(task, 1, number));
      expect(await commit({ results: next })).toBeUndefined();
      expect(
        await commit({ started: tasks.map((task) => begun(task, number, 1)) }),
      ).toBeUndefined();
      const line = { level: "error" as const, message: "never said", at: 1 };
      const logs = tasks.map((t) => ({ t, a: number, n: 7, l: [line] }));
      expect(await commit({ logs })).toBeUndefined();
      const children: SpawnRow["c"] = [child(`new-${number}`, "trip"), child("one", "trip")];
      const spawns = tasks.map((task) => spawned(task, children, number));
      expect(await commit({ spawns })).toBeUndefined();
    }
    const leases = tasks.map((t) => ({ t, a: 1, w: "liar", b: 1 }));
    for (const cancels of [
      runs.map((run) => cancelled(run, leases)),
      runs.map((run) => outOfTime(run, leases)),
    ]) {
      expect(await commit({ cancels })).toBeUndefined();
    }
    expect(await commit({ wakes: tasks.map(woken), releases: runs.map(released) })).toBeUndefined();
    const request = { take: takes({ "trip:a": 9 }), expired: 9, settled: [1, 2, 3], agenda: 9 };
    expect(await commit(request)).toBeUndefined();
    expect(await history()).toEqual(before);
  });

  test("changes nothing that has finished by starts under its ids", async () => {
    const before = await history();
    const commit = async (parts: Partial<CommitRequest>): Promise<string | undefined> =>
      await attempt("select v1.commit($1::jsonb)", [JSON.stringify(shard.request(parts))]);
    const [fine = "", broken = ""] = runs;
    const other = await shard.register("other", { x: [], y: [], z: [], u: [], v: [] });
    const replay = { ro: fine, ru: [0, 1], n: 1 };
    for (const id of [
      fine,
      broken,
      tasks[0] ?? "",
      taskId(fine, 40),
      newRunId().replace(/....$/, "0007"),
    ]) {
      await commit({ starts: [shard.start(other, { id })] });
      await commit({ starts: [shard.start(workflow, { id, ...replay })] });
      await commit({ starts: [shard.start(workflow, { id, h: true, u: 1 })] });
    }
    const intruder = await TestShard.create(pool);
    const theirs = await intruder.register("theirs", { x: [] });
    const foreign = intruder.start(theirs, { id: fine });
    await attempt("select v1.commit($1::jsonb)", [
      JSON.stringify(
        intruder.request({ starts: [foreign], cancels: runs.map((run) => cancelled(run)) }),
      ),
    ]);
    expect(await history()).toEqual(before);
  });

  test("changes no version and no DAG by registering, and no history by recovering", async () => {
    const before = await history();
    const { tenant } = shard;
    const dag = [
      {
        step: 0,
        name: "a",
        action: "mine",
        parents: [],
        children: [],
        descendants: [],
        timeout: 1,
      },
    ];
    const definition = { steps: [] };
    const forged = { tenant, name: "trip", checksum: "forged", definition, dag };
    const ids = { workflow: workflow.id, version: workflow.version };
    const register = "select v1.register_workflow($1::jsonb)";
    expect(await attempt(register, [JSON.stringify({ ...forged, ...ids })])).toBeDefined();
    const elsewhere = { ...forged, ...ids, tenant: newId() };
    expect(await attempt(register, [JSON.stringify(elsewhere)])).toBeDefined();
    const fresh = { ...forged, workflow: newId(), version: newId() };
    expect(await attempt(register, [JSON.stringify(fresh)])).toBeUndefined();

    const leases = tasks.map((t) => ({ t, a: 1 }));
    for (const epoch of [0, 1, 99]) {
      const request = { tenant, shard: 0, epoch, at: 1, leases, agenda: 9 };
      const recover = "select v1.recover_shard($1::jsonb)";
      expect(await attempt(recover, [JSON.stringify(request)])).toBeUndefined();
    }
    await attempt("select v1.forget_expired_keys('2100-01-01')");
    expect(await history()).toEqual(before);
  });

  test("has all that making a tenant and its tokens needs", async () => {
    const [id, token] = [newId(), newId()];
    const made =
      "insert into v1.tenant (id, name) values ($1, $2) on conflict (name) do nothing returning id, name, created_at";
    expect(await attempt(made, [id, `made-${id}`])).toBeUndefined();
    const given = `insert into v1.api_token (id, tenant_id, name, prefix, hash)
                     select $1, t.id, 'n', 'p', $3 from v1.tenant t where t.id = $2 returning id`;
    expect(await attempt(given, [token, id, `\\x${token.replaceAll("-", "")}`])).toBeUndefined();
    const revoked =
      "update v1.api_token set revoked_at = now() where tenant_id = $1 and id = $2 and revoked_at is null";
    expect(await attempt(revoked, [id, token])).toBeUndefined();
  });
});
