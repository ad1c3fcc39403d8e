/**
 * What must happen once: keyed starts and events, and events with the runs they start. A commit
 * matched against older definitions is refused in that part, and only in that part.
 */
import { describe, expect, inject, test } from "vitest";
import { idsOf, openPool, postgres, taskOf, TestShard, untilBlocked } from "./support.ts";

const DAY_MS = 86_400_000;

describe.each(inject("databases"))("idempotency keys on $name", (database) => {
  const pool = openPool(database);

  test("a key starts one run of a batch; the others hear which", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const keyed = [1, 2, 3].map(() => shard.start(workflow, { k: "order-7" }));
    const free = shard.start(workflow);
    const [first, ...others] = keyed.map(({ id }) => id);
    const { starts } = await shard.commit({ starts: [...keyed.toReversed(), free] });
    expect(starts).toEqual(Object.fromEntries(others.map((id) => [id, first])));
    expect(await shard.hasRun(first ?? "")).toBe(true);
    for (const id of others) expect(await shard.hasRun(id)).toBe(false);
    expect(await shard.hasRun(free.id)).toBe(true);
    const held = [first ?? "", free.id].map((id) => taskOf(workflow, id, "a"));
    expect(await shard.handouts()).toEqual({ 1: held });
  });

  test("a key that had a run gives that run to a later batch", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [first, second] = [shard.start(workflow, { k: "k" }), shard.start(workflow, { k: "k" })];
    await shard.commit({ starts: [first] });
    expect((await shard.commit({ starts: [second] })).starts).toEqual({ [second.id]: first.id });
    expect(await shard.hasRun(second.id)).toBe(false);
    expect((await shard.commit({ starts: [first] })).starts).toEqual({});
  });

  test("a key is free again a day later, and not a moment before", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [first, early, late] = [1, 2, 3].map(() => shard.start(workflow, { k: "daily" }));
    if (!first || !early || !late) throw new Error("three starts");
    const at = Date.now();
    await shard.commit({ at, starts: [first] });
    const before = await shard.commit({ at: at + DAY_MS - 1, starts: [early] });
    expect(before.starts).toEqual({ [early.id]: first.id });
    expect((await shard.commit({ at: at + DAY_MS, starts: [late] })).starts).toEqual({});
    const next = shard.start(workflow, { k: "daily" });
    const after = await shard.commit({ at: at + DAY_MS + 1, starts: [next] });
    expect(after.starts).toEqual({ [next.id]: late.id });
  });

  test("a run's key, an event's key and another tenant's key are three keys", async () => {
    const [shard, other] = [await TestShard.create(pool), await TestShard.create(pool)];
    for (const each of [shard, other]) {
      const start = each.start(await each.register("one", { a: [] }), { k: "same" });
      const reply = await each.commit({
        starts: [start],
        events: [each.event("x", { ik: "same" })],
      });
      expect(reply).toMatchObject({ starts: {}, events: {} });
      expect(await each.hasRun(start.id)).toBe(true);
    }
  });

  test("forgetting takes keys whose day is over, and no other", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const keep = ["a", "b"].map((k) => shard.start(workflow, { k }));
    const old = ["c", "d"].map((k) => shard.start(workflow, { k }));
    const now = Date.now();
    await shard.commit({ at: now, starts: keep });
    await shard.commit({ at: now - 2 * DAY_MS, starts: old });
    await shard.rows("select v1.forget_expired_keys()");
    const left = await shard.rows(
      "select key from v1.idempotency where tenant_id = $1 order by key",
      [shard.tenant],
    );
    expect(left).toEqual([{ key: "a" }, { key: "b" }]);
  });
});

