/** Runs that end are told of in the commit that ends them: once, and to whom it concerns. */
import { describe, expect, inject, test } from "vitest";
import {
  deleteNotification,
  endNotification,
  putNotification,
  readNotification,
} from "../../database/notifications.ts";
import { isRunId, timeOfId } from "../../protocol/ids.ts";
import { NOTIFY_STEP, NOTIFY_WORKFLOW } from "../../protocol/own-workflows.ts";
import { cancelled, completed, failed } from "./rows.ts";
import { openPool, queryOf, TestShard } from "./support.ts";

const URL = "https://hooks.example.com/x";

describe.each(inject("databases"))("notifications on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  async function begin(): Promise<TestShard> {
    const shard = await TestShard.create(pool);
    await shard.register(NOTIFY_WORKFLOW, { [NOTIFY_STEP]: [] });
    return shard;
  }

  const put = (shard: TestShard, name: string, rest: object = {}) =>
    putNotification(
      query,
      shard.tenant,
      name,
      { url: URL, states: ["failed"], made: "whsec_made", ...rest },
      10,
    );

  /** What is to be told: of which run, to whom. */
  async function told(shard: TestShard): Promise<unknown[]> {
    const rows = await shard.rows<{ id: string; input: unknown }>(
      `select r.id, r.input from v1.workflow_run r join v1.workflow w on w.id = r.workflow_id
         where r.tenant_id = $1 and w.name = $2 order by r.input->>'notification', r.id`,
      [shard.tenant, NOTIFY_WORKFLOW],
    );
    for (const { id } of rows) {
      expect(isRunId(id), id).toBe(true);
      expect(Math.abs(timeOfId(id) - Date.now())).toBeLessThan(60_000);
    }
    return rows.map(({ input }) => input);
  }

  test("a run's end starts a run for each that asks for it, which is ready at once", async () => {
    const shard = await begin();
    await put(shard, "a");
    await put(shard, "b", { states: ["completed", "failed"] });
    await put(shard, "c", { states: ["completed"] });
    await put(shard, "d", { workflows: ["other"] });
    await put(shard, "e", { workflows: ["job"] });
    const job = await shard.register("job", { a: [] });
    const { run, task } = await shard.startRun(job);
    const reply = await shard.commit({ results: [failed(task("a"))] });
    expect(await told(shard)).toEqual(
      ["a", "b", "e"].map((notification) => ({ notification, run })),
    );
    expect(reply.ready?.length).toBe(3);
  });

  test("once, however often the commit is sent, or the end comes again", async () => {
    const shard = await begin();
    await put(shard, "a", { states: ["completed", "cancelled"] });
    const job = await shard.register("job", { a: [] });
    const [first, second] = [await shard.startRun(job), await shard.startRun(job)];
    const results = [completed(first.task("a"))];
    await shard.commit({ results });
    await shard.commit({ results });
    for (let times = 0; times < 2; times++)
      await shard.commit({ cancels: [cancelled(second.run)] });
    expect(await told(shard)).toHaveLength(2);
  });

  test("of no child, unless its workflow is named, and of no run of Skein's own", async () => {
    const shard = await begin();
    await put(shard, "all", { states: ["completed", "failed"] });
    const job = await shard.register("job", { a: [] });
    const { task } = await shard.startRun(job);
    await shard.commit({ results: [failed(task("a"))] });
    const [delivery] = await shard.rows<{ id: string }>(
      "select t.id from v1.workflow_run r join v1.task t on v1.run_id(t.id) = r.id where r.tenant_id = $1 and r.input->>'notification' is not null",
      [shard.tenant],
    );
    await shard.commit({ results: [failed(delivery?.id ?? "")] });
    expect(await told(shard)).toHaveLength(1);
  });

  test("to nobody whose endpoint is gone, or that is deleted, or another tenant's", async () => {
    const [shard, other] = [await begin(), await begin()];
    await put(other, "others");
    await put(shard, "gone");
    await put(shard, "deleted");
    await endNotification(query, shard.tenant, "gone");
    expect(await deleteNotification(query, shard.tenant, "deleted")).toBe(true);
    expect(await deleteNotification(query, shard.tenant, "others")).toBe(false);
    const job = await shard.register("job", { a: [] });
    const { task } = await shard.startRun(job);
    await shard.commit({ results: [failed(task("a"))] });
    expect([await told(shard), await told(other)]).toEqual([[], []]);
    expect(await readNotification(query, shard.tenant, "gone")).toBeUndefined();
    expect(await readNotification(query, shard.tenant, "others")).toBeUndefined();
  });

  test("a new one gets the secret that was made for it, and keeps it until it is given others", async () => {
    const shard = await begin();
    expect(await put(shard, "a")).toMatchObject({ created: true, on: ["failed"] });
    expect(await put(shard, "a", { made: "whsec_other" })).toMatchObject({ created: false });
    const read = () => readNotification(query, shard.tenant, "a");
    expect(await read()).toEqual({ url: URL, secrets: ["whsec_made"] });
    await put(shard, "a", { secrets: ["whsec_1", "whsec_2"] });
    expect(await read()).toMatchObject({ secrets: ["whsec_1", "whsec_2"] });
  });
});
