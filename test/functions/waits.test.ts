/**
 * Tasks that wait: what finds them, what ends the wait and when, and that each race has one winner.
 */
import { describe, expect, inject, test } from "vitest";
import type { EventRow } from "../../database/rows.ts";
import type { MatchPage, PastPage } from "../../database/match-rows.ts";
import type { StepDefinition } from "../../protocol/http.ts";
import type { WaitFor } from "../../protocol/wait-bodies.ts";
import type { Json } from "../../protocol/json.ts";
import { cancelled, completed, met, outOfTime, skipped, waiting } from "./rows.ts";
import { idsOf, openPool, type StartedRun, TestShard } from "./support.ts";

const AT = 1_800_000_000_000;
const MINUTE = 60_000;
const PAID: WaitFor = { event: "paid", if: "event.payload.id == parents.pay.id" };
const PATHS = [{ p: ["payload", "id"] }];

interface Scene extends StartedRun {
  shard: TestShard;
  /** The task that waits. */
  ship: string;
}

describe.each(inject("databases"))("waits on $name", (database) => {
  const pool = openPool(database);

  /** A run whose second step waits since `AT` for what is said, with what its parent has given; no event has missed it. */
  async function begin(
    waitFor: WaitFor,
    { id = "a", steps = {} as Partial<StepDefinition>, timeoutMs = 0 } = {},
  ): Promise<Scene> {
    const shard = await TestShard.create(pool);
    const rest = timeoutMs > 0 ? { timeoutMs } : {};
    const ship = { parents: ["pay"], waitFor, ...steps };
    const workflow = await shard.register("order", { pay: [], ship, tell: ["ship"] }, rest);
    const started = await shard.startRun(workflow);
    await shard.commit({ results: [completed(started.task("pay"), { id })] });
    await shard.commit({ at: AT, waits: [waiting(started.task("ship"))] });
    await shard.commit({ settles: [{ ...waiting(started.task("ship")), f: true }] });
    return { shard, ...started, ship: started.task("ship") };
  }

  async function publish(
    shard: TestShard,
    id: Json,
    parts: Partial<EventRow> = {},
    at = Date.now(),
  ): Promise<string> {
    const event = shard.event("paid", { p: { id }, m: { by: "x" }, c: PATHS, ...parts });
    await shard.commit({ at, events: [event] });
    return event.id;
  }

  async function read(shard: TestShard, e: string): Promise<MatchPage | undefined> {
    return (await shard.commit({ matches: [{ e, l: 100, b: 2 ** 20 }] })).matches?.[0];
  }

  const rowsOf = async ({ shard }: Scene): Promise<unknown> => {
    const rows = await shard.rows<{ number: number }>(
      "select number from v1.match where tenant_id = $1 order by number",
      [shard.tenant],
    );
    return rows.map(({ number }) => number);
  };

  const dueOf = async ({ shard }: Scene): Promise<unknown> =>
    (await shard.timers()).map(({ kind, due }) => [kind, Math.round(due - AT)]);

  test("a task that waits is in nobody's hands, and its event finds it by its parents' outputs", async () => {
    const scene = await begin(PAID);
    const { shard, run, ship } = scene;
    expect(await shard.task(ship)).toMatchObject({ state: "waiting", queued_at: null, attempt: 0 });
    expect(await rowsOf(scene)).toEqual([32]);
    expect(await shard.timers()).toEqual([]);
    await shard.recover();
    expect([await shard.queued(), await shard.handouts()]).toEqual([[], {}]);
    await publish(shard, "b");
    expect(await shard.timers()).toEqual([]);
    const event = await publish(shard, "a");
    expect(await shard.timers()).toMatchObject([{ id: event, kind: "match" }]);
    expect((await read(shard, event))?.runs).toEqual([
      { r: run, n: 32, c: PAID.if, i: null, m: {}, p: { pay: { id: "a" } } },
    ]);
  });

  test("the event that it has waited for readies it, once, and comes with it for good", async () => {
    const scene = await begin(PAID);
    const { shard, ship } = scene;
    const [first, second] = [await publish(shard, "a"), await publish(shard, "a")];
    const request = shard.request({ at: AT + 5, meets: [met(ship, second), met(ship, first)] });
    const { ready } = await shard.send(request);
    const event = { id: first, key: "paid", payload: { id: "a" }, metadata: { by: "x" } };
    const waited = { isMet: true, met: [{ condition: 0, at: AT + 5, event }] };
    expect(ready).toMatchObject([{ id: ship, attempt: 1, waited, parents: { pay: { id: "a" } } }]);
    expect(await rowsOf(scene)).toEqual([]);
    const picture = await shard.picture();
    expect((await shard.send(request)).ready).toMatchObject([{ id: ship, waited }]);
    expect((await shard.commit({ meets: [met(ship, second)] })).ready).toEqual([]);
    expect((await shard.commit({ waits: [waiting(ship)] })).ready).toEqual([]);
    expect(await shard.picture()).toEqual(picture);
    await shard.recover();
    const taken = await shard.commit({ take: [{ action: "", lane: 0, n: 5 }] });
    expect(taken.ready).toMatchObject([{ id: ship, waited }]);
  });

  test("a sleep is over at its moment and not before, whatever wakes the shard", async () => {
    const scene = await begin({ sleepMs: MINUTE });
    const { shard, ship } = scene;
    expect(await dueOf(scene)).toEqual([["wait", MINUTE]]);
    const early = await shard.commit({ at: AT + MINUTE - 1, elapses: [waiting(ship)] });
    expect(early.ready).toEqual([]);
    expect(early.timers).toEqual([{ id: ship, k: "wait", d: AT + MINUTE }]);
    const { ready } = await shard.commit({ at: AT + MINUTE, elapses: [waiting(ship)] });
    expect(ready).toMatchObject([
      { id: ship, waited: { isMet: true, met: [{ condition: 0, at: AT + MINUTE }] } },
    ]);
    expect(await shard.timers()).toEqual([]);
  });

  test("a request that is sent again tells its timers again", async () => {
    const scene = await begin({ sleepMs: MINUTE, timeoutMs: 2 * MINUTE });
    const { shard, ship } = scene;
    const again = await shard.commit({ at: AT + 9, waits: [waiting(ship)] });
    expect(again.timers).toEqual([{ id: ship, k: "wait", d: AT + MINUTE }]);
  });

  test("groups: one of any, all of all, and one in the other", async () => {
    const [a, b, c] = ["a", "b", "c"].map((event) => ({ event }));
    const cases: [WaitFor, number[], number[]][] = [
      [{ any: [{ event: "a" }, { event: "b" }] }, [1], []],
      [{ all: [{ event: "a" }, { event: "b" }] }, [1, 0], [0]],
      [{ any: [{ all: [a ?? {}, b ?? {}] }, c ?? {}] }, [2], [0]],
      [{ any: [{ all: [a ?? {}, b ?? {}] }, c ?? {}] }, [1, 0], [1]],
      [{ all: [{ any: [a ?? {}, b ?? {}] }, c ?? {}] }, [1, 2], [0, 1]],
      [{ all: [a ?? {}, { sleepMs: 1_000 }] }, [0, -1], [0]],
    ];
    for (const [waitFor, enough, notEnough] of cases) {
      for (const [conditions, isEnough] of [
        [notEnough, false],
        [enough, true],
      ] as const) {
        const { shard, ship } = await begin(waitFor);
        const event = shard.event("any");
        await shard.commit({ events: [event] });
        const ready: string[] = [];
        for (const n of conditions) {
          const parts = n < 0 ? { elapses: [waiting(ship)] } : { meets: [met(ship, event.id, n)] };
          ready.push(
            ...idsOf((await shard.commit({ at: AT + (n < 0 ? 1_000 : 1), ...parts })).ready),
          );
        }
        expect(ready, JSON.stringify(waitFor)).toEqual(isEnough ? [ship] : []);
      }
    }
  });

  test("a condition that is met is waited for no more; the others are, until the wait is over", async () => {
    const scene = await begin({
      all: [{ event: "paid" }, { any: [{ event: "packed" }, { sleepMs: MINUTE }] }, { sleepMs: 5 }],
      timeoutMs: 2 * MINUTE,
    });
    const { shard, ship } = scene;
    expect(await rowsOf(scene)).toEqual([32, 33]);
    expect(await dueOf(scene)).toEqual([["wait", 5]]);
    const event = await publish(shard, "a", { c: [{ p: [] }] });
    await shard.commit({ matched: [{ e: event }] });
    await shard.commit({ at: AT + 1, meets: [met(ship, event)] });
    expect(await rowsOf(scene)).toEqual([33]);
    await shard.commit({ at: AT + 5, elapses: [waiting(ship)] });
    expect(await dueOf(scene)).toEqual([["wait", MINUTE]]);
    const { ready } = await shard.commit({ at: AT + MINUTE, elapses: [waiting(ship)] });
    expect(ready?.[0]?.waited?.met.map(({ condition }) => condition)).toEqual([0, 3, 2]);
    expect([await rowsOf(scene), await shard.timers()]).toEqual([[], []]);
  });

  test("its time is over when nothing has come, and what becomes of it the shard knows", async () => {
    const scene = await begin({ ...PAID, timeoutMs: MINUTE });
    const { shard, ship } = scene;
    expect(await dueOf(scene)).toEqual([["wait", MINUTE]]);
    const { ready } = await shard.commit({ at: AT + MINUTE, elapses: [waiting(ship)] });
    expect(ready).toMatchObject([{ id: ship, waited: { isMet: false, met: [] } }]);
    expect([await rowsOf(scene), await shard.timers()]).toEqual([[], []]);
    const { ready: next } = await shard.commit({ results: [skipped(ship)] });
    expect(next).toMatchObject([{ step: 2, parents: {} }]);
  });

  test("an event and the end of its time in one commit: the event wins; one after the other: the first", async () => {
    for (const order of ["together", "event", "timeout"] as const) {
      const { shard, ship } = await begin({ ...PAID, timeoutMs: MINUTE });
      const event = await publish(shard, "a", {}, AT + MINUTE + 1);
      const meets = [met(ship, event)];
      const elapses = [waiting(ship)];
      const parts =
        order === "together"
          ? [{ meets, elapses }]
          : order === "event"
            ? [{ meets }, { elapses }]
            : [{ elapses }, { meets }];
      const ready = [];
      for (const part of parts)
        ready.push(...((await shard.commit({ at: AT + MINUTE, ...part })).ready ?? []));
      expect(ready).toHaveLength(1);
      expect(ready[0]?.waited?.isMet).toBe(order !== "timeout");
    }
  });

  test("a run that is cancelled, or takes too long, waits for nothing any more", async () => {
    for (const end of [cancelled, outOfTime]) {
      const waitFor = { any: [PAID, { event: "paid", withinMs: 5 }, { sleepMs: MINUTE }] };
      const scene = await begin(waitFor, { timeoutMs: 5 * MINUTE });
      const { shard, run, ship } = scene;
      const event = await publish(shard, "a");
      await shard.commit({ cancels: [end(run)], matched: [{ e: event }] });
      expect([await rowsOf(scene), await shard.timers()]).toEqual([[], []]);
      const picture = await shard.picture();
      const late = { meets: [met(ship, event)], elapses: [waiting(ship)] };
      expect((await shard.commit({ at: AT + MINUTE, ...late })).ready).toEqual([]);
      expect(await shard.picture()).toEqual(picture);
    }
  });

  test("an event from before the run is not for its waits, unless they look back so far", async () => {
    const shard = await TestShard.create(pool);
    const steps = {
      a: { waitFor: { any: [{ event: "paid" }, { event: "paid", withinMs: MINUTE }] } },
    };
    const workflow = await shard.register("order", steps);
    const early = await publish(shard, "a", { c: [{ p: [] }] });
    const { task, run } = await shard.startRun(workflow);
    await shard.commit({ waits: [waiting(task("a"))] });
    const ofRun = (page: MatchPage | undefined) => page?.runs.map(({ r, n }) => [r, n]);
    expect(ofRun(await read(shard, early))).toEqual([[run, 17]]);
    const late = await publish(shard, "a", { c: [{ p: [] }] });
    expect(ofRun(await read(shard, late))).toEqual([
      [run, 16],
      [run, 17],
    ]);
  });

  test("an event that a wait may look back for has a timer, whether or not anybody waits yet", async () => {
    const shard = await TestShard.create(pool);
    const event = await publish(shard, "a", { l: true });
    expect(await shard.timers()).toMatchObject([{ id: event, kind: "match" }]);
    const again = shard.event("paid", { c: PATHS, l: true, d: -1 });
    await shard.commit({ events: [again] });
    expect(await shard.timers()).toHaveLength(1);
  });

  test("definitions tell which events are waited for, each once, and which a wait may look back for", async () => {
    const shard = await TestShard.create(pool);
    const waitFor: WaitFor = {
      any: [{ event: "a" }, { event: "a", withinMs: 5 }, { event: "b" }, { sleepMs: 5 }],
    };
    await shard.register(
      "order",
      { a: { waitFor } },
      { cancelOn: [{ event: "a" }, { event: "b" }] },
    );
    await shard.register("order", { a: [] });
    const [row] = await shard.rows<{ read: { awaited: { event: string }[] } }>(
      "select v1.read_definitions($1) as read",
      [shard.tenant],
    );
    expect(row?.read.awaited.toSorted((a, b) => (a.event < b.event ? -1 : 1))).toEqual([
      { event: "a", path: [], isLookedBackAt: true },
      { event: "b", path: [] },
    ]);
  });

  test("parents' outputs come only where the condition names them, and count by their size", async () => {
    const big = "x".repeat(5_000);
    const waitFor = {
      any: [
        { event: "paid", if: "input != event.key" },
        { event: "paid", if: "parents.pay.id != ''" },
      ],
    };
    const { shard } = await begin(waitFor, { id: big });
    const event = await publish(shard, "a", { c: [{ p: [] }] });
    expect((await read(shard, event))?.runs.map(({ p }) => p)).toEqual([{}, { pay: { id: big } }]);
    const { matches } = await shard.commit({ matches: [{ e: event, l: 9, b: 1 }] });
    expect(matches?.[0]).toMatchObject({ more: true, runs: [{ n: 32 }] });
  });

  test("a wait looks back page by page, the latest event first, at those that may be meant", async () => {
    const shard = await TestShard.create(pool);
    const look = { ...PAID, withinMs: MINUTE };
    const steps = {
      pay: [],
      ship: { parents: ["pay"], waitFor: { all: [{ event: "paid" }, look, look] } },
    };
    const workflow = await shard.register("order", steps);
    const { task, run } = await shard.startRun(workflow);
    await shard.commit({ results: [completed(task("pay"), { id: "a" })] });
    const events: string[] = [];
    for (const id of ["a", "b", "a", "a", "b", "a"]) events.push(await publish(shard, id));
    await publish(shard, "a", { k: "other" });
    const ship = task("ship");
    const { timers } = await shard.commit({ waits: [waiting(ship)] });
    expect(timers).toMatchObject([{ id: ship, k: "look" }]);
    expect((await shard.commit({ settles: [waiting(ship)] })).settles).toMatchObject([
      { t: ship, s: "look" },
    ]);

    const page = async (
      n: number,
      e: string | null,
      l: number,
      b = 2 ** 20,
    ): Promise<PastPage | undefined> => {
      const row = { t: ship, r: run, n, l, b };
      return (await shard.commit({ looks: [e === null ? row : { ...row, e }] })).looks?.[0];
    };
    expect(await page(0, null, 100)).toMatchObject({ n: 0, c: "true", events: [], more: true });
    const all = await page(1, null, 100);
    expect(all).toMatchObject({
      t: ship,
      n: 1,
      c: PAID.if,
      i: null,
      m: {},
      p: { pay: { id: "a" } },
    });
    expect(all).toMatchObject({ next: null, more: true });
    const meant = [5, 3, 2, 0].map((index) => events[index] ?? "");
    expect(all?.events.map(({ e }) => e)).toEqual(meant);
    expect(all?.events[0]).toEqual({ e: meant[0], k: "paid", p: { id: "a" }, m: { by: "x" } });
    expect(await page(2, null, 100)).toMatchObject({ n: 2, more: false });
    for (const [l, b] of [
      [1, 2 ** 20],
      [2, 2 ** 20],
      [6, 2 ** 20],
      [100, 1],
    ] as const) {
      const seen: string[] = [];
      for (let after: string | null = null; ;) {
        const read: PastPage | undefined = await page(1, after, l, b);
        seen.push(...(read?.events.map(({ e }) => e) ?? []));
        after = read?.next ?? null;
        if (after === null) break;
      }
      expect(seen).toEqual(meant);
    }
    await shard.commit({ meets: [met(ship, meant[0] ?? "", 1), met(ship, meant[0] ?? "", 2)] });
    expect(await page(1, null, 100)).toBeUndefined();
    await shard.commit({ looked: [{ t: ship }] });
    expect((await shard.timers()).filter(({ kind }) => kind === "look")).toEqual([]);
  });

  test("events that came before it looks back are out of its sight", async () => {
    const scene = await begin({ event: "paid", withinMs: MINUTE });
    const { shard, run, ship } = scene;
    const since = await shard.rows<{ since: string }>(
      "select since from v1.match where run_id = $1",
      [run],
    );
    const moment = Number.parseInt((since[0]?.since ?? "").replaceAll("-", "").slice(0, 12), 16);
    expect(moment).toBe(AT - MINUTE);
    await publish(shard, "a"); // by its id it came long before
    const { looks } = await shard.commit({ looks: [{ t: ship, r: run, n: 0, l: 9, b: 99 }] });
    expect(looks?.[0]).toMatchObject({ events: [], next: null });
  });

  test("another tenant's events and waits are neither found nor met", async () => {
    const { shard, run, ship } = await begin({ event: "paid", withinMs: MINUTE });
    const other = await TestShard.create(pool);
    const event = await publish(other, "a", { l: true });
    await shard.commit({ meets: [met(ship, event)] });
    await other.commit({
      meets: [met(ship, event)],
      elapses: [waiting(ship)],
      waits: [waiting(ship)],
    });
    expect((await shard.task(ship)).state).toBe("waiting");
    const looks = [{ t: ship, r: run, n: 0, l: 9, b: 99 }];
    expect((await other.commit({ looks })).looks).toEqual([]);
    await other.commit({ looked: [{ t: ship }] });
    expect(await shard.timers()).toHaveLength(1);
  });
});