describe.each(inject("databases"))("events on $name", (database) => {
  const pool = openPool(database);

  test("an event is stored with the runs it started, in one commit", async () => {
    const shard = await TestShard.create(pool);
    const start = shard.start(await shard.register("one", { a: [] }));
    const event = shard.event("user:new", { p: { id: 7 }, m: { source: "web" }, r: [start.id] });
    const reply = await shard.commit({ events: [event], starts: [{ ...start, e: event.id }] });
    expect(reply).toMatchObject({ events: {}, starts: {} });
    const stored = await shard.rows("select * from v1.event where tenant_id = $1", [shard.tenant]);
    const { id, k: key, p: payload, m: metadata, r: runs } = event;
    expect(stored).toEqual([
      {
        id,
        tenant_id: shard.tenant,
        key,
        scope: null,
        payload,
        metadata,
        runs,
        replay_of: null,
        equalities: null,
      },
    ]);
    const [run] = await shard.rows("select event_id from v1.workflow_run where id = $1", [
      start.id,
    ]);
    expect(run).toEqual({ event_id: id });
  });

  test("an event published again under its key is stored once, and answers with its first runs", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const publish = (): {
      events: [ReturnType<TestShard["event"]>];
      starts: ReturnType<TestShard["start"]>[];
    } => {
      const start = shard.start(workflow);
      const event = shard.event("paid", { ik: "payment-1", r: [start.id] });
      return { events: [event], starts: [{ ...start, e: event.id }] };
    };
    const [first, again] = [publish(), publish()];
    await shard.commit(first);
    const { events, starts } = await shard.commit(again);
    const [{ id, r: runs }] = first.events;
    expect(events).toEqual({ [again.events[0].id]: { id, runs } });
    const unstarted = again.starts[0]?.id ?? "";
    expect(starts).toEqual({ [unstarted]: "stale" });
    expect(await shard.hasRun(unstarted)).toBe(false);
    expect(
      await shard.rows("select from v1.event where tenant_id = $1", [shard.tenant]),
    ).toHaveLength(1);
  });

  test("a key used twice in one batch stores the first event and answers the second with it", async () => {
    const shard = await TestShard.create(pool);
    const [first, second] = [shard.event("x", { ik: "k" }), shard.event("x", { ik: "k" })];
    const { events } = await shard.commit({ events: [second, first] });
    expect(events).toEqual({ [second.id]: { id: first.id, runs: [] } });
  });

  test("an event matched against older definitions is refused with its runs; the rest lands", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const [stale, fresh] = [shard.start(workflow), shard.start(workflow)];
    const old = shard.event("x", { d: shard.definitions - 1, ik: "k", r: [stale.id] });
    const current = shard.event("x", { r: [fresh.id] });
    const { events, starts } = await shard.commit({
      events: [old, current],
      starts: [
        { ...stale, e: old.id },
        { ...fresh, e: current.id },
      ],
    });
    expect(events).toEqual({ [old.id]: "stale" });
    expect(starts).toEqual({ [stale.id]: "stale" });
    expect([await shard.hasRun(stale.id), await shard.hasRun(fresh.id)]).toEqual([false, true]);
    const again = shard.event("x", { ik: "k" });
    expect((await shard.commit({ events: [again] })).events).toEqual({});
  });

  test("a start resolved against older definitions is refused alone, and its key stays free", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const { task } = await shard.startRun(workflow);
    const old = shard.start(workflow, { d: shard.definitions - 1, k: "k" });
    const start = shard.start(workflow);
    const { starts, ready, finished } = await shard.commit({
      starts: [old, start],
      results: [{ t: task("a"), r: task("a").slice(0, 32) + "0000", a: 1, s: "completed", o: 1 }],
    });
    expect(starts).toEqual({ [old.id]: "stale" });
    expect(finished).toHaveLength(1);
    expect(idsOf(ready)).toEqual([]);
    expect(await shard.hasRun(start.id)).toBe(true);
    const again = shard.start(workflow, { k: "k" });
    expect((await shard.commit({ starts: [again] })).starts).toEqual({});
  });
});

describe.runIf(postgres)("idempotency keys under concurrency", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });

  test("a key claimed on two connections at once goes to whichever commits", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    for (const [number, outcome] of (["commit", "rollback"] as const).entries()) {
      const [mine, yours] = [1, 2].map(() => shard.start(workflow, { k: `key-${number}` }));
      if (!mine || !yours) throw new Error("two starts");
      const client = await pool.connect();
      try {
        await client.query("begin");
        await shard.commit({ starts: [mine] }, client);
        const waiting = shard.commit({ starts: [yours] });
        await untilBlocked(shard, client);
        await client.query(outcome);
        const { starts } = await waiting;
        expect(starts).toEqual(outcome === "commit" ? { [yours.id]: mine.id } : {});
        expect(await shard.hasRun(yours.id)).toBe(outcome === "rollback");
      } finally {
        client.release();
      }
    }
  });
});
