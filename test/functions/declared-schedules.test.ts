/** Schedules that workflows declare: those of the active version, with what has come of them. */
import { describe, expect, inject, test } from "vitest";
import {
  changeSchedule,
  deleteSchedules,
  moveSchedules,
  putSchedules,
  readDueSchedules,
} from "../../database/schedules.ts";
import { activateVersion } from "../../database/workflow-changes.ts";
import { AT, BOUNDS, HOUR, PAGE, row } from "./schedule-rows.ts";
import { openPool, queryOf, TestShard } from "./support.ts";

describe.each(inject("databases"))("declared schedules on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  async function begin(): Promise<TestShard> {
    const shard = await TestShard.create(pool);
    await shard.register("report", { write: [] });
    return shard;
  }

  const NINE = { name: "nine", cron: "0 9 * * *", timezone: "Europe/Berlin" };
  const steps = { write: [] };

  async function declared(shard: TestShard): Promise<Record<string, unknown>[]> {
    return await shard.rows(
      "select * from v1.schedule where tenant_id = $1 and is_declared order by name",
      [shard.tenant],
    );
  }

  test("are those of its active version", async () => {
    const shard = await begin();
    await shard.register("report", steps, {
      crons: [
        { ...NINE, input: 1, overlap: "skip", catchUp: "all", catchUpLimit: 7, jitterMs: 5 },
        { cron: "@hourly" },
      ],
    });
    expect(await declared(shard)).toMatchObject([
      {
        name: "@hourly UTC",
        timezone: "UTC",
        input: null,
        overlap: "allow",
        catch_up: "last",
        catch_up_limit: 100,
        jitter_ms: 0,
        is_enabled: true,
      },
      { ...NINE, input: 1, overlap: "skip", catch_up: "all", catch_up_limit: 7, jitter_ms: 5 },
    ]);
    const page = { at: Date.now() + HOUR, ...PAGE };
    const [due, ...others] = (await readDueSchedules(query, shard.tenant, page)).due;
    expect(due).toMatchObject({ seenUntil: expect.any(Number), revision: 0 });
    expect(others).toHaveLength(1);
    const change = (number: number) => ({ ...shard.change("report"), number, rollback: false });
    await activateVersion(query, change(1));
    expect(await declared(shard)).toEqual([]);
    await activateVersion(query, change(2));
    expect(await declared(shard)).toHaveLength(2);
  });

  test("keep what has come of them while they stay the same", async () => {
    const shard = await begin();
    const other = { cron: "@daily" };
    await shard.register("report", steps, { crons: [NINE, other] });
    const [daily, nine] = await declared(shard);
    const id = String(nine?.["id"]);
    await changeSchedule(query, shard.tenant, { id, revision: 0 }, { e: false, u: AT });
    await moveSchedules(query, shard.tenant, AT, [
      { s: String(daily?.["id"]), v: 0, u: AT, n: AT + HOUR, d: AT + HOUR, k: 1, kt: AT },
    ]);
    const before = await declared(shard);
    await shard.register("report", { write: [], send: [] }, { crons: [NINE, other] });
    expect(await declared(shard)).toEqual(before);

    await shard.register("report", steps, { crons: [{ ...NINE, input: 2 }, other] });
    expect((await declared(shard))[1]).toMatchObject({ id, input: 2, is_enabled: false });
    await shard.register("report", steps, { crons: [{ ...NINE, cron: "0 8 * * *" }, other] });
    expect((await declared(shard))[1]).toMatchObject({
      id,
      cron: "0 8 * * *",
      is_enabled: false,
      due_at: null,
    });
    await shard.register("report", steps, { crons: [NINE, { ...other, input: 3 }] });
    expect((await declared(shard))[0]).toMatchObject({
      input: 3,
      skipped: "1",
      due_at: new Date(AT + HOUR),
    });
  });

  test("stand beside stored ones of the same name, and are not deleted with them", async () => {
    const shard = await begin();
    const asked = row("report", { n: "nine" });
    await putSchedules(query, shard.tenant, [asked], BOUNDS);
    const { id } = asked;
    await shard.register("report", steps, { crons: [NINE] });
    const [nine] = await declared(shard);
    const both = [String(nine?.["id"]), id];
    expect(await deleteSchedules(query, shard.tenant, both)).toEqual([id]);
    expect(await declared(shard)).toHaveLength(1);
  });
});
