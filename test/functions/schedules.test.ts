/** Schedules in Postgres: what is stored, what is due, and that each tick starts its runs once. */
import { describe, expect, inject, test } from "vitest";
import type { DueScheduleRow, MoveRow, PutScheduleRow } from "../../database/schedule-rows.ts";
import {
  changeSchedule,
  deleteSchedules,
  moveSchedules,
  putSchedules,
  readDueSchedules,
} from "../../database/schedules.ts";
import { AT, BOUNDS, HOUR, PAGE, row } from "./schedule-rows.ts";
import {
  openPool,
  postgres,
  queryOf,
  type Registered,
  type Sql,
  TestShard,
  untilBlocked,
} from "./support.ts";

describe.each(inject("databases"))("schedules on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  async function setUp(): Promise<{ shard: TestShard; workflow: Registered }> {
    const shard = await TestShard.create(pool);
    return { shard, workflow: await shard.register("report", { write: [] }) };
  }

  async function stored(shard: TestShard, parts: Partial<PutScheduleRow> = {}): Promise<string> {
    const asked = row("report", parts);
    const reply = await putSchedules(query, shard.tenant, [asked], BOUNDS);
    expect(reply).toEqual({ schedules: [{ id: asked.id, created: true }] });
    return asked.id;
  }

  async function dueAt(shard: TestShard, at: number): Promise<DueScheduleRow[]> {
    return (await readDueSchedules(query, shard.tenant, { at, ...PAGE })).due;
  }

  async function scheduleRow(shard: TestShard, id: string): Promise<Record<string, unknown>> {
    const [found] = await shard.rows("select * from v1.schedule where id = $1", [id]);
    return found ?? {};
  }

  /** The start of a run at a tick, and the schedule's move to the next. */
  function tickOf(shard: TestShard, workflow: Registered, { id: s, revision: v }: DueScheduleRow) {
    const tick = AT + HOUR;
    const start = shard.start(workflow, { sc: s, tk: tick });
    const next = { n: tick + HOUR, d: tick + HOUR };
    const move: MoveRow = {
      s,
      v,
      u: tick,
      ...next,
      l: tick,
      lr: start.id,
      g: start.d,
      r: [start.id],
    };
    return { starts: [start], ticks: [move], run: start.id };
  }

  test("are due at their time, the longest first, as many as fit", async () => {
    const { shard } = await setUp();
    const later = await stored(shard, { d: AT + 2 * HOUR });
    const sooner = await stored(shard);
    const off = await stored(shard, { e: false, nt: undefined, d: undefined });
    const { due, next } = await readDueSchedules(query, shard.tenant, { at: AT, ...PAGE });
    expect([due, next]).toEqual([[], AT + HOUR]);
    expect((await dueAt(shard, AT + HOUR)).map(({ id }) => id)).toEqual([sooner]);
    const all = await dueAt(shard, AT + 9 * HOUR);
    expect(all.map(({ id }) => id)).toEqual([sooner, later]);
    expect(all[0]).toMatchObject({
      workflow: "report",
      paused: null,
      cron: "0 * * * *",
      timezone: "UTC",
      at: null,
      seenUntil: AT,
      input: { to: "acme" },
      isPreviousUnfinished: false,
      revision: 0,
    });
    for (const page of [
      { limit: 1, bytes: 1_000_000 },
      { limit: 100, bytes: 1 },
    ]) {
      const reply = await readDueSchedules(query, shard.tenant, { at: AT + 9 * HOUR, ...page });
      expect(reply.due.map(({ id }) => id)).toEqual([sooner]);
    }
    expect(await scheduleRow(shard, off)).toMatchObject({ due_at: null, is_enabled: false });
  });

  test("start a run and move on in one commit, and a repeat of it changes nothing", async () => {
    const { shard, workflow } = await setUp();
    const id = await stored(shard);
    const [due] = await dueAt(shard, AT + HOUR);
    if (due === undefined) throw new Error("Nothing is due");
    const { run, ...parts } = tickOf(shard, workflow, due);
    const request = shard.request(parts);
    const first = await shard.send(request);
    expect(first.starts).toEqual({});
    const moved = await scheduleRow(shard, id);
    expect(moved).toMatchObject({
      revision: "1",
      due_at: new Date(AT + 2 * HOUR),
      next_tick: new Date(AT + 2 * HOUR),
      seen_until: new Date(AT + HOUR),
      last_tick: new Date(AT + HOUR),
      last_run_id: run,
      ended_at: null,
    });
    const before = await shard.picture();
    expect(await shard.send(request)).toMatchObject({ starts: {}, known: [run], repeated: true });
    expect(await scheduleRow(shard, id)).toEqual(moved);
    expect(await shard.picture()).toEqual(before);
    const [again] = await dueAt(shard, AT + 2 * HOUR);
    expect(again).toMatchObject({ isPreviousUnfinished: true, lastRun: run });
  });

  test("that another has moved on start nothing, and whatever else is in the commit lands", async () => {
    const { shard, workflow } = await setUp();
    const id = await stored(shard);
    const [due] = await dueAt(shard, AT + HOUR);
    if (due === undefined) throw new Error("Nothing is due");
    await shard.commit(tickOf(shard, workflow, due));
    const { run, ...late } = tickOf(shard, workflow, due);
    const beside = shard.start(workflow);
    const reply = await shard.commit({ ...late, starts: [...late.starts, beside] });
    expect(reply.starts).toEqual({ [run]: "moved" });
    expect([await shard.hasRun(run), await shard.hasRun(beside.id)]).toEqual([false, true]);
    expect(await scheduleRow(shard, id)).toMatchObject({ revision: "1" });
  });

  test("that two clocks move in one commit start the runs of one of them", async () => {
    const { shard, workflow } = await setUp();
    await stored(shard);
    const [due] = await dueAt(shard, AT + HOUR);
    if (due === undefined) throw new Error("Nothing is due");
    const [first, second] = [tickOf(shard, workflow, due), tickOf(shard, workflow, due)];
    const request = shard.request({
      starts: [...first.starts, ...second.starts],
      ticks: [...first.ticks, ...second.ticks],
    });
    const reply = await shard.send(request);
    expect(reply.starts).toEqual({ [second.run]: "moved" });
    expect((await shard.send(request)).starts).toEqual(reply.starts);
    expect([await shard.hasRun(first.run), await shard.hasRun(second.run)]).toEqual([true, false]);
  });

  test("stay where they are when their run was resolved by older definitions", async () => {
    const { shard, workflow } = await setUp();
    const id = await stored(shard);
    const [due] = await dueAt(shard, AT + HOUR);
    if (due === undefined) throw new Error("Nothing is due");
    const { run, ...parts } = tickOf(shard, workflow, due);
    await shard.register("other", { a: [] });
    expect((await shard.commit(parts)).starts).toEqual({ [run]: "stale" });
    expect(await scheduleRow(shard, id)).toMatchObject({ revision: "0" });
    expect(await shard.hasRun(run)).toBe(false);
  });

  test("of another tenant are not moved", async () => {
    const { shard, workflow } = await setUp();
    const { shard: other } = await setUp();
    const id = await stored(other);
    const [due] = await dueAt(other, AT + HOUR);
    if (due === undefined) throw new Error("Nothing is due");
    const { run, ...parts } = tickOf(shard, workflow, due);
    expect((await shard.commit(parts)).starts).toEqual({ [run]: "moved" });
    await moveSchedules(query, shard.tenant, AT, [{ s: id, v: 0, u: AT }]);
    expect(await scheduleRow(other, id)).toMatchObject({ revision: "0" });
    expect(await changeSchedule(query, shard.tenant, { id, revision: 0 }, { e: false })).toBe(
      "moved",
    );
    expect(await deleteSchedules(query, shard.tenant, [id])).toEqual([]);
    expect(await dueAt(shard, AT + 9 * HOUR)).toEqual([]);
  });

  test("count what was skipped and missed, and are over when nothing follows", async () => {
    const { shard } = await setUp();
    const id = await stored(shard);
    const moves = { s: id, u: AT + HOUR, k: 2, kt: AT + HOUR, m: 3 };
    await moveSchedules(query, shard.tenant, AT, [{ ...moves, v: 0, n: AT + HOUR, d: AT + HOUR }]);
    await moveSchedules(query, shard.tenant, AT, [{ ...moves, v: 0 }]); // an old revision
    expect(await scheduleRow(shard, id)).toMatchObject({
      skipped: "2",
      missed: "3",
      last_skipped_tick: new Date(AT + HOUR),
      ended_at: null,
    });
    await moveSchedules(query, shard.tenant, AT, [{ ...moves, v: 1 }]);
    expect(await scheduleRow(shard, id)).toMatchObject({ ended_at: new Date(AT), due_at: null });
    const forget = (at: number) =>
      shard.rows("select v1.forget_ended_schedules($1)", [new Date(at)]);
    await forget(AT + 6 * 24 * HOUR);
    expect(await scheduleRow(shard, id)).toMatchObject({ id });
    await forget(AT + 8 * 24 * HOUR);
    expect(await scheduleRow(shard, id)).toEqual({});
  });

  test("are overdue to the minute's duty once their time has come", async () => {
    const { shard } = await setUp();
    const overdue = async () => (await shard.rows("select v1.overdue_clocks() as ids"))[0]?.["ids"];
    await stored(shard);
    expect(await overdue()).not.toContain(shard.tenant);
    await stored(shard, { d: AT - 1 });
    expect(await overdue()).toContain(shard.tenant);
  });

  describe("when they are stored", () => {
    test("are known by their idempotency key, and by their name", async () => {
      const { shard } = await setUp();
      const put = (...rows: PutScheduleRow[]) => putSchedules(query, shard.tenant, rows, BOUNDS);
      const first = row("report", { k: "key", n: "morning" });
      expect(await put(first)).toEqual({ schedules: [{ id: first.id, created: true }] });
      const again = row("report", { k: "key", n: "morning" });
      const other = row("report");
      expect(await put(again, other)).toEqual({
        schedules: [
          { id: first.id, created: false },
          { id: other.id, created: true },
        ],
      });
      expect(await put(row("report", { n: "morning" }))).toEqual({ taken: ["morning"] });
      const twice = [row("report", { n: "noon" }), row("report", { n: "noon" })];
      expect(await put(...twice)).toEqual({ taken: ["noon"] });
      expect(await put(row("report"), row("none"))).toEqual({ unknownWorkflows: ["none"] });
      expect(await dueAt(shard, AT + HOUR)).toHaveLength(2);
    });

    test("are as many crons as may be, and any number that come once", async () => {
      const { shard } = await setUp();
      const bounds = { mostCrons: 2, at: AT };
      const put = (...rows: PutScheduleRow[]) => putSchedules(query, shard.tenant, rows, bounds);
      expect(await put(row("report"), row("report"), row("report"))).toEqual({ tooMany: true });
      expect(await put(row("report"), row("report"))).toMatchObject({ schedules: [{}, {}] });
      expect(await put(row("report"))).toEqual({ tooMany: true });
      const once = { c: undefined, z: undefined, a: AT };
      const many = Array.from({ length: 5 }, () => row("report", once));
      expect(await put(...many)).toMatchObject({ schedules: [{}, {}, {}, {}, {}] });
    });
  });

  test("are changed only as they were read", async () => {
    const { shard } = await setUp();
    const id = await stored(shard, { n: "one", pr: 3 });
    await stored(shard, { n: "two" });
    const change = (revision: number, what: object) =>
      changeSchedule(query, shard.tenant, { id, revision }, what);
    expect(await change(0, { n: "two" })).toBe("exists");
    expect(await change(0, { i: 7, o: "skip" })).toBeUndefined();
    expect(await change(0, { i: 8 })).toBe("moved");
    const times = { due_at: new Date(AT + HOUR), revision: "1" };
    expect(await scheduleRow(shard, id)).toMatchObject({ input: 7, overlap: "skip", ...times });
    expect(await change(1, { n: null, pr: null, e: false, u: AT + 1 })).toBeUndefined();
    expect(await scheduleRow(shard, id)).toMatchObject({
      name: null,
      priority: null,
      is_enabled: false,
      due_at: null,
      next_tick: null,
      seen_until: new Date(AT + 1),
    });
  });
});

