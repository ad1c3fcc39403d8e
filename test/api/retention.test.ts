/** How long history may be read: by every call the same, from one moment to the next, and back. */
import { beforeEach, describe, expect, test } from "vitest";
import { firstIdAt } from "../../protocol/ids.ts";
import { retentionSchema } from "../../workers/api/history-schemas.ts";
import { everyMinute } from "../../workers/cron/every-minute.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "old", events: ["asked"], steps: [{ name: "only" }] });
});

const keep = (days: number | null) => ask(world, "PUT", "/tenant/retention", { days });

/** A run that has ended so many days ago. */
async function endedRun(days: number): Promise<string> {
  const { id } = await world.startRun({ workflow: "old" });
  await world.call("POST", `/runs/${id}/cancel`);
  await world.sql(
    "update v1.workflow_run set finished_at = now() - $2 * interval '1 day' where id = $1",
    [id, days],
  );
  return id;
}

async function listed(path: string): Promise<string[]> {
  const { body } = await world.call<{ items: { id: string }[] }>("GET", path);
  return body.items.map(({ id }) => id);
}

test("a period is ninety days unless it is said otherwise, and may be for ever", async () => {
  const read = async (): Promise<unknown> =>
    expectAnswer(await ask(world, "GET", "/tenant/retention"), 200, retentionSchema);
  expect(await read()).toEqual({ days: 90 });
  for (const days of [1, 3_650, null]) {
    expect(expectAnswer(await keep(days), 200, retentionSchema)).toEqual({ days });
    expect(await read()).toEqual({ days });
  }
});

test.each([0, -1, 1.5, 3_651, "30", undefined])("a period of %s days is refused", async (days) => {
  await expectNoTrace(world, async () => {
    const asked = await ask(world, "PUT", "/tenant/retention", { days });
    await expectProblem(asked, "invalid_request", /days/);
  });
});

describe("a run that is past its period", () => {
  const READS = ["", "/result", "/logs", "/export", "/why"];

  test("is not found by any call, and is there again when the period is made longer", async () => {
    const [kept, past] = [await endedRun(29), await endedRun(31)];
    await keep(30);
    expect(await listed("/runs")).toEqual([kept]);
    for (const path of READS) {
      expect((await world.call("GET", `/runs/${kept}${path}`)).status).toBe(200);
      const asked = await ask(world, "GET", `/runs/${past}${path}`);
      await expectProblem(asked, "run_not_found", /There is no run/);
    }
    for (const [method, path, body] of [
      ["POST", `/runs/${past}/cancel`, {}],
      ["POST", `/runs/${past}/replay`, {}],
      ["POST", "/workflows/old/check", { version: 1, runs: { ids: [past] } }],
    ] as const) {
      await expectProblem(await ask(world, method, path, body), "run_not_found", /There is no run/);
    }
    await expectProblem(
      await ask(world, "GET", `/tasks/${past.slice(0, 32)}0001/why`),
      "task_not_found",
      /There is no task/,
    );
    const replayed = await ask<{ runs: unknown[] }>(world, "POST", "/runs/replay", {
      filter: { workflow: "old", state: "cancelled" },
    });
    expect(replayed.body.runs).toMatchObject([{ replayOf: kept }]);
    await keep(null);
    expect((await world.readRun(past)).state).toBe("cancelled");
    expect(await listed("/runs?state=cancelled")).toEqual([past, kept]);
  });

  test("is counted from its end: one that goes on is there, however long it has", async () => {
    const { id } = await world.startRun({ workflow: "old" });
    await keep(1);
    await world.sql(
      "update v1.workflow_run set started_at = now() - interval '400 days' where id = $1",
      [id],
    );
    expect((await world.readRun(id)).state).toBe("queued");
    expect(await listed("/runs")).toEqual([id]);
  });
});

test("an event is past its period some days after it was published", async () => {
  const ids: string[] = [];
  for (const days of [2, 4]) {
    const at = Date.now() - days * 86_400_000;
    await world.sql("select v1.ensure_partitions($1)", [new Date(at).toISOString()]);
    const id = `${firstIdAt(at).slice(0, 14)}7000-8000-${world.tenant.slice(-12)}`;
    await world.sql(
      "insert into v1.event (id, tenant_id, key, payload, metadata, runs) values ($1, $2, 'asked', 'null', '{}', '{}')",
      [id, world.tenant],
    );
    ids.push(id);
  }
  const [kept = "", past = ""] = ids;
  expect(await listed("/events")).toEqual([kept, past]);
  await keep(3);
  expect(await listed("/events")).toEqual([kept]);
  expect((await world.call("GET", `/events/${kept}`)).status).toBe(200);
  for (const [method, path] of [
    ["GET", `/events/${past}`],
    ["POST", `/events/${past}/replay`],
  ] as const) {
    await expectProblem(await ask(world, method, path), "event_not_found", /There is no event/);
  }
  const tried = { expression: "true", event: past };
  await expectProblem(await ask(world, "POST", "/filters/try", tried), "event_not_found", /./);
  await keep(null);
  expect(await listed("/events")).toEqual([kept, past]);
});

test("the clock drops a month that is past for everybody, and goes on when it can't", async () => {
  // A month of which no tenant of any test has anything.
  await world.sql("select v1.ensure_partitions('2019-05-15')");
  await world.sql("update v1.retention_look set looked_at = '-infinity'");
  const nobody = { getByName: () => ({ nudge: () => Promise.resolve() }) };
  const env = { ...world.env, DISPATCHER: nobody, QUEUE_DRAIN: nobody } as unknown as World["env"];
  const there = async (): Promise<number> =>
    (await world.sql("select from pg_class where relname ~ '_2019_0[56]$' and relkind = 'r'"))
      .length;
  expect(await there()).toBe(18);
  await everyMinute(env);
  expect(await there()).toBe(17);
  const lock = await world.holdLock("lock table v1.task in access share mode", []);
  await everyMinute(env);
  expect(await there()).toBe(17);
  await lock.release();
  for (let minutes = 0; minutes < 17; minutes++) await everyMinute(env);
  expect(await there()).toBe(0);
});
