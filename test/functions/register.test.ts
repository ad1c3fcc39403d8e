/**
 * Registering workflows: each different definition is one version, made once, and the active one
 * decides what starts. Repeating it must cost the database no write.
 */
import { describe, expect, inject, test } from "vitest";
import { readDefinitions, readVersions } from "../../database/functions.ts";
import { newId } from "../../protocol/ids.ts";
import { DEFAULT_BACKOFF } from "../../protocol/limits.ts";
import { openPool, postgres, queryOf, TestShard, untilBlocked } from "./support.ts";

const ONE = { a: [] };
const TWO = { a: [], b: ["a"] };

async function versions(shard: TestShard, name: string): Promise<Record<string, unknown>[]> {
  return await shard.rows(
    `select v.number, v.id = w.active_version_id as active from v1.workflow w
       join v1.workflow_version v on v.workflow_id = w.id
       where w.tenant_id = $1 and w.name = $2 order by v.number`,
    [shard.tenant, name],
  );
}

/** The row versions of everything a registration may write. */
async function rowVersions(shard: TestShard): Promise<Record<string, unknown>[]> {
  return await shard.rows(
    `select t.xmin::text as tenant, w.xmin::text as workflow, v.xmin::text as version, d.xmin::text as dag
       from v1.tenant t join v1.workflow w on w.tenant_id = t.id
       join v1.workflow_version v on v.workflow_id = w.id join v1.dag d on d.version_id = v.id
       where t.id = $1 order by v.number, d.step`,
    [shard.tenant],
  );
}

