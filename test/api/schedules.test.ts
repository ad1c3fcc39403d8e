/** Schedules over the API: stored, changed, listed, tried out, and refused with what is wrong. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { MAX_CRONS } from "../../protocol/limits.ts";
import type { CreatedSchedule, Schedule } from "../../protocol/schedule-bodies.ts";
import { createSchedule, readSchedule, runsOf } from "../support/schedules.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectNoTrace, expectProblem } from "./answers.ts";

useVirtualTime();

const HOUR = 3_600_000;
const NO_SCHEDULE = "0199f3a2-7c1e-7000-8a4b-5d6e7f8a0b0c";
const iso = (ms: number): string => new Date(ms).toISOString();
const later = (ms = HOUR): string => iso(Date.now() + ms);

let world: World;
beforeAll(async () => {
  world = await createWorld();
  await world.register({ name: "report", steps: [{ name: "write" }] });
});

async function list(query = ""): Promise<{ items: Schedule[]; nextCursor: string | null }> {
  return (await world.call<{ items: Schedule[]; nextCursor: null }>("GET", `/schedules${query}`))
    .body;
}

describe("a schedule", () => {
  test("of a cron is stored as it was asked for, with defaults and its next ticks", async () => {
    const asked = { cron: "30 9 * * MON-FRI", timezone: "Europe/Berlin" };
    const { created, ...schedule } = await createSchedule(world, asked);
    expect(created).toBe(true);
    expect(schedule).toEqual({
      ...asked,
      id: schedule.id,
      workflow: "report",
      name: null,
      kind: "cron",
      at: null,
      input: null,
      metadata: {},
      priority: null,
      overlap: "allow",
      catchUp: "last",
      catchUpLimit: 100,
      jitterMs: 0,
      isDeclared: false,
      isEnabled: true,
      nextTicks: [expect.any(String), expect.any(String), expect.any(String)],
      lastTick: null,
      lastRun: null,
      skipped: 0,
      lastSkippedTick: null,
      missed: 0,
      endedAt: null,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    });
    expect(await readSchedule(world, schedule.id)).toEqual(schedule);
  });

  test("of one run has its moment", async () => {
    const at = later();
    const once = {
      at,
      input: { a: 1 },
      metadata: { b: "c" },
      priority: 3,
      catchUp: "none",
    } as const;
    expect(await createSchedule(world, once)).toMatchObject({
      ...once,
      kind: "once",
      cron: null,
      timezone: null,
      nextTicks: [at],
    });
  });

  test("is created once for its idempotency key", async () => {
    const asked = { workflow: "report", cron: "@daily", idempotencyKey: "daily" };
    const first = await world.call<CreatedSchedule>("POST", "/schedules", asked);
    const again = await world.call<CreatedSchedule>("POST", "/schedules", asked);
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(first.headers.get("location")).toBe(`/api/v1/schedules/${first.body.id}`);
    expect(again.body).toEqual({ ...first.body, created: false });
  });

  test("that is disabled has no next tick until it is enabled", async () => {
    const { id, nextTicks } = await createSchedule(world, { cron: "@daily", isEnabled: false });
    expect(nextTicks).toEqual([]);
    const path = `/schedules/${id}`;
    const { body } = await world.call<Schedule>("PATCH", path, { isEnabled: true });
    expect(body).toMatchObject({ isEnabled: true, nextTicks: { length: 3 } });
    const off = await world.call<Schedule>("PATCH", path, { isEnabled: false });
    expect(off.body).toMatchObject({ isEnabled: false, nextTicks: [] });
  });

  test("is changed in what is given, and its ticks follow", async () => {
    const { id } = await createSchedule(world, { cron: "@daily", name: "old", priority: 1 });
    const change = { cron: "0 12 * * *", timezone: "Asia/Tokyo", name: null, priority: null };
    const { status, body } = await world.call<Schedule>("PATCH", `/schedules/${id}`, change);
    expect(status).toBe(200);
    expect(body).toMatchObject({ ...change, catchUp: "last" });
    expect(body.nextTicks[0]).toMatch(/T03:00:00.000Z$/);
    const input = await world.call<Schedule>("PATCH", `/schedules/${id}`, { input: [1] });
    expect(input.body).toMatchObject({ input: [1], nextTicks: body.nextTicks });
  });

  test("of one run is moved to another time", async () => {
    const { id } = await createSchedule(world, { at: later() });
    const at = later(2 * HOUR);
    const { body } = await world.call<Schedule>("PATCH", `/schedules/${id}`, { at });
    expect(body).toMatchObject({ at, nextTicks: [at] });
  });

  test("is deleted, and its runs stay", async () => {
    const { id } = await createSchedule(world, { cron: "@daily" });
    const run = await world.call<{ id: string }>("POST", `/schedules/${id}/trigger`);
    const { status, body } = await world.call("DELETE", `/schedules/${id}`);
    expect([status, body]).toEqual([200, { id }]);
    expect(await runsOf(world, id)).toMatchObject([{ id: run.body.id }]);
    await expectProblem(
      await ask(world, "GET", `/schedules/${id}`),
      "schedule_not_found",
      /There is no schedule/,
    );
  });

  test("is triggered now, and its ticks stay as they are", async () => {
    const schedule = await createSchedule(world, { cron: "@daily", input: 7, isEnabled: false });
    const path = `/schedules/${schedule.id}/trigger`;
    const first = await world.call<{ id: string }>("POST", path, { idempotencyKey: "once" });
    const again = await world.call<{ id: string }>("POST", path, { idempotencyKey: "once" });
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body).toEqual({ id: first.body.id, created: false });
    expect(await world.readRun(first.body.id)).toMatchObject({
      input: 7,
      scheduleId: schedule.id,
      scheduledFor: null,
    });
    const { lastRun, lastTick } = await readSchedule(world, schedule.id);
    expect([lastRun, lastTick]).toEqual([null, null]);
  });
});

describe("many schedules", () => {
  beforeEach(async () => {
    world = await createWorld();
    await world.register({ name: "report", steps: [{ name: "write" }] });
    await world.register({ name: "other", steps: [{ name: "write" }] });
  });

  test("are stored in one call, in its order, and deleted in one", async () => {
    const asked = Array.from({ length: 300 }, (_, n) => ({
      workflow: "report",
      at: later(n),
      idempotencyKey: `key-${n}`,
    }));
    const path = "/schedules/bulk";
    const { status, body } = await world.call<{ schedules: { id: string }[] }>("POST", path, {
      schedules: asked,
    });
    expect(status).toBe(201);
    const ids = body.schedules.map(({ id }) => id);
    const again = await world.call("POST", path, { schedules: asked });
    expect(again.body).toEqual({ schedules: ids.map((id) => ({ id, created: false })) });
    const { items } = await list("?limit=200");
    expect(items.map(({ at }) => at)).toEqual(asked.slice(0, 200).map(({ at }) => at));
    const gone = await world.call<{ ids: string[] }>("POST", "/schedules/delete", {
      ids: [...ids, NO_SCHEDULE],
    });
    expect(gone.body.ids.toSorted()).toEqual(ids.toSorted());
    expect(await list()).toEqual({ items: [], nextCursor: null });
  });

  test("are listed by workflow and kind, a page at a time", async () => {
    const made = [];
    for (const [workflow, when] of [
      ["report", { cron: "@daily" }],
      ["other", { cron: "@hourly" }],
      ["report", { at: later() }],
    ] as const) {
      made.push((await createSchedule(world, { workflow, ...when })).id);
    }
    const idsOf = async (query: string) => (await list(query)).items.map(({ id }) => id);
    expect(await idsOf("?workflow=report")).toEqual([made[0], made[2]]);
    expect(await idsOf("?kind=cron")).toEqual([made[0], made[1]]);
    expect(await idsOf("?kind=once")).toEqual([made[2]]);
    const { items, nextCursor } = await list("?limit=2");
    expect(items).toHaveLength(2);
    expect(await idsOf(`?limit=2&cursor=${nextCursor}`)).toEqual([made[2]]);
  });

  test("are those that a workflow declares, too, which only it can change", async () => {
    const crons = [{ cron: "@daily", input: 1 }];
    await world.register({ name: "report", crons, steps: [{ name: "write" }] });
    const { items } = await list();
    const [declared] = items;
    expect(items).toMatchObject([{ name: "@daily UTC", isDeclared: true, isEnabled: true }]);
    const path = `/schedules/${declared?.id}`;
    await expectNoTrace(world, async () => {
      for (const [method, body] of [
        ["PATCH", { input: 2 }],
        ["DELETE", undefined],
      ] as const) {
        const asked = await ask(world, method, path, body);
        await expectProblem(asked, "schedule_declared", /The workflow "report" declares/);
      }
    });
    const off = await world.call("PATCH", path, { isEnabled: false });
    expect(off.body).toMatchObject({ isEnabled: false, nextTicks: [] });
    const { body: kept } = await world.call("POST", "/schedules/delete", { ids: [declared?.id] });
    expect(kept).toEqual({ ids: [] });
  });
});

describe("a preview", () => {
  test("tells ticks as the zone's clock shows them, across daylight saving time", async () => {
    const { status, body } = await world.call("POST", "/schedules/preview", {
      cron: "30 2 * * *",
      timezone: "Europe/Berlin",
      after: "2026-03-27T12:00:00Z",
      count: 3,
    });
    expect([status, body]).toEqual([
      200,
      {
        ticks: [
          { at: "2026-03-28T01:30:00.000Z", local: "Sat 2026-03-28 02:30:00 GMT+1" },
          { at: "2026-03-29T01:00:00.000Z", local: "Sun 2026-03-29 03:00:00 GMT+2" },
          { at: "2026-03-30T00:30:00.000Z", local: "Mon 2026-03-30 02:30:00 GMT+2" },
        ],
      },
    ]);
  });

  test("begins now, and tells ten", async () => {
    const { body } = await world.call<{ ticks: { at: string }[] }>("POST", "/schedules/preview", {
      cron: "* * * * *",
    });
    expect(body.ticks).toHaveLength(10);
    expect(Date.parse(body.ticks[0]?.at ?? "")).toBeGreaterThan(Date.now());
  });

  test("of what is wrong says where, and what was meant", async () => {
    const cron = "0 25 * * MONDAY";
    const { body } = await world.call("POST", "/schedules/preview", { cron, timezone: "berlin" });
    expect(body).toMatchObject({
      code: "invalid_request",
      errors: [
        {
          path: "cron",
          message: "column 3: hour: 25 is not within 0 and 23",
          position: { start: 2, end: 4, line: 1, column: 3 },
          excerpt: "0 25 * * MONDAY\n  ^",
        },
        { path: "cron", message: expect.stringContaining("did you mean MON?") },
        { path: "timezone", message: expect.stringContaining("did you mean Europe/Berlin?") },
      ],
    });
  });
});

describe("is refused, and nothing is changed:", () => {
  test.each([
    [{}, "cron", /is missing/],
    [{ cron: "@daily", at: "2100-01-01T00:00:00Z" }, "at", /together with cron/],
    [{ at: "2020-01-01T00:00:00Z" }, "at", /has passed: start a run/],
    [{ at: "2100-01-01T00:00:00Z" }, "at", /more than ten years ahead/],
    [{ at: later(), timezone: "UTC" }, "timezone", /does nothing for a schedule of one run/],
    [{ at: later(), overlap: "skip" }, "overlap", /does nothing/],
    [{ at: later(), jitterMs: 1 }, "jitterMs", /does nothing/],
    [{ at: later(), catchUp: "all" }, "catchUp", /must be last or none/],
    [{ cron: "@daily", catchUpLimit: 5 }, "catchUpLimit", /unless catchUp is all/],
    [{ cron: "@daily", jitterMs: 3_600_001 }, "jitterMs", /./],
    [{ cron: "0 0 30 2 *" }, "cron", /never comes/],
    [{ cron: "@daily", timezone: "Mars" }, "timezone", /there is no time zone/],
    [{ cron: "@daily", every: 5 }, "every", /./],
  ])("%j", async (parts, path, message) => {
    await expectNoTrace(world, async () => {
      const asked = await ask<{ errors: unknown[] }>(world, "POST", "/schedules", {
        workflow: "report",
        ...parts,
      });
      await expectProblem(asked, "invalid_request", message);
      expect(asked.body.errors).toMatchObject([{ path }]);
    });
  });

  test("what a workflow declares, by its place in the definition", async () => {
    const crons = [{ cron: "@daily" }, { cron: "0 9 31 2 *" }, { cron: "@daily" }];
    const definition = { name: "report", crons, steps: [{ name: "write" }] };
    const asked = await ask<{ errors: unknown[] }>(world, "PUT", "/workflows/report", definition);
    await expectProblem(asked, "invalid_workflow", /crons\[1\]\.cron/);
    expect(asked.body.errors).toMatchObject([
      { path: "crons[1].cron", excerpt: "0 9 31 2 *\n^" },
      { path: "crons[2].name", message: expect.stringContaining("also that of crons[0]") },
    ]);
  });

  test("one of many, with its place", async () => {
    const schedules = [
      { workflow: "report", cron: "@daily" },
      { workflow: "report", cron: "61 * * * *" },
    ];
    await expectNoTrace(world, async () => {
      const asked = await ask(world, "POST", "/schedules/bulk", { schedules });
      await expectProblem(asked, "invalid_request", /schedules\[1\]\.cron: column 1: minute/);
    });
  });

  test("a workflow that is not there, and a name that is taken", async () => {
    await createSchedule(world, { cron: "@daily", name: "mine" });
    const { id } = await createSchedule(world, { cron: "@daily" });
    await expectNoTrace(world, async () => {
      for (const [method, path, body, code] of [
        ["POST", "/schedules", { workflow: "none", cron: "@daily" }, "workflow_not_found"],
        [
          "POST",
          "/schedules",
          { workflow: "report", cron: "@daily", name: "mine" },
          "schedule_exists",
        ],
        ["PATCH", `/schedules/${id}`, { name: "mine" }, "schedule_exists"],
        ["PATCH", `/schedules/${NO_SCHEDULE}`, { input: 1 }, "schedule_not_found"],
        ["DELETE", `/schedules/${NO_SCHEDULE}`, undefined, "schedule_not_found"],
        ["POST", `/schedules/${NO_SCHEDULE}/trigger`, {}, "schedule_not_found"],
      ] as const) {
        await expectProblem(await ask(world, method, path, body), code, /./);
      }
    });
  });

  test.each([
    [{ cron: "@daily" }, { at: later() }, /another kind/],
    [{ cron: "@daily" }, { catchUpLimit: 3 }, /unless catchUp is all/],
    [{ cron: "@daily" }, { timezone: "Mars" }, /no time zone/],
    [{ at: later() }, { cron: "@daily" }, /another kind/],
    [{ at: later() }, { jitterMs: 5 }, /does nothing/],
    [{ at: later() }, { at: "2020-01-01T00:00:00Z" }, /has passed/],
    [{ at: later() }, {}, /something to change/],
  ])("of %j the change %j", async (schedule, change, message) => {
    const { id } = await createSchedule(world, schedule);
    await expectNoTrace(world, async () => {
      const asked = await ask(world, "PATCH", `/schedules/${id}`, change);
      await expectProblem(asked, "invalid_request", message);
    });
  });

  test("a change of what is over", async () => {
    const { id } = await createSchedule(world, { at: later() });
    await world.sql("update v1.schedule set ended_at = now(), due_at = null where id = $1", [id]);
    const asked = await ask(world, "PATCH", `/schedules/${id}`, { at: later() });
    await expectProblem(asked, "schedule_over", /It was over at/);
  });

  test("more crons than there may be; schedules of one run are any number", async () => {
    const crowded = await createWorld();
    await crowded.register({ name: "report", steps: [{ name: "write" }] });
    await createSchedule(crowded, { cron: "@daily" });
    await crowded.sql(
      `insert into v1.schedule (id, tenant_id, workflow_id, cron, timezone, input, metadata, overlap, catch_up,
                                catch_up_limit, jitter_ms, is_declared, seen_until)
         select v1.message_id(), tenant_id, workflow_id, cron, timezone, input, metadata, overlap, catch_up,
                catch_up_limit, jitter_ms, false, seen_until
           from v1.schedule, generate_series(2, $2) where tenant_id = $1`,
      [crowded.tenant, MAX_CRONS],
    );
    const asked = await ask(crowded, "POST", "/schedules", { workflow: "report", cron: "@daily" });
    await expectProblem(asked, "too_many_schedules", /10000 crons/);
    await createSchedule(crowded, { at: later() });
  });
});
