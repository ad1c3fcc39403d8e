/**
 * Stored limits: each change has a number, shards hear of it with their next commit, and none is taken
 * away from a workflow that names it.
 */
import { describe, expect, inject, test } from "vitest";
import { deleteLimit, putLimit, readVersions } from "../../database/functions.ts";
import type { LimitsRow } from "../../database/definition-rows.ts";
import type { PutLimit } from "../../protocol/limit-bodies.ts";
import { MAX_STORED_LIMITS } from "../../protocol/limits.ts";
import { openPool, postgres, queryOf, TestShard, untilBlocked } from "./support.ts";

const FIVE: PutLimit = { concurrency: 5 };
const SIX: PutLimit = { concurrency: 6, description: "one more" };
const STEP = { a: [] };

/** What a definition says that names these limits. */
function using(...names: string[]): { limits: { limit: string }[] } {
  return { limits: names.map((limit) => ({ limit })) };
}

describe.each(inject("databases"))("stored limits on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  function put({ tenant }: TestShard, name: string, definition: PutLimit = FIVE) {
    return putLimit(query, tenant, name, definition, MAX_STORED_LIMITS);
  }

  /** As a shard of the tenant is told that knows none. */
  async function known(shard: TestShard): Promise<LimitsRow | undefined> {
    return (await shard.commit({ limits: -1 })).limits;
  }

  test("are stored, changed and deleted, each time with the next number", async () => {
    const shard = await TestShard.create(pool);
    const made = await put(shard, "api");
    expect(made).toMatchObject({ name: "api", definition: FIVE, created: true, version: 1 });
    expect(await put(shard, "api", SIX)).toMatchObject({ definition: SIX, created: false });
    expect(await put(shard, "other")).toMatchObject({ created: true });
    expect(await known(shard)).toEqual({
      version: 3,
      limits: [
        { name: "api", ...SIX },
        { name: "other", ...FIVE },
      ],
    });
    expect(await deleteLimit(query, shard.tenant, "api")).toEqual({
      deleted: true,
      usedBy: [],
      version: 4,
    });
    expect(await known(shard)).toMatchObject({
      version: 4,
      limits: [{ name: "other" }],
    });
  });

  test("stay as they are when the same is put again, or nothing is there to delete", async () => {
    const shard = await TestShard.create(pool);
    const made = await put(shard, "api");
    expect(await put(shard, "api")).toEqual({ ...made, created: false });
    expect(await deleteLimit(query, shard.tenant, "none")).toMatchObject({
      deleted: false,
      version: 1,
    });
    expect(await known(shard)).toMatchObject({ version: 1 });
  });

  test("are as many as a tenant may have, and those can still be changed", async () => {
    const shard = await TestShard.create(pool);
    await shard.rows(
      `insert into v1.limit (tenant_id, name, definition)
         select $1, 'l' || n, '{"concurrency": 5}' from generate_series(1, $2) n`,
      [shard.tenant, MAX_STORED_LIMITS],
    );
    expect(await put(shard, "one-more")).toBeUndefined();
    expect(await put(shard, "l1", SIX)).toMatchObject({ definition: SIX, created: false });
  });

  test("are told to a shard that knows others, with its commit and when it begins", async () => {
    const shard = await TestShard.create(pool);
    expect((await shard.commit({ limits: 0 })).limits).toBeUndefined();
    await put(shard, "api");
    const told = { version: 1, limits: [{ name: "api", ...FIVE }] };
    expect((await shard.commit({ limits: 0 })).limits).toEqual(told);
    expect((await shard.commit({ limits: 1 })).limits).toBeUndefined();
    expect((await shard.commit({})).limits).toBeUndefined();
    expect((await shard.recover()).limits).toEqual(told);
  });

  test("that are not there refuse the workflow that names them, of which nothing is stored", async () => {
    const shard = await TestShard.create(pool);
    await put(shard, "api");
    const registering = shard.register("w", STEP, using("api", "gpu", "cpu"));
    await expect(registering).rejects.toThrow(/No limits .*cpu/);
    const stored = await shard.rows("select from v1.workflow where tenant_id = $1", [shard.tenant]);
    expect(stored).toEqual([]);
    expect(shard.definitions).toBe(0);
  });

  test("of another tenant are not there, and not changed or deleted", async () => {
    const [shard, other] = [await TestShard.create(pool), await TestShard.create(pool)];
    await put(shard, "api");
    const registering = other.register("w", STEP, using("api"));
    await expect(registering).rejects.toThrow("No limits api");
    expect(await put(other, "api", SIX)).toMatchObject({ created: true });
    expect(await deleteLimit(query, other.tenant, "api")).toMatchObject({
      deleted: true,
      usedBy: [],
    });
    const kept = { version: 1, limits: [{ name: "api", ...FIVE }] };
    expect(await known(shard)).toEqual(kept);
    expect((await other.commit({ limits: 0 })).limits).toEqual({ version: 2, limits: [] });
  });

  test("that an active version names stay, and go when none does any more", async () => {
    const shard = await TestShard.create(pool);
    await put(shard, "api");
    await shard.register("second", STEP, using("api"));
    await shard.register("first", STEP, using("api"));
    const refused = await deleteLimit(query, shard.tenant, "api");
    expect(refused).toMatchObject({ deleted: false, usedBy: ["first", "second"] });
    expect(await known(shard)).toMatchObject({ version: 1 });
    for (const name of ["first", "second"]) await shard.register(name, { b: [] });
    expect(await deleteLimit(query, shard.tenant, "api")).toMatchObject({
      deleted: true,
      usedBy: [],
    });
    const again = shard.register("first", STEP, { ...using("api"), activate: "always" });
    await expect(again).rejects.toThrow("No limits api");
  });

  test("and what else dispatch is told are part of the version that a shard reads", async () => {
    const shard = await TestShard.create(pool);
    const said = { limits: [{ key: "input.customer" }], priority: 3 };
    const steps = { a: { slots: 2 } };
    const { version } = await shard.register("told", steps, { ...said, sticky: "soft" });
    const plain = await shard.register("plain", STEP);
    const read = await readVersions(query, shard.tenant, [version, plain.version]);
    expect(read.find(({ id }) => id === version)).toMatchObject({
      dispatch: said,
      steps: [{ dispatch: { slots: 2, sticky: "soft" } }],
    });
    expect(read.find(({ id }) => id === plain.version)).not.toHaveProperty("dispatch");
  });
});

describe.runIf(postgres)("a limit's deletion", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });
  const query = queryOf(pool);

  test("waits for a registration in flight, and sees that the limit is named", async () => {
    const shard = await TestShard.create(pool);
    await putLimit(query, shard.tenant, "api", FIVE, MAX_STORED_LIMITS);
    const flight = await pool.connect();
    try {
      await flight.query("begin");
      await shard.register("w", STEP, { sql: flight, ...using("api") });
      const deleting = deleteLimit(query, shard.tenant, "api");
      await untilBlocked(shard, flight);
      await flight.query("commit");
      expect(await deleting).toMatchObject({ deleted: false, usedBy: ["w"] });
    } finally {
      flight.release();
    }
  });
});
