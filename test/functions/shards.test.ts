/** How many shards a tenant has, and when one that takes no more runs is closed. */
import type pg from "pg";
import { describe, expect, inject, test } from "vitest";
import { closeShard, holdShard, openShards, readShards, setShards } from "../../database/shards.ts";
import type { Query } from "../../database/connect.ts";
import { newId } from "../../protocol/ids.ts";
import type { ShardMap } from "../../protocol/shard-map.ts";
import { expectSound } from "./invariants.ts";
import { completed } from "./rows.ts";
import { openPool, postgres, queryOf, TestShard, untilBlocked } from "./support.ts";

const FAR = Date.now() + 86_400_000;

/** Gives the tenant so many shards, of which new ones are opened first. */
async function resize(query: Query, tenant: string, count: number): Promise<ShardMap | undefined> {
  await openShards(query, tenant, count);
  return await setShards(query, tenant, count);
}

describe.each(inject("databases"))("the shards of a tenant on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  /** A tenant whose second shard drains. */
  async function draining(): Promise<{ first: TestShard; last: TestShard; version: number }> {
    const first = await TestShard.create(pool);
    await resize(query, first.tenant, 2);
    const last = await first.another(1);
    const { version = 0 } = (await setShards(query, first.tenant, 1)) ?? {};
    return { first, last, version };
  }

  const close = (shard: TestShard, epoch = shard.epoch): Promise<ShardMap | undefined> =>
    closeShard(query, { tenant: shard.tenant, shard: shard.shard, epoch }, Date.now());

  async function isBusy({ tenant, shard }: TestShard): Promise<boolean> {
    const [row] = await query("select v1.busy_shards() as busy", []);
    const busy = (row?.["busy"] ?? []) as { tenant: string; shard: number }[];
    return busy.some((each) => each.tenant === tenant && each.shard === shard);
  }

  test("are more or fewer, and each change has a number", async () => {
    const { tenant } = await TestShard.create(pool);
    expect(await readShards(query, tenant)).toEqual({
      version: 1,
      since: 1,
      count: 1,
      draining: [],
    });
    const three = { version: 3, since: 3, count: 3, draining: [] };
    expect(await resize(query, tenant, 3)).toEqual(three);
    expect(await resize(query, tenant, 3)).toEqual(three); // it changes nothing again
    const one = { version: 4, since: 4, count: 1, draining: [1, 2] };
    expect(await setShards(query, tenant, 1)).toEqual(one);
    expect(await readShards(query, tenant)).toEqual(one);
    expect(await setShards(query, tenant, 2)).toMatchObject({ count: 2, draining: [2] });
    expect(await setShards(query, newId(), 2)).toBeUndefined();
  });

  test("are opened before they take runs, and close if nothing comes of it", async () => {
    const first = await TestShard.create(pool);
    const { tenant } = first;
    const workflow = await first.register("one", { a: [] });
    const start = first.start(workflow);
    const opened = { version: 2, since: 1, count: 1, draining: [1, 2] };
    expect(await openShards(query, tenant, 3)).toEqual(opened);
    expect(await openShards(query, tenant, 3)).toEqual(opened); // it changes nothing again
    expect(await openShards(query, tenant, 2)).toEqual(opened);
    expect(await openShards(query, tenant, 1)).toEqual(opened);
    // What was placed before is still right, and what is opened needs no life for the clock to find it.
    expect((await first.commit({ starts: [start] })).starts).not.toEqual({ [start.id]: "stale" });
    const last = { tenant, shard: 2 } as TestShard;
    expect(await isBusy(last)).toBe(true);
    const [second, third] = [await first.another(1), await first.another(2)];
    expect(await readShards(query, tenant)).toEqual(opened);
    expect(await close(second)).toMatchObject({ version: 3, count: 1, draining: [2] });
    expect(await close(third)).toEqual({ version: 4, since: 1, count: 1, draining: [] });
    expect(await openShards(query, tenant, 3)).toEqual({ ...opened, version: 5 });
    const three = { version: 6, since: 6, count: 3, draining: [] };
    expect(await setShards(query, tenant, 3)).toEqual(three);
    expect(await openShards(query, tenant, 3)).toEqual(three);
    expect(await openShards(query, newId(), 2)).toBeUndefined();
  });

  test("are opened only as many as a tenant may have", async () => {
    const { tenant } = await TestShard.create(pool);
    for (const count of [0, 1_025]) {
      await expect(openShards(query, tenant, count)).rejects.toThrow(/1 to 1024 shards/);
    }
    expect(await readShards(query, tenant)).toMatchObject({ version: 1, draining: [] });
  });

  test("are no more than are open, whoever has opened them before", async () => {
    const { first, last } = await draining();
    expect(await setShards(query, first.tenant, 3)).toMatchObject({ count: 1, draining: [1] });
    await openShards(query, first.tenant, 3);
    const closed = await close(last);
    expect(await setShards(query, first.tenant, 3)).toEqual(closed);
    expect(closed).toMatchObject({ count: 1, draining: [2] });
    expect(await resize(query, first.tenant, 3)).toMatchObject({ count: 3, draining: [] });
    expect(await setShards(query, first.tenant, 4)).toMatchObject({ count: 3 });
  });

  test("make stale whatever was placed by the number before", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const start = shard.start(workflow);
    await resize(query, shard.tenant, 2);
    expect((await shard.commit({ starts: [start] })).starts).toEqual({ [start.id]: "stale" });
  });

  test("are closed when they have nothing left, once", async () => {
    const { first, last, version } = await draining();
    expect(await close(first)).toBeUndefined();
    expect(await close(last, last.epoch - 1)).toBeUndefined();
    const closed = { version: version + 1, since: version, count: 1, draining: [] };
    expect(await close(last)).toEqual(closed);
    expect(await close(last)).toEqual(closed); // its answer may have been lost
    expect(await isBusy(last)).toBe(false);
    expect((await first.commit({ map: version })).map).toEqual(closed);
  });

  test("that are closed open again when they are needed again", async () => {
    const { last } = await draining();
    await close(last);
    expect(await resize(query, last.tenant, 2)).toMatchObject({ count: 2, draining: [] });
    expect(await close(last)).toBeUndefined();
    const workflow = await last.register("one", { a: [] });
    await last.startRun(workflow);
    expect(await setShards(query, last.tenant, 1)).toMatchObject({ count: 1, draining: [1] });
  });

  describe("stay open while they have", () => {
    test("a task in hand", async () => {
      const { last } = await draining();
      const { task } = await last.startRun(await last.register("one", { a: [] }));
      expect(await close(last)).toBeUndefined();
      await last.commit({ results: [completed(task("a"))], settled: [last.lastSeq] });
      expect(await close(last)).toBeDefined();
    });

    test("a task in the queue, also when another shard has put it there", async () => {
      const { first, last } = await draining();
      const workflow = await first.register("one", { a: [] });
      await first.commit({ starts: [first.start(workflow, { sh: 1 })] });
      expect(await close(last)).toBeUndefined();
      expect(await isBusy(last)).toBe(true);
    });

    test("a run that begins later, or is held", async () => {
      for (const later of [{ at: FAR }, { h: true }]) {
        const { last } = await draining();
        await last.startRun(await last.register("one", { a: [] }), later);
        expect(await close(last)).toBeUndefined();
        expect(await isBusy(last)).toBe(false); // it sleeps meanwhile
        await expectSound(last);
      }
    });

    test("a run that waits for an event, for ever, whatever else others wait for", async () => {
      const { first, last } = await draining();
      const event = (name: string) => ({ waitFor: { event: name } });
      const wait = async (shard: TestShard, name: string): Promise<void> => {
        const workflow = await shard.register(`wait-${name}`, { a: event(name) });
        const { run, task } = await shard.startRun(workflow);
        await shard.commit({ waits: [{ t: task("a"), r: run }], settled: [shard.lastSeq] });
        await shard.commit({ settles: [{ t: task("a"), r: run, f: true }] });
      };
      for (const name of ["a", "c", "d"]) await wait(first, name);
      expect(await close(last)).toBeDefined();
      await resize(query, last.tenant, 2);
      for (const name of ["b", "c"]) {
        await wait(last, name);
        await setShards(query, last.tenant, 1);
        expect(await close(last)).toBeUndefined();
        expect(await isBusy(last)).toBe(false);
        await last.commit({ cancels: await unfinished(last) });
        expect(await close(last)).toBeDefined();
        await resize(query, last.tenant, 2);
      }
    });

    test("attempts of which nobody knows any more", async () => {
      const { last } = await draining();
      await query("update v1.shard set unknown_until = v1.moment($2) where tenant_id = $1", [
        last.tenant,
        FAR,
      ]);
      expect(await close(last)).toBeUndefined();
      expect(await isBusy(last)).toBe(false);
      const { tenant, epoch } = last;
      expect(await closeShard(query, { tenant, shard: 1, epoch }, FAR)).toBeDefined();
    });
  });

  async function unfinished(shard: TestShard) {
    const text = `select id from v1.workflow_run
      where tenant_id = $1 and shard = $2 and state in ('queued', 'running')`;
    const rows = await shard.rows<{ id: string }>(text, [shard.tenant, shard.shard]);
    const e = { code: "cancelled", name: "Cancelled", message: "" } as const;
    return rows.map(({ id: r }) => ({ r, e, l: [] }));
  }

  test("are called once a minute while they could be closed and are not", async () => {
    const { first, last } = await draining();
    expect(await isBusy(first)).toBe(false);
    expect(await isBusy(last)).toBe(true);
  });

  test("are not called before the moment until which they keep something, as this life has said", async () => {
    const { last } = await draining();
    const { tenant, shard, epoch } = last;
    await holdShard(query, { tenant, shard, epoch: epoch - 1 }, FAR);
    expect(await isBusy(last)).toBe(true);
    await holdShard(query, { tenant, shard, epoch }, FAR);
    expect(await isBusy(last)).toBe(false);
    await holdShard(query, { tenant, shard, epoch }, Date.now() - 1);
    expect(await isBusy(last)).toBe(true);
    await holdShard(query, { tenant, shard, epoch }, FAR);
    await last.recover(); // the next life says it again, if it is still so
    expect(await isBusy(last)).toBe(true);
  });
});