/** Only where connections run at the same time. */
describe.runIf(postgres)("two clocks for one tick", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });
  const query = queryOf(pool);

  test("make one run, whichever commits first", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("report", { write: [] });
    await putSchedules(query, shard.tenant, [row("report")], BOUNDS);
    const { due } = await readDueSchedules(query, shard.tenant, { at: AT + HOUR, ...PAGE });
    const [schedule] = due;
    if (schedule === undefined) throw new Error("Nothing is due");
    const commit = (run: string, sql: Sql) => {
      const move = { s: schedule.id, v: 0, u: AT + HOUR, n: AT + 2 * HOUR, d: AT + 2 * HOUR };
      const ticks = [{ ...move, g: shard.definitions, r: [run] }];
      const starts = [shard.start(workflow, { id: run, sc: schedule.id, tk: AT + HOUR })];
      return shard.commit({ starts, ticks }, sql);
    };
    const [first, second] = [shard.start(workflow).id, shard.start(workflow).id];
    const client = await pool.connect();
    try {
      await client.query("begin");
      expect((await commit(first, client)).starts).toEqual({});
      const waiting = commit(second, pool);
      await untilBlocked(shard, client);
      await client.query("commit");
      expect((await waiting).starts).toEqual({ [second]: "moved" });
    } finally {
      client.release();
    }
    const runs = await shard.rows("select id from v1.workflow_run where schedule_id = $1", [
      schedule.id,
    ]);
    expect(runs).toEqual([{ id: first }]);
  });
});
