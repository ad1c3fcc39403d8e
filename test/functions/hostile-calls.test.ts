/**
 * Every function that the application's role may call, with every lie about runs that have finished: their history
 * stays as it is, row for row. A function that is added is tried as well.
 */
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { migrate } from "../../migrations/migrate.ts";
import { taskId } from "../../protocol/ids.ts";
import { freshDatabase } from "./fresh-database.ts";
import { cancelled, completed, failed, met, retried, waiting } from "./rows.ts";
import { openPool, type Registered, TestShard } from "./support.ts";

/** Calls of one function: of more combinations of lies, so many are tried, spread over all. */
const MAX_CALLS = 150;

interface Callable {
  name: string;
  types: string[];
}

describe.each(inject("databases"))("what the application may call on $name", (database) => {
  let pool: pg.Pool;
  let client: pg.PoolClient;
  let shard: TestShard;
  let workflow: Registered;
  let event: string;
  const runs: string[] = [];
  const tasks: string[] = [];

  beforeAll(async () => {
    const databaseUrl = await freshDatabase(database);
    await migrate({ databaseUrl });
    pool = openPool({ databaseUrl });
    shard = await TestShard.create(pool);
    workflow = await shard.register(
      "trip",
      { a: { compensate: {} }, b: { parents: ["a"], waitFor: { event: "paid" } } },
      { onFailure: {}, events: ["asked"] },
    );
    const started = [1, 2, 3].map(() => shard.start(workflow));
    runs.push(...started.map(({ id }) => id));
    tasks.push(...runs.flatMap((run) => [0, 1, 2, 3].map((step) => taskId(run, step))));
    const [fine = "", broken = "", stopped = ""] = runs;
    const asked = shard.event("asked", { r: runs });
    event = asked.id;
    await shard.commit({
      events: [asked],
      starts: started.map((start) => ({ ...start, e: event })),
    });
    const line = { level: "info" as const, message: "as it was", at: 1 };
    await shard.commit({
      logs: runs.map((run) => ({ t: taskId(run, 0), a: 1, n: 0, l: [line] })),
      results: [retried(taskId(fine, 0), 1), failed(taskId(broken, 0))],
    });
    await shard.commit({
      results: [completed(taskId(fine, 0), "A", 2), completed(taskId(broken, 3))],
    });
    await shard.commit({ waits: [waiting(taskId(fine, 1))], cancels: [cancelled(stopped)] });
    const paid = shard.event("paid");
    await shard.commit({ events: [paid] });
    await shard.commit({ meets: [met(taskId(fine, 1), paid.id)] });
    await shard.commit({ results: [completed(taskId(fine, 1), "B")] });
    const open = await shard.rows("select from v1.workflow_run where finished_at is null");
    expect(open).toEqual([]);
    client = await pool.connect();
  });
  afterAll(() => client?.release());

  /** Every row of finished history, with the transaction that wrote it. */
  async function history(): Promise<unknown[]> {
    const ofTasks = (table: string, column: string): string =>
      `select '${table}' as name, xmin::text, t::text as row from v1.${table} t where v1.run_id(${column}) = any ($1)`;
    const parts = [
      ofTasks("workflow_run", "id"),
      ofTasks("task", "id"),
      ofTasks("child_run", "parent_id"),
      ...["task_attempt", "task_output", "task_wait", "log_line"].map((table) =>
        ofTasks(table, "task_id"),
      ),
      "select 'event', xmin::text, t::text from v1.event t where id = $2",
      "select 'filter_failure', xmin::text, t::text from v1.filter_failure t where event_id = $2",
      "select 'version', xmin::text, t::text from v1.workflow_version t where id = $3",
      "select 'dag', xmin::text, t::text from v1.dag t where version_id = $3",
    ];
    const text = `${parts.join("\nunion all ")}\norder by 1, 3`;
    return await shard.rows(text, [runs, event, workflow.version]);
  }

  /** What a caller could say of them, by the type of the argument. */
  function lies(type: string): unknown[] {
    const [run = "", broken = ""] = runs;
    const { tenant, epoch } = shard;
    const ids = {
      tenant,
      id: run,
      run,
      t: tasks[0],
      e: event,
      w: workflow.id,
      v: workflow.version,
    };
    const said = { p: "forged", m: {}, l: [], c: [], d: 0, o: "forged", x: true, q: true };
    const forged = { name: "trip", checksum: "forged", definition: {}, dag: [], body: "forged" };
    const row = {
      ...ids,
      ...said,
      ...forged,
      shard: 0,
      epoch,
      seq: 9_000,
      at: 1,
      a: 1,
      n: 1,
      s: "failed",
    };
    const parts = [
      ["results", "starts", "events", "cancels", "logs", "started"],
      ["spawns", "wakes", "releases", "waits", "meets", "elapses"],
    ].flat();
    const whole = { ...row, ...Object.fromEntries(parts.map((part) => [part, [row]])) };
    const known: Record<string, unknown[]> = {
      uuid: [shard.tenant, run, broken, tasks[0], event, workflow.id, workflow.version, null],
      "uuid[]": [runs, tasks, [event, workflow.version]],
      text: ["trip", "commands", "events", run, "run", "forged", null],
      "text[]": [["trip"], runs],
      jsonb: [JSON.stringify(row), JSON.stringify([row]), JSON.stringify(whole), "{}", "[]"],
      integer: [0, 1, -1, 2_147_483_647, null],
      bigint: [0, 1, "9223372036854775807"],
      "bigint[]": [[1, 2]],
      boolean: [true, false],
      "timestamp with time zone": ["1970-02-01", "2026-01-01", "2100-01-01"],
      "v1.pause_mode": ["hold", "drop"],
    };
    return known[type] ?? [null, "0", "{}"];
  }

  async function callables(): Promise<Callable[]> {
    return await shard.rows<Callable>(
      `select proname as name, array(select format_type(t.oid, null) from unnest(p.proargtypes) with ordinality a(oid, n)
                join pg_type t on t.oid = a.oid order by a.n) as types
         from pg_proc p where pronamespace = 'v1'::regnamespace
           and has_function_privilege('skein_application', p.oid, 'execute') order by 1`,
    );
  }

  /** Whether it ran to its end. */
  async function call({ name, types }: Callable, parameters: unknown[]): Promise<boolean> {
    const places = types.map((type, index) => `$${index + 1}::${type}`).join(", ");
    await client.query("begin");
    try {
      await client.query("set local role skein_application");
      await client.query(`select v1.${name}(${places})`, parameters);
      await client.query("commit");
      return true;
    } catch {
      await client.query("rollback"); // refused, which is as good
      return false;
    }
  }

  test("changes nothing that has finished, whatever it is told", async () => {
    const before = await history();
    expect(before.length).toBeGreaterThan(20);
    const functions = await callables();
    expect(functions.length).toBeGreaterThan(35);
    for (const callable of functions) {
      const choices = callable.types.map(lies);
      const combinations = choices.reduce((product, { length }) => product * length, 1);
      const step = Math.max(1, Math.floor(combinations / MAX_CALLS));
      for (let number = 0; number < combinations; number += step) {
        let rest = number;
        const parameters = choices.map((values) => {
          const value = values[rest % values.length];
          rest = Math.floor(rest / values.length);
          return value;
        });
        await call(callable, parameters);
      }
      expect(await history(), callable.name).toEqual(before);
    }
  }, 120_000);

  test("drops nothing of it, however often it is asked to, and however short the period", async () => {
    const before = await history();
    await pool.query("update v1.retention_look set looked_at = '-infinity'");
    expect(
      await call({ name: "put_retention", types: ["uuid", "integer"] }, [shard.tenant, 1]),
    ).toBe(true);
    for (const days of [0, -1, 3_651]) {
      expect(
        await call({ name: "put_retention", types: ["uuid", "integer"] }, [shard.tenant, days]),
      ).toBe(false);
    }
    for (let calls = 0; calls < 20; calls++) {
      expect(await call({ name: "drop_history", types: [] }, [])).toBe(true);
    }
    expect(await history()).toEqual(before);
  });
});