describe.runIf(postgres)("a shard that drains", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });
  const query = queryOf(pool);

  const close = ({ tenant, shard, epoch }: TestShard): Promise<ShardMap | undefined> =>
    closeShard(query, { tenant, shard, epoch }, Date.now());

  /** What is done within a transaction, and what meanwhile: begun, and awaited once it is over. */
  async function during(
    inside: (flight: pg.PoolClient) => Promise<unknown>,
    meanwhile: (flight: pg.PoolClient) => Promise<() => Promise<void>>,
  ): Promise<void> {
    const flight = await pool.connect();
    try {
      await flight.query("begin");
      await inside(flight);
      const end = await meanwhile(flight);
      await flight.query("commit");
      await end();
    } finally {
      flight.release();
    }
  }

  test("is not closed while another shard is starting a run for it", async () => {
    const first = await TestShard.create(pool);
    await resize(query, first.tenant, 2);
    const last = await first.another(1);
    const workflow = await first.register("one", { a: [] });
    const starts = [first.start(workflow, { sh: 1 })];
    await during(
      (flight) => first.commit({ starts }, flight),
      async (flight) => {
        const lowering = setShards(query, first.tenant, 1);
        await untilBlocked(first, flight);
        const closing = close(last);
        return async () => {
          expect(await lowering).toMatchObject({ draining: [1] });
          expect(await closing).toBeUndefined();
        };
      },
    );
    expect(await close(last)).toBeUndefined();
    expect(await last.queued()).toHaveLength(1);
  });

  test("is not closed while it is about to take runs again", async () => {
    const first = await TestShard.create(pool);
    await resize(query, first.tenant, 2);
    const last = await first.another(1);
    await setShards(query, first.tenant, 1);
    await during(
      (flight) => resize(queryOf(flight), first.tenant, 2),
      async (flight) => {
        const closing = close(last);
        await untilBlocked(first, flight);
        return async () => expect(await closing).toBeUndefined();
      },
    );
    const text = "select closed_at from v1.shard where tenant_id = $1 and number = 1";
    expect(await query(text, [first.tenant])).toEqual([{ closed_at: null }]);
  });
});
