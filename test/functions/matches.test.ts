/**
 * Runs that events may concern: what a run waits for stands beside it until it ends, an event that finds
 * such runs has a timer, and the shard is given exactly those that may be meant, page by page.
 */
import { describe, expect, inject, test } from "vitest";
import type { EventRow } from "../../database/rows.ts";
import type { CandidateRow, MatchPage, MatchRow } from "../../database/match-rows.ts";
import type { CancelOn } from "../../protocol/http.ts";
import type { Json } from "../../protocol/json.ts";
import { cancelled, child, completed, failed, outOfTime, released, spawned } from "./rows.ts";
import { openPool, type Registered, TestShard } from "./support.ts";

const AT = 1_800_000_000_000;
const BY_ID: CancelOn = { event: "order:cancelled", if: "event.payload.id == input.id" };
const ALL: CancelOn = { event: "shop:closed" };
/** As the edge Worker knows them of the definitions. */
const PATHS = [{ p: ["payload", "id"] }];
const NO_PATH = [{ p: [] }];

describe.each(inject("databases"))("what runs wait for on $name", (database) => {
  const pool = openPool(database);

  async function orders(
    shard: TestShard,
    cancelOn: CancelOn[] = [BY_ID, ALL],
    rest: { timeoutMs?: number } = {},
  ): Promise<Registered> {
    return await shard.register("order", { a: [] }, { cancelOn, ...rest });
  }

  async function waiting(shard: TestShard): Promise<unknown[]> {
    const rows = await shard.rows<{ run_id: string; number: number }>(
      "select run_id, number from v1.match where tenant_id = $1 order by run_id, number",
      [shard.tenant],
    );
    return rows.map(({ run_id: run, number }) => [run, number]);
  }

  const cancelOrder = (shard: TestShard, id: Json, parts: Partial<EventRow> = {}): EventRow =>
    shard.event("order:cancelled", { p: { id }, c: PATHS, ...parts });

  /** All pages of an event, of so many rows each. */
  async function read(
    shard: TestShard,
    e: string,
    part: Partial<MatchRow> = {},
  ): Promise<MatchPage> {
    const { matches } = await shard.commit({ matches: [{ e, l: 100, b: 2 ** 20, ...part }] });
    const [page] = matches ?? [];
    if (page === undefined) throw new Error(`There is no event ${e}`);
    return page;
  }

  const runsOf = ({ runs }: MatchPage): string[] => runs.map(({ r }) => r);

  test("definitions tell which events cancel, also runs of versions that are active no more", async () => {
    const shard = await TestShard.create(pool);
    await orders(shard);
    await shard.register("order", { a: [] });
    await shard.register("other", { a: [] }, { cancelOn: [ALL, ALL] });
    const [row] = await shard.rows<{ read: { awaited: { event: string }[]; workflows: object[] } }>(
      "select v1.read_definitions($1) as read",
      [shard.tenant],
    );
    expect(row?.read.awaited.toSorted((a, b) => (a.event < b.event ? -1 : 1))).toEqual([
      { event: "order:cancelled", path: ["payload", "id"] },
      { event: "shop:closed", path: [] },
    ]);
    const { workflows = [] } = row?.read ?? {};
    expect(workflows.find((each) => "name" in each && each.name === "other")).toMatchObject({
      cancelOn: true,
    });
    expect(workflows.find((each) => "name" in each && each.name === "order")).not.toHaveProperty(
      "cancelOn",
    );
  });

  test("it is written down when they start, also held ones and children, and only of those", async () => {
    const shard = await TestShard.create(pool);
    const plain = await shard.startRun(await shard.register("plain", { a: [] }));
    const workflow = await orders(shard);
    const { run } = await shard.startRun(workflow, { i: { id: 1 } });
    const held = await shard.startRun(workflow, { i: { id: 1 }, h: true });
    const one = child("one", "order", { input: { id: 2 } });
    await shard.commit({ spawns: [spawned(plain.task("a"), [one])] });
    const each = [run, held.run, one.id].toSorted();
    expect(await waiting(shard)).toEqual(
      each.flatMap((id) => [
        [id, 1],
        [id, 2],
      ]),
    );
    await shard.commit({ releases: [released(held.run)] });
    expect(await waiting(shard)).toHaveLength(6);
  });

  test("a replay waits as its version does, a start that is refused or repeated does not again", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await orders(shard);
    const original = await shard.startRun(workflow, { i: { id: 1 } });
    await shard.commit({ results: [completed(original.task("a"))] });
    expect(await waiting(shard)).toEqual([]);
    const replay = shard.start(workflow, { i: { id: 1 }, ro: original.run });
    const stale = shard.start(workflow, { i: { id: 1 }, d: 0 });
    const request = shard.request({ starts: [replay, stale] });
    await shard.send(request);
    await shard.send(request);
    expect(await waiting(shard)).toEqual([
      [replay.id, 1],
      [replay.id, 2],
    ]);
  });

  test.each(["completed", "failed", "cancelled", "out of time"])(
    "it goes when the run is %s",
    async (end) => {
      const shard = await TestShard.create(pool);
      const workflow = await orders(shard, [BY_ID, ALL], { timeoutMs: 1_000 });
      const { run, task } = await shard.startRun(workflow, { i: { id: 1 } });
      const other = await shard.startRun(workflow, { i: { id: 1 } });
      await shard.commit(
        end === "completed"
          ? { results: [completed(task("a"))] }
          : end === "failed"
            ? { results: [failed(task("a"))] }
            : { cancels: [end === "cancelled" ? cancelled(run) : outOfTime(run)] },
      );
      expect(await waiting(shard)).toEqual([
        [other.run, 1],
        [other.run, 2],
      ]);
    },
  );

  test("it stays while a failed run is unwinding, for it can still be cancelled", async () => {
    const shard = await TestShard.create(pool);
    const steps = { a: { compensate: {} }, b: ["a"] };
    const workflow = await shard.register("order", steps, { cancelOn: [ALL] });
    const { run, task } = await shard.startRun(workflow);
    await shard.commit({ results: [completed(task("a"))] });
    await shard.commit({ results: [failed(task("b"))] });
    expect(await waiting(shard)).toEqual([[run, 1]]);
    await shard.commit({ results: [completed(task("a:compensate"))] });
    expect(await waiting(shard)).toEqual([]);
  });

  test("an event that finds runs has a timer, once, until they have been seen to", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await orders(shard);
    await shard.startRun(workflow, { i: { id: 7 } });
    const event = cancelOrder(shard, 7);
    const request = shard.request({ at: AT, events: [event] });
    const timers = [{ id: event.id, k: "match", d: AT }];
    for (const _ of [1, 2]) expect((await shard.send(request)).timers).toEqual(timers);
    expect((await shard.commit({ agenda: 5 })).agenda).toEqual(timers);
    expect((await shard.recover()).agenda).toEqual(timers);
    await shard.commit({ matched: [{ e: event.id }] });
    expect(await shard.timers()).toEqual([]);
    const { epoch } = shard;
    expect((await shard.send({ ...request, epoch, seq: 99 })).timers).toEqual([]);
    expect(await shard.timers()).toEqual([]);
  });

  test("an event that finds none has no timer: another key, value, tenant, or nothing asked", async () => {
    const [shard, other] = [await TestShard.create(pool), await TestShard.create(pool)];
    const workflow = await orders(shard);
    const early = cancelOrder(shard, 7);
    await shard.startRun(workflow, { i: { id: 7 } });
    const events = [
      early,
      cancelOrder(shard, 8),
      cancelOrder(shard, "7"),
      cancelOrder(shard, null),
      shard.event("order:cancelled", { p: 7, c: PATHS }),
      shard.event("order:cancel", { p: { id: 7 }, c: PATHS }),
      shard.event("order:cancelled", { p: { id: 7 } }),
      cancelOrder(shard, 7, { d: 0 }),
    ];
    expect((await shard.commit({ events })).timers ?? []).toEqual([]);
    await other.readDefinitions();
    await other.commit({ events: [cancelOrder(other, 7)] });
    expect([await shard.timers(), await other.timers()]).toEqual([[], []]);
  });

  test("an event published again under its key has no second timer", async () => {
    const shard = await TestShard.create(pool);
    await shard.startRun(await orders(shard), { i: { id: 7 } });
    const [first, again] = [cancelOrder(shard, 7, { ik: "k" }), cancelOrder(shard, 7, { ik: "k" })];
    await shard.commit({ events: [first] });
    await shard.commit({ events: [again] });
    expect((await shard.timers()).map(({ id }) => id)).toEqual([first.id]);
  });

  test("a run that starts in the same commit is found by events after it, and not by its own", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await orders(shard);
    const own = cancelOrder(shard, 7);
    const start = shard.start(workflow, { i: { id: 7 }, e: own.id });
    const next = cancelOrder(shard, 7);
    await shard.commit({ events: [{ ...own, r: [start.id] }, next], starts: [start] });
    expect((await shard.timers()).map(({ id }) => id)).toEqual([next.id]);
    expect(runsOf(await read(shard, next.id))).toEqual([start.id]);
    expect(runsOf(await read(shard, own.id))).toEqual([]);
  });

  test("each shard that has such runs has a timer of its own", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await orders(shard);
    await shard.startRun(workflow, { i: { id: 7 } });
    await shard.rows("insert into v1.shard values ($1, 1, 1), ($1, 2, 1)", [shard.tenant]);
    await shard.rows(
      `insert into v1.match select tenant_id, 1, event_key, equality, v1.task_id(run_id, 7), number, kind, condition
         from v1.match where tenant_id = $1`,
      [shard.tenant],
    );
    const event = cancelOrder(shard, 7);
    expect((await shard.commit({ events: [event] })).timers).toHaveLength(1);
    expect(await shard.timers()).toHaveLength(2);
    await shard.commit({ matched: [{ e: event.id }] });
    expect(await shard.timers()).toHaveLength(1);
  });

  test("a shard is given the event, and of each run its condition, input and metadata", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await orders(shard);
    const { run } = await shard.startRun(workflow, { i: { id: 7, n: null }, m: { customer: "x" } });
    await shard.startRun(workflow, { i: { id: 8 } });
    const event = cancelOrder(shard, 7, { m: { by: "hand" } });
    await shard.commit({ events: [event] });
    const found: CandidateRow = {
      r: run,
      n: 1,
      c: "event.payload.id == input.id",
      i: { id: 7, n: null },
      m: { customer: "x" },
    };
    expect(await read(shard, event.id)).toEqual({
      e: event.id,
      k: "order:cancelled",
      p: { id: 7 },
      m: { by: "hand" },
      runs: [found],
      more: false,
    });
    const other = await TestShard.create(pool);
    const asked = [event.id, run].map((e) => ({ e, l: 9, b: 99 }));
    expect((await other.commit({ matches: asked })).matches).toEqual([]);
  });

  test("equal is what CEL calls equal, whatever it is", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await orders(shard);
    const values: Json[] = [0, -0, 1.5, 1e21, "", "0", true, null, [1, "x"], { b: 1, a: [2] }, "é"];
    const runs = await Promise.all(values.map((id) => shard.startRun(workflow, { i: { id } })));
    const none = await shard.startRun(workflow, { i: {} });
    const same: Json[] = [-0, 0, 1.5, 1e21, "", "0", true, null, [1, "x"], { a: [2], b: 1 }, "é"];
    for (const [index, id] of same.entries()) {
      const event = cancelOrder(shard, id);
      await shard.commit({ events: [event] });
      const found = runsOf(await read(shard, event.id));
      expect(found).toContain(runs[index]?.run);
      expect(found).toHaveLength(index < 2 ? 2 : 1);
      expect(found).not.toContain(none.run);
    }
  });

  test("conditions that need no equality, or another one, are found as well", async () => {
    const shard = await TestShard.create(pool);
    const loose = await shard.register(
      "loose",
      { a: [] },
      { cancelOn: [{ ...BY_ID, if: "true" }] },
    );
    const byCustomer = { ...BY_ID, if: "metadata.customer == event.metadata.customer" };
    const other = await shard.register("other", { a: [] }, { cancelOn: [byCustomer, BY_ID] });
    const one = await shard.startRun(loose, { i: { id: 1 } });
    const two = await shard.startRun(other, { i: { id: 7 }, m: { customer: "x" } });
    const three = await shard.startRun(other, { i: { id: 7 }, m: { customer: "y" } });
    const c = [...PATHS, ...NO_PATH, { p: ["metadata", "customer"] }];
    const event = cancelOrder(shard, 7, { m: { customer: "x" }, c });
    await shard.commit({ events: [event] });
    const { runs } = await read(shard, event.id);
    expect(runs.map(({ r, n }) => [r, n])).toEqual([
      [one.run, 1],
      [two.run, 1],
      [two.run, 2],
      [three.run, 2],
    ]);
  });

  test("many are read page by page, by number and by bytes, each once", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await orders(shard, [ALL, ALL]);
    const starts = Array.from({ length: 40 }, (_, n) => shard.start(workflow, { i: { n } }));
    await shard.commit({ starts });
    const event = shard.event("shop:closed", { c: NO_PATH });
    await shard.commit({ events: [event] });
    const all = starts.flatMap(({ id }) => [
      [id, 1],
      [id, 2],
    ]);
    for (const size of [{ l: 7 }, { l: 80 }, { b: 100 }, { b: 1 }]) {
      const seen: unknown[] = [];
      let after: Partial<MatchRow> = {};
      for (;;) {
        const { runs, more } = await read(shard, event.id, { ...after, ...size });
        seen.push(...runs.map(({ r, n }) => [r, n]));
        const last = runs.at(-1);
        if (!more || last === undefined) break;
        after = { r: last.r, n: last.n };
      }
      expect(seen).toEqual(all);
    }
  });
});
