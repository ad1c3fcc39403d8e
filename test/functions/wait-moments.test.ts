/**
 * Moments that waits are for, and events that were stored before them: by another shard perhaps, which this one
 * has not heard of yet.
 */
import { describe, expect, inject, test } from "vitest";
import type { EventRow } from "../../database/rows.ts";
import type { WaitFor } from "../../protocol/wait-bodies.ts";
import { met, waiting } from "./rows.ts";
import { openPool, TestShard } from "./support.ts";

const AT = 1_800_000_000_000;
const MINUTE = 60_000;
const PAID: WaitFor = { event: "paid" };

describe.each(inject("databases"))("moments of waits on $name", (database) => {
  const pool = openPool(database);

  /** A task that waits since `AT`, and that no event has missed. */
  async function begin(waitFor: WaitFor): Promise<{ shard: TestShard; ship: string }> {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("order", { ship: { waitFor } }));
    const ship = task("ship");
    await shard.commit({ at: AT, waits: [waiting(ship)] });
    await shard.commit({ settles: [{ ...waiting(ship), f: true }] });
    return { shard, ship };
  }

  async function publish(
    shard: TestShard,
    at: number,
    parts: Partial<EventRow> = {},
  ): Promise<string> {
    const event = shard.event("paid", { c: [{ p: [] }], ...parts });
    await shard.commit({ at, events: [event] });
    return event.id;
  }

  test("no moment ends it before the shard has seen to what was stored sooner, by whatever shard", async () => {
    const { shard, ship } = await begin({
      any: [PAID, { sleepMs: MINUTE }],
      timeoutMs: 2 * MINUTE,
    });
    const other = await shard.another(1);
    const event = await publish(other, AT + MINUTE);
    for (const at of [AT + MINUTE, AT + 3 * MINUTE]) {
      const { ready, timers } = await shard.commit({ at, elapses: [waiting(ship)] });
      expect(ready).toEqual([]);
      expect(timers?.map(({ id, k }) => [id, k]).toSorted()).toEqual(
        [
          [event, "match"],
          [ship, "wait"],
        ].toSorted(),
      );
    }
    const { matches } = await shard.commit({ matches: [{ e: event, l: 9, b: 999 }] });
    expect(matches?.[0]?.runs).toHaveLength(1);
    await shard.commit({ matched: [{ e: event }] });
    await publish(other, AT + MINUTE + 1);
    const { ready } = await shard.commit({ at: AT + MINUTE, elapses: [waiting(ship)] });
    expect(ready).toMatchObject([{ id: ship, waited: { isMet: true } }]);
  });

  test("a moment that is past when an event meets another condition waits as well", async () => {
    const { shard, ship } = await begin({ all: [PAID, { event: "packed" }], timeoutMs: MINUTE });
    const first = await publish(shard, AT + 1);
    const second = await publish(shard, AT + 2, { k: "packed" });
    const at = AT + 2 * MINUTE;
    await shard.commit({ matched: [{ e: first }] });
    expect((await shard.commit({ at, meets: [met(ship, first)] })).ready).toEqual([]);
    const { ready } = await shard.commit({ at, meets: [met(ship, second, 1)] });
    expect(ready).toMatchObject([{ id: ship, waited: { isMet: true } }]);
  });

  test("what can't be seen to is waited for by nobody who says so", async () => {
    const { shard, ship } = await begin({ ...PAID, timeoutMs: MINUTE });
    await publish(shard, AT);
    const elapses = [{ ...waiting(ship), x: true as const }];
    const { ready } = await shard.commit({ at: AT + MINUTE, elapses });
    expect(ready).toMatchObject([{ id: ship, waited: { isMet: false } }]);
  });
});
