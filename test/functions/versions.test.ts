/**
 * Which version new runs are bound to, and that versions never change: activation, rollback, promotion, what is
 * written down of them, and promotions that end by themselves.
 */
import { describe, expect, inject, test } from "vitest";
import { readDefinitions } from "../../database/functions.ts";
import {
  activateVersion,
  type ChangeReply,
  endPromotion,
  failPromotion,
  pauseWorkflow,
  promoteVersion,
  resumeWorkflow,
} from "../../database/workflow-changes.ts";
import { newId, taskId } from "../../protocol/ids.ts";
import { isPromoted } from "../../workers/definitions/promotion.ts";
import { child, completed, failed, spawned } from "./rows.ts";
import { openPool, queryOf, type Registered, TestShard } from "./support.ts";

const SHAPES = [{ a: [] }, { a: [], b: ["a"] }, { a: [], b: ["a"], c: ["b"] }];
const MINUTE = 60_000;

describe.each(inject("databases"))("versions on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  /** A workflow "w" with three versions, of which the last is active. */
  async function three(): Promise<{ shard: TestShard; versions: Registered[] }> {
    const shard = await TestShard.create(pool);
    const versions: Registered[] = [];
    for (const shape of SHAPES) versions.push(await shard.register("w", shape));
    return { shard, versions };
  }

  const activate = (shard: TestShard, number?: number): Promise<ChangeReply> =>
    activateVersion(query, { ...shard.change("w"), number, rollback: number === undefined });

  const active = async (shard: TestShard): Promise<unknown> => {
    const [row] = await shard.rows<{ number: number }>(
      `select v.number from v1.workflow w join v1.workflow_version v on v.id = w.active_version_id
         where w.tenant_id = $1 and w.name = 'w'`,
      [shard.tenant],
    );
    return row?.number;
  };

  const changesOf = (shard: TestShard): Promise<object[]> =>
    shard.rows(
      `select c.kind, v.number as version, p.number as previous, c.is_active, c.actor, c.reason, c.details
         from v1.workflow w join v1.workflow_change c on c.workflow_id = w.id
         join v1.workflow_version v on v.id = c.version_id
         left join v1.workflow_version p on p.id = c.previous_version_id
         where w.tenant_id = $1 and w.name = 'w' order by c.changed_at, c.id`,
      [shard.tenant],
    );

  test("are activated by number, and starts that were bound to another are refused", async () => {
    const { shard, versions } = await three();
    const [first, , third] = versions as [Registered, Registered, Registered];
    const start = shard.start(third);
    expect(await activate(shard, 1)).toMatchObject({ workflow: { version: { number: 1 } } });
    expect(await active(shard)).toBe(1);
    expect((await shard.commit({ starts: [start] })).starts).toEqual({ [start.id]: "stale" });
    await shard.readDefinitions();
    const started = await shard.startRun(first);
    expect(await shard.states(started.run)).toEqual(["queued"]);
  });

  test("are rolled back one further each time, past those that never were active", async () => {
    const { shard } = await three();
    await shard.register("w", { x: [] }, { activate: "never" });
    await shard.register("w", { y: [] });
    const seen: unknown[] = [];
    for (let step = 0; step < 3; step++) {
      await activate(shard);
      seen.push(await active(shard));
    }
    expect(seen).toEqual([3, 2, 1]);
    expect(await activate(shard)).toEqual({ refused: "nothing_to_roll_back" });
    expect(await active(shard)).toBe(1);
  });

  test("that are not there, or of another's workflow, are refused, and nothing changes", async () => {
    const { shard } = await three();
    const before = [await changesOf(shard), (await readDefinitions(query, shard.tenant))?.version];
    const stranger = await TestShard.create(pool);
    expect(await activate(shard, 4)).toEqual({ refused: "version_not_found" });
    expect(await activate(stranger, 1)).toEqual({ refused: "workflow_not_found" });
    const share = { number: 9, share: 1 };
    expect(await promoteVersion(query, { ...shard.change("w"), ...share })).toEqual({
      refused: "version_not_found",
    });
    expect(await promoteVersion(query, { ...shard.change("w"), ...share, number: 3 })).toEqual({
      refused: "version_active",
    });
    expect(await endPromotion(query, stranger.change("w"))).toEqual({
      refused: "workflow_not_found",
    });
    const after = [await changesOf(shard), (await readDefinitions(query, shard.tenant))?.version];
    expect(after).toEqual(before);
  });

  test("that use a limit which has been deleted are neither activated nor promoted", async () => {
    const { shard } = await three();
    const put = (): Promise<object[]> =>
      shard.rows("select v1.put_limit($1, 'pool', '{\"concurrency\": 1}', 100)", [shard.tenant]);
    await put();
    const steps = { a: { limits: [{ limit: "pool" }] } };
    await shard.register("w", steps, { activate: "never" });
    await shard.rows("select v1.delete_limit($1, 'pool')", [shard.tenant]);
    expect(await activate(shard, 4)).toEqual({ unknownLimits: ["pool"] });
    const promotion = { ...shard.change("w"), number: 4, share: 100 };
    expect(await promoteVersion(query, promotion)).toEqual({ unknownLimits: ["pool"] });
    await put();
    expect(await promoteVersion(query, promotion)).toHaveProperty("workflow");
    const [row] = await shard.rows<{ reply: object }>(
      "select v1.delete_limit($1, 'pool') as reply",
      [shard.tenant],
    );
    expect(row?.reply).toMatchObject({ deleted: false, usedBy: ["w"] });
  });

  test("leave a trail of who changed what, once for each change", async () => {
    const { shard } = await three();
    const reason = "it is broken";
    await activateVersion(query, { ...shard.change("w"), number: 2, rollback: true, reason });
    await activate(shard, 2);
    const promotion = { number: 3, share: 1_250, key: ["input", "customer"] };
    await promoteVersion(query, { ...shard.change("w"), ...promotion });
    await promoteVersion(query, { ...shard.change("w"), ...promotion });
    await endPromotion(query, shard.change("w"));
    await endPromotion(query, shard.change("w"));
    await pauseWorkflow(query, shard.change("w"), "hold");
    await resumeWorkflow(query, shard.change("w"));
    await resumeWorkflow(query, shard.change("w"));
    await shard.register("w", SHAPES[0] ?? {}, { activate: "always" });
    const by = { previous: null, actor: "test", reason: null, details: null };
    expect(await changesOf(shard)).toEqual([
      { ...by, kind: "registered", version: 1, is_active: true },
      { ...by, kind: "registered", version: 2, previous: 1, is_active: true },
      { ...by, kind: "registered", version: 3, previous: 2, is_active: true },
      { ...by, kind: "rolled_back", version: 2, previous: 3, is_active: true, reason },
      {
        ...by,
        kind: "promoted",
        version: 3,
        is_active: false,
        details: { percent: 12.5, key: ["input", "customer"] },
      },
      { ...by, kind: "promotion_ended", version: 3, is_active: false },
      { ...by, kind: "paused", version: 2, is_active: true, details: { mode: "hold" } },
      { ...by, kind: "resumed", version: 2, is_active: true },
      { ...by, kind: "activated", version: 1, previous: 2, is_active: true },
    ]);
  });

  test.each(["workflow_version", "dag"])("in %s refuse every change", async (table) => {
    const { shard, versions } = await three();
    const [, second] = versions as [Registered, Registered];
    const start = await shard.startRun({ ...second, version: second.version });
    expect(start.run).toBeDefined();
    const id = table === "dag" ? "version_id" : "id";
    const statements = [
      `update v1.${table} set ${id} = ${id}`,
      `update v1.${table} set ${table === "dag" ? "timeout_ms = 1" : "number = 9"}`,
      `delete from v1.${table}`,
    ];
    for (const statement of statements) {
      const refused = shard.rows(`${statement} where ${id} = $1`, [second.version]);
      await expect(refused, statement).rejects.toThrow("a workflow version never changes");
    }
    await expect(shard.rows(`truncate v1.${table} cascade`)).rejects.toThrow("never changes");
  });

  test("of which no run is left, and that is not active, may go", async () => {
    const { shard, versions } = await three();
    const [first] = versions as [Registered];
    await shard.rows("delete from v1.workflow_change where version_id = $1", [first.version]);
    await shard.rows(
      "update v1.workflow_change set previous_version_id = null where previous_version_id = $1",
      [first.version],
    );
    await shard.rows("delete from v1.dag where version_id = $1", [first.version]);
    await shard.rows("delete from v1.workflow_version where id = $1", [first.version]);
  });

  describe("that are promoted", () => {
    const promote = (shard: TestShard, share: number, more: object = {}): Promise<ChangeReply> =>
      promoteVersion(query, { ...shard.change("w"), number: 1, share, ...more });

    test("have their share of children, as the edge Worker would choose", async () => {
      const { shard, versions } = await three();
      const [first, , third] = versions as [Registered, Registered, Registered];
      await promote(shard, 5_000, { key: ["input", "who", "id"] });
      await shard.readDefinitions();
      const parent = await shard.startRun(third);
      const who = ["ann", "bob", "5", 5, 5.5, 1e21, 12_345_678_901_234, true, null, ["x"], {}, "ü"];
      const inputs = [...who.map((id) => ({ who: { id } })), { who: "x" }, "x", null, [], {}];
      const children = inputs.map((i, index) => ({
        ...child(String(index), "w"),
        i,
        m: { a: "b" },
      }));
      await shard.commit({ spawns: [spawned(parent.task("a"), children)] });
      const promotion = { version: first.version, share: 5_000, key: ["input", "who", "id"] };
      const bound = await Promise.all(children.map(({ id }) => versionOf(shard, id)));
      const chosen = children.map(({ id, i, m }) =>
        isPromoted(promotion, { input: i, metadata: m }, id) ? first.version : third.version,
      );
      expect(bound).toEqual(chosen);
      expect(new Set(bound).size).toBe(2);
    });

    test("have all children or none, at the ends", async () => {
      const { shard, versions } = await three();
      const [first, , third] = versions as [Registered, Registered, Registered];
      const parent = await shard.startRun(third);
      for (const [share, expected] of [
        [10_000, first.version],
        [0, third.version],
      ] as const) {
        await promote(shard, share);
        const children = Array.from({ length: 8 }, (_, n) => child(`${share}/${n}`, "w"));
        await shard.commit({ spawns: [spawned(parent.task("a"), children)] });
        for (const { id } of children) expect(await versionOf(shard, id)).toBe(expected);
      }
    });

    const RULE = { failureRate: 0.5, windowMs: 20 * MINUTE, minimumRuns: 4 };

    async function end(
      shard: TestShard,
      of: Registered,
      ends: string,
      at: number,
    ): Promise<unknown> {
      const starts = [...ends].map(() => ({ ...shard.start(of), d: shard.definitions }));
      await shard.commit({ starts, at });
      const results = starts.map(({ id }, index) =>
        ends[index] === "f" ? failed(taskId(id, 0)) : completed(taskId(id, 0)),
      );
      return (await shard.commit({ results, at })).failing;
    }

    test("are found failing when too many of their runs have failed in the window", async () => {
      const { shard, versions } = await three();
      const [first] = versions as [Registered];
      await promote(shard, 5_000, { rollbackWhen: RULE });
      await shard.readDefinitions();
      const at = Date.now();
      const failing = [first.id];
      expect(await end(shard, first, "fff", at)).toBeUndefined();
      expect(await end(shard, first, "cccc", at)).toBeUndefined();
      expect(await end(shard, first, "f", at)).toEqual(failing);
      // The window has moved on, past all but these.
      const later = at + 25 * MINUTE;
      expect(await end(shard, first, "ccf", later)).toBeUndefined();
      expect(await failPromotion(query, shard.tenant, first.id, newId(), later)).toBeUndefined();
      expect(await end(shard, first, "fff", later)).toEqual(failing);
      expect(await failPromotion(query, newId(), first.id, newId(), later)).toBeUndefined();
      const ended = await failPromotion(query, shard.tenant, first.id, newId(), later);
      expect(ended).toEqual({ name: "w", number: 1, ended: 6, failed: 4 });
      expect(await failPromotion(query, shard.tenant, first.id, newId(), later)).toBeUndefined();
      expect((await changesOf(shard)).at(-1)).toEqual({
        kind: "promotion_failed",
        version: 1,
        previous: null,
        is_active: false,
        actor: null,
        reason: null,
        details: { ended: 6, failed: 4, rollbackWhen: RULE },
      });
      expect(
        await shard.rows("select from v1.promotion_count where version_id = $1", [first.version]),
      ).toEqual([]);
      await shard.readDefinitions();
      expect(await end(shard, first, "ffff", later)).toBeUndefined();
    });

    test("are not found failing by runs of another version, cancelled ones, or without a rule", async () => {
      const { shard, versions } = await three();
      const [first, second] = versions as [Registered, Registered];
      await promote(shard, 5_000, { rollbackWhen: { ...RULE, minimumRuns: 1 } });
      await shard.readDefinitions();
      expect(await end(shard, { ...second }, "ffff", Date.now())).toBeUndefined();
      await promote(shard, 5_000);
      await shard.readDefinitions();
      expect(await end(shard, first, "ffff", Date.now())).toBeUndefined();
    });

    test("count anew under another rule", async () => {
      const { shard, versions } = await three();
      const [first] = versions as [Registered];
      await promote(shard, 5_000, { rollbackWhen: { ...RULE, minimumRuns: 100 } });
      await shard.readDefinitions();
      await end(shard, first, "fffff", Date.now());
      await promote(shard, 5_000, { rollbackWhen: RULE });
      await shard.readDefinitions();
      expect(await end(shard, first, "fff", Date.now())).toBeUndefined();
    });
  });
});

async function versionOf(shard: TestShard, run: string): Promise<string | undefined> {
  const [row] = await shard.rows<{ version_id: string }>(
    "select version_id from v1.workflow_run where id = $1",
    [run],
  );
  return row?.version_id;
}