describe.each(inject("databases"))("registering a workflow on $name", (database) => {
  const pool = openPool(database);

  test("stores its steps and edges as version 1, and counts as a change of definitions", async () => {
    const shard = await TestShard.create(pool);
    const registered = await shard.register("diamond", {
      a: [],
      b: ["a"],
      c: ["a"],
      d: ["b", "c"],
    });
    expect(registered).toMatchObject({ number: 1, created: true });
    expect(shard.definitions).toBe(1);
    const rows = await shard.rows(
      "select name, action, parents, children, descendants from v1.dag where version_id = $1 order by step",
      [registered.version],
    );
    expect(rows).toEqual([
      { name: "a", action: "diamond:a", parents: [], children: [1, 2], descendants: [1, 2, 3] },
      { name: "b", action: "diamond:b", parents: [0], children: [3], descendants: [3] },
      { name: "c", action: "diamond:c", parents: [0], children: [3], descendants: [3] },
      { name: "d", action: "diamond:d", parents: [1, 2], children: [], descendants: [] },
    ]);
  });

  test("tells shards all that its steps say, and what undoes them and sees to failures", async () => {
    const shard = await TestShard.create(pool);
    const retry = { retries: 2, backoff: { initialMs: 1, factor: 2, maxMs: 3, jitter: 0 } };
    const { id, version } = await shard.register(
      "trip",
      {
        a: { compensate: { timeoutMs: 5_000 }, scheduleTimeoutMs: 30 * 86_400_000 },
        b: { parents: ["a"], ...retry, retryIf: "attempt < 2" },
      },
      { onFailure: { retries: 1 }, timeoutMs: 30 * 86_400_000 },
    );
    const [found] = await readVersions(queryOf(pool), shard.tenant, [version]);
    const common = { timeoutMs: 60_000, children: [] };
    const undo = { ...common, kind: "compensate", isRoot: false, timeoutMs: 5_000 };
    const last = { ...common, kind: "on_failure", isRoot: false };
    expect(found?.steps).toEqual([
      {
        ...common,
        name: "a",
        action: "trip:a",
        kind: "step",
        isRoot: true,
        children: [1],
        scheduleTimeoutMs: 30 * 86_400_000,
      },
      {
        ...common,
        name: "b",
        action: "trip:b",
        kind: "step",
        isRoot: false,
        retry: { ...retry, retryIf: "attempt < 2" },
      },
      { ...undo, name: "a:compensate", action: "trip:a:compensate" },
      {
        ...last,
        name: "on-failure",
        action: "trip:on-failure",
        retry: { retries: 1, backoff: DEFAULT_BACKOFF },
      },
    ]);
    expect(await readDefinitions(queryOf(pool), shard.tenant)).toMatchObject({
      workflows: [{ id, version, steps: 2, timeoutMs: 30 * 86_400_000 }],
    });
  });

  test("by code that knows of nothing but steps still makes steps", async () => {
    const shard = await TestShard.create(pool);
    const dag = [
      {
        step: 0,
        name: "a",
        action: "old:a",
        parents: [],
        children: [],
        descendants: [],
        timeout: 1,
      },
    ];
    const ids = { tenant: shard.tenant, workflow: newId(), version: newId() };
    const request = {
      ...ids,
      name: "old",
      checksum: "c",
      definition: { steps: [{ name: "a" }] },
      dag,
    };
    await shard.rows("select v1.register_workflow($1)", [JSON.stringify(request)]);
    const [found] = await readVersions(queryOf(pool), shard.tenant, [ids.version]);
    expect(found?.steps).toMatchObject([{ name: "a", kind: "step", isRoot: true }]);
  });

  test("ten thousand times makes one version and writes nothing after the first", async () => {
    const shard = await TestShard.create(pool);
    const first = await shard.register("same", TWO);
    const before = await rowVersions(shard);
    const [row] = await shard.rows<{ repeats: number; created: number; ids: string[] }>(
      `with again as materialized (
         select v1.register_workflow(jsonb_build_object('tenant', $1::text, 'name', $2::text,
                  'workflow', gen_random_uuid(), 'version', gen_random_uuid(), 'definition', '{}'::jsonb,
                  'dag', '[]'::jsonb, 'checksum', (select checksum from v1.workflow_version where id = $3))) as reply
           from generate_series(1, 10000))
       select count(*)::integer as repeats, count(*) filter (where (reply->>'created')::boolean)::integer as created,
              array_agg(distinct reply->'version'->>'id') as ids from again`,
      [shard.tenant, "same", first.version],
    );
    expect(row).toEqual({ repeats: 10_000, created: 0, ids: [first.version] });
    expect(await shard.register("same", TWO)).toMatchObject({ number: 1, created: false });
    expect(await rowVersions(shard)).toEqual(before);
    expect(shard.definitions).toBe(1);
  });

  test("anew with another definition makes the next version active", async () => {
    const shard = await TestShard.create(pool);
    const [first, second] = [await shard.register("w", ONE), await shard.register("w", TWO)];
    expect(second).toMatchObject({ id: first.id, number: 2, created: true });
    expect(shard.definitions).toBe(2);
    expect(await versions(shard, "w")).toEqual([
      { number: 1, active: false },
      { number: 2, active: true },
    ]);
  });

  test("with an older definition changes nothing: a worker that starts again undoes no activation", async () => {
    const shard = await TestShard.create(pool);
    const first = await shard.register("w", ONE);
    const second = await shard.register("w", TWO);
    const before = await rowVersions(shard);
    for (const activate of ["new", "never"] as const) {
      const again = await shard.register("w", ONE, { activate });
      expect(again).toMatchObject({ version: first.version, number: 1, created: false });
    }
    expect(await rowVersions(shard)).toEqual(before);
    expect(await shard.startRun(second)).toBeDefined();
  });

  test("with an older definition makes that version active if it is to, and refuses older starts", async () => {
    const shard = await TestShard.create(pool);
    const first = await shard.register("w", ONE);
    const start = shard.start(await shard.register("w", TWO));
    const again = await shard.register("w", ONE, { activate: "always" });
    expect(again).toMatchObject({ version: first.version, number: 1, created: false });
    expect(await versions(shard, "w")).toEqual([
      { number: 1, active: true },
      { number: 2, active: false },
    ]);
    expect((await shard.commit({ starts: [start] })).starts).toEqual({ [start.id]: "stale" });
  });

  test("anew without activating it leaves the active version, but a workflow has one from its first", async () => {
    const shard = await TestShard.create(pool);
    const start = shard.start(await shard.register("w", ONE, { activate: "never" }));
    expect(await shard.register("w", TWO, { activate: "never" })).toMatchObject({ number: 2 });
    expect(await versions(shard, "w")).toEqual([
      { number: 1, active: true },
      { number: 2, active: false },
    ]);
    expect((await shard.commit({ starts: [start] })).starts).toEqual({});
  });

  test("leaves runs of older versions on their own DAG", async () => {
    const shard = await TestShard.create(pool);
    const { run } = await shard.startRun(await shard.register("w", TWO));
    await shard.register("w", ONE);
    expect(await shard.states(run)).toEqual(["queued", "waiting"]);
  });

  test("of the same name in two tenants makes two workflows", async () => {
    const [one, two] = [await TestShard.create(pool), await TestShard.create(pool)];
    const [first, second] = [await one.register("w", ONE), await two.register("w", ONE)];
    expect(second).toMatchObject({ number: 1, created: true });
    expect(second.id).not.toBe(first.id);
    expect([one.definitions, two.definitions]).toEqual([1, 1]);
  });

  test("many times at once makes each version once, numbered without gaps", async () => {
    const shard = await TestShard.create(pool);
    const shapes = [ONE, TWO, { ...TWO, c: [] }];
    const registering = Array.from({ length: 12 }, (_, n) =>
      shard.register("w", shapes[n % 3] ?? ONE),
    );
    const created = (await Promise.all(registering)).filter((registered) => registered.created);
    expect(created.map(({ number }) => number).toSorted()).toEqual([1, 2, 3]);
    const found = await versions(shard, "w");
    expect(found.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(found.filter(({ active }) => active)).toHaveLength(1);
  });
});

describe.runIf(postgres)("registering while commits fly", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });

  test("waits for a commit that starts runs, and the next commit sees the change", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("w", ONE);
    const [first, second] = [shard.start(workflow), shard.start(workflow)];
    const flight = await pool.connect();
    try {
      await flight.query("begin");
      expect((await shard.commit({ starts: [first] }, flight)).starts).toEqual({});
      const registering = shard.register("w", TWO);
      await untilBlocked(shard, flight);
      await flight.query("commit");
      await registering;
      expect((await shard.commit({ starts: [second] })).starts).toEqual({ [second.id]: "stale" });
    } finally {
      flight.release();
    }
  });
});
