/**
 * Stored filters: each change has a number, an isolate reads what is newer than what it knows, and a
 * commit that was matched against what was before is refused.
 */
import { describe, expect, inject, test } from "vitest";
import {
  changeFilter,
  deleteFilter,
  putFilters,
  type PutFilterRow,
  readDefinitions,
} from "../../database/functions.ts";
import { newId } from "../../protocol/ids.ts";
import { openPool, postgres, queryOf, TestShard, untilBlocked } from "./support.ts";

const STEP = { a: [] };
const PLENTY = { filters: 100, bytes: 10_000 };

function row(expression: string, rest: Partial<PutFilterRow> = {}): PutFilterRow {
  const empty = { w: "order", s: null, p: null, q: [] };
  return { id: newId(), ...empty, x: expression, ...rest };
}

describe.each(inject("databases"))("stored filters on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  async function begin(): Promise<TestShard> {
    const shard = await TestShard.create(pool);
    await shard.register("order", STEP);
    return shard;
  }

  const put = (shard: TestShard, rows: PutFilterRow[], most = PLENTY) =>
    putFilters(query, shard.tenant, rows, most);
  const known = (shard: TestShard, since?: number) => readDefinitions(query, shard.tenant, since);

  test("are stored, changed and deleted, each time with the next number of definitions", async () => {
    const shard = await begin();
    const before = shard.definitions;
    const filter = row("true", { s: "acme", p: { n: 1 }, q: [{ path: ["input"], keys: ["n1"] }] });
    expect(await put(shard, [filter])).toEqual({ filters: [{ id: filter.id, created: true }] });
    const all = await known(shard);
    expect(all).toMatchObject({
      version: before + 1,
      areAllFilters: true,
      filters: [
        {
          id: filter.id,
          scope: "acme",
          expression: "true",
          payload: { n: 1 },
          equalities: filter.q,
        },
      ],
    });
    expect(all?.filters[0]?.workflow).toBe(all?.workflows[0]?.id);

    const change = { s: null, x: "false", q: [] };
    expect(await changeFilter(query, shard.tenant, filter.id, change, 1_000)).toBeUndefined();
    const changed = await known(shard);
    expect(changed?.version).toBe(before + 2);
    expect(changed?.filters).toEqual([
      {
        id: filter.id,
        workflow: all?.workflows[0]?.id,
        expression: "false",
        payload: { n: 1 },
        equalities: [],
      },
    ]);
    expect(await deleteFilter(query, shard.tenant, filter.id)).toBe(true);
    expect(await known(shard)).toMatchObject({ version: before + 3, filters: [] });
    expect(await deleteFilter(query, shard.tenant, filter.id)).toBe(false);
    expect(await known(shard)).toMatchObject({ version: before + 3 });
  });

  test("are told to who knows older ones: what has changed, and what is gone", async () => {
    const shard = await begin();
    const [stays, changes, goes] = [row("1 == 1"), row("2 == 2"), row("3 == 3")];
    await put(shard, [stays, changes, goes]);
    const since = (await known(shard))?.version;
    await changeFilter(query, shard.tenant, changes.id, { p: 7 }, 1_000);
    await deleteFilter(query, shard.tenant, goes.id);
    expect(await known(shard, since)).toMatchObject({
      areAllFilters: false,
      filters: [{ id: changes.id, payload: 7 }],
      deletedFilters: [goes.id],
    });
    const latest = (await known(shard))?.version;
    expect(await known(shard, latest)).toMatchObject({ filters: [], deletedFilters: [] });
  });

  test("are all told to who knows nothing newer than what is forgotten", async () => {
    const shard = await begin();
    const [stays, goes] = [row("1 == 1"), row("2 == 2")];
    await put(shard, [stays, goes]);
    const since = (await known(shard))?.version;
    await deleteFilter(query, shard.tenant, goes.id);
    await shard.rows(
      "update v1.deleted_filter set deleted_at = now() - interval '2 hours' where tenant_id = $1",
      [shard.tenant],
    );
    expect(await known(shard, since)).toMatchObject({ areAllFilters: false });
    await shard.rows("select v1.forget_deleted_filters()");
    const left = "select from v1.deleted_filter where tenant_id = $1";
    expect(await shard.rows(left, [shard.tenant])).toEqual([]);
    expect(await known(shard, since)).toMatchObject({
      areAllFilters: true,
      filters: [{ id: stays.id }],
    });
    expect(await known(shard, (since ?? 0) + 1)).toMatchObject({ areAllFilters: false });
  });

  test("are there once, however often the same is stored, alone or within one call", async () => {
    const shard = await begin();
    const [first, same, other] = [
      row("true", { p: 1 }),
      row("true", { p: 1 }),
      row("true", { p: 2 }),
    ];
    expect(await put(shard, [first, same, other])).toEqual({
      filters: [
        { id: first.id, created: true },
        { id: first.id, created: false },
        { id: other.id, created: true },
      ],
    });
    const version = (await known(shard))?.version;
    expect(await put(shard, [row("true", { p: 1 })])).toEqual({
      filters: [{ id: first.id, created: false }],
    });
    expect((await known(shard))?.version).toBe(version);
    expect(await changeFilter(query, shard.tenant, other.id, { p: 1 }, 1_000)).toBe("exists");
    expect((await known(shard))?.version).toBe(version);
  });

  test("are of a workflow that there is, and all or none", async () => {
    const shard = await begin();
    const reply = await put(shard, [row("true"), row("true", { w: "none" })]);
    expect(reply).toEqual({ unknownWorkflows: ["none"] });
    expect(await known(shard)).toMatchObject({ filters: [] });
  });

  test("are as many, and as large, as a tenant may have", async () => {
    const shard = await begin();
    const long = row("9 == 9", { p: "x".repeat(100) });
    const most = { filters: 2, bytes: 200 };
    await put(shard, [row("1 == 1"), long], most);
    expect(await put(shard, [row("2 == 2")], most)).toEqual({ tooMany: "filters" });
    expect(await put(shard, [row("1 == 1")], most)).toMatchObject({
      filters: [{ created: false }],
    });
    const larger = { p: "x".repeat(300) };
    expect(await changeFilter(query, shard.tenant, long.id, larger, 200)).toBe("bytes");
    await deleteFilter(query, shard.tenant, long.id);
    expect(await put(shard, [row("3 == 3", { p: "x".repeat(200) })], most)).toEqual({
      tooMany: "bytes",
    });
    expect(await put(shard, [row("3 == 3", { p: "x".repeat(150) })], most)).toMatchObject({
      filters: [{ created: true }],
    });
  });

  test("are no other tenant's to see, to change or to delete", async () => {
    const [shard, other] = [await begin(), await begin()];
    const filter = row("true");
    await put(shard, [filter]);
    expect(await known(other)).toMatchObject({ filters: [] });
    expect(await changeFilter(query, other.tenant, filter.id, { x: "false" }, 1_000)).toBe(
      "unknown",
    );
    expect(await deleteFilter(query, other.tenant, filter.id)).toBe(false);
    expect(await known(shard)).toMatchObject({ filters: [{ expression: "true" }] });
  });

  test("refuse the event that was matched before they changed, and no other of its batch", async () => {
    const shard = await begin();
    const [stale, fresh] = [newId(), newId()];
    const event = { k: "order:placed", p: null, m: {}, r: [] };
    const before = shard.definitions;
    await put(shard, [row("true")]);
    const reply = await shard.commit({
      events: [
        { ...event, id: stale, d: before },
        { ...event, id: fresh, d: before + 1 },
      ],
    });
    expect(reply.events).toEqual({ [stale]: "stale" });
  });

  test("that could not be evaluated are recorded with their event, once", async () => {
    const shard = await begin();
    await shard.readDefinitions();
    const id = newId();
    const failure = { f: newId(), e: { code: "no_such_key" as const, message: "There is none." } };
    const event = { id, k: "a", s: "acme", p: null, m: {}, r: [], d: shard.definitions };
    const commit = { events: [{ ...event, f: [failure] }] };
    await shard.commit(commit);
    await shard.commit(commit);
    const rows = "select filter_id, error from v1.filter_failure where event_id = $1";
    expect(await shard.rows(rows, [id])).toEqual([{ filter_id: failure.f, error: failure.e }]);
    expect(await shard.rows("select scope from v1.event where id = $1", [id])).toEqual([
      { scope: "acme" },
    ]);
  });
});

describe.runIf(postgres)("a change of filters", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });

  test("waits for commits in flight that were matched before it", async () => {
    const shard = await TestShard.create(pool);
    await shard.register("order", STEP);
    const flight = await pool.connect();
    try {
      await flight.query("begin");
      const event = { id: newId(), k: "a", p: null, m: {}, r: [], d: shard.definitions };
      await shard.commit({ events: [event] }, flight);
      const storing = putFilters(queryOf(pool), shard.tenant, [row("true")], PLENTY);
      await untilBlocked(shard, flight);
      await flight.query("commit");
      expect(await storing).toMatchObject({ filters: [{ created: true }] });
    } finally {
      flight.release();
    }
  });
});
