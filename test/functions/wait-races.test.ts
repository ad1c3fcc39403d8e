/**
 * Waits and events at the same time, on a real Postgres: whichever is committed first, an event that a wait
 * may look back for finds it or is found (rule R8), and a wait ends once.
 */
import type pg from "pg";
import { describe, expect, test } from "vitest";
import type { SettleRow } from "../../database/match-rows.ts";
import type { WaitFor } from "../../protocol/wait-bodies.ts";
import { met, waiting } from "./rows.ts";
import { openPool, postgres, TestShard, untilBlocked } from "./support.ts";

const AT = 1_800_000_000_000;
const MINUTE = 60_000;

interface Scene {
  shard: TestShard;
  run: string;
  task: string;
}

describe.runIf(postgres)("waits at the same time as", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });

  async function begin(waitFor: WaitFor): Promise<Scene> {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("one", { a: { waitFor } }));
    return { shard, run, task: task("a") };
  }

  /** Runs one side in a transaction of its own, and the other while that is open. */
  async function during(
    first: (client: pg.PoolClient) => Promise<unknown>,
    second: (client: pg.PoolClient) => Promise<unknown>,
  ): Promise<void> {
    const client = await pool.connect();
    try {
      await client.query("begin");
      await first(client);
      await second(client);
      await client.query("commit");
    } finally {
      client.release();
    }
  }

  /** Whether the event finds the wait, and whether the wait, which has begun now, finds the event. */
  async function found({ shard, run, task }: Scene, event: string): Promise<[boolean, boolean]> {
    const hasTimer = (await shard.timers()).some(({ id }) => id === event);
    const matches = [{ e: event, l: 9, b: 999 }];
    const page = hasTimer ? (await shard.commit({ matches })).matches?.[0] : undefined;
    const looks = [{ t: task, r: run, n: 0, l: 9, b: 999 }];
    const past = (await shard.commit({ looks })).looks?.[0];
    return [page?.runs.length === 1, past?.events.length === 1];
  }

  test("an event that is stored later than the wait looks back, though it came sooner", async () => {
    const scene = await begin({ event: "paid", withinMs: MINUTE });
    const { shard, run, task } = scene;
    const event = shard.event("paid", { c: [{ p: [] }], l: true });
    await during(
      (client) => shard.commit({ events: [event] }, client),
      async () => {
        await shard.commit({ waits: [waiting(task)] });
        const { looks } = await shard.commit({ looks: [{ t: task, r: run, n: 0, l: 9, b: 999 }] });
        expect(looks?.[0]?.events).toEqual([]);
      },
    );
    expect((await found(scene, event.id))[0]).toBe(true);
  });

  test("a wait that is stored later than the event looked who waits for it", async () => {
    const scene = await begin({ event: "paid", withinMs: MINUTE });
    const { shard, task } = scene;
    const event = shard.event("paid", { c: [{ p: [] }], l: true });
    await during(
      (client) => shard.commit({ waits: [waiting(task)] }, client),
      async () => {
        await shard.commit({ events: [event] });
        const matches = [{ e: event.id, l: 9, b: 999 }];
        expect((await shard.commit({ matches })).matches?.[0]?.runs).toEqual([]);
        await shard.commit({ matched: [{ e: event.id }] });
      },
    );
    expect(await found(scene, event.id)).toEqual([false, true]);
  });

  describe("an event of another shard, which a wait without a look back", () => {
    /** What is certain of the wait, and the events that it may have missed. */
    async function ask({ shard, run, task }: Scene, row: Partial<SettleRow> = {}) {
      const { settles } = await shard.commit({ settles: [{ ...waiting(task), ...row }] });
      const looks = [{ t: task, r: run, n: 0, l: 9, b: 999, s: true as const }];
      const { looks: pages } = await shard.commit({ looks });
      return { ...settles?.[0], missed: pages?.[0]?.events.map(({ e }) => e) };
    }

    test("was stored later than, is found once the wait is there", async () => {
      const scene = await begin({ event: "paid", timeoutMs: MINUTE });
      const { shard, task } = scene;
      const other = await shard.another(1);
      let event = "";
      await during(
        (client) => shard.commit({ waits: [waiting(task)] }, client),
        async () => {
          const row = other.event("paid", { c: [{ p: [] }] });
          const { touched } = await other.commit({ events: [row] });
          expect([touched, await shard.timers()]).toEqual([[], []]); // it has found nobody
          event = row.id;
        },
      );
      expect(await ask(scene)).toMatchObject({ s: "look", missed: [event] });
    });

    test("was stored sooner than, is waited for, and found once it is there", async () => {
      const scene = await begin({ event: "paid", timeoutMs: MINUTE });
      const { shard, task } = scene;
      const other = await shard.another(1);
      const at = Date.now() - 1;
      let event = "";
      let horizon: string | null | undefined;
      await during(
        async (client) => {
          const row = other.event("paid", { c: [{ p: [] }] });
          const { touched } = await other.commit({ events: [row] }, client);
          expect(touched).toEqual([]);
          event = row.id;
        },
        async () => {
          await shard.commit({ at, waits: [waiting(task)] });
          const first = await ask(scene);
          expect(first).toMatchObject({ s: "rest", h: expect.any(String), missed: [] });
          horizon = first.h;
          for (const f of [{}, { f: true as const }]) {
            const { h: again, s } = await ask(scene, { h: horizon ?? "", ...f });
            expect([again, s]).toEqual([horizon, "rest"]);
          }
          // Until then no moment ends it.
          const late = { at: at + MINUTE, elapses: [waiting(task)] };
          expect((await shard.commit(late)).ready).toEqual([]);
        },
      );
      const row = { h: horizon ?? "", f: true as const };
      expect(await ask(scene, row)).toMatchObject({ s: "look", h: null, missed: [event] });
    });
  });

  test("a transaction that stores no event of the tenant keeps nobody waiting for long", async () => {
    const scene = await begin({ event: "paid", timeoutMs: MINUTE });
    const { shard, task } = scene;
    const stranger = await TestShard.create(pool);
    await during(
      (client) => stranger.commit({ events: [stranger.event("paid")] }, client),
      async () => {
        await shard.commit({ waits: [waiting(task)] });
        const { settles } = await shard.commit({ settles: [waiting(task)] });
        expect(settles).toMatchObject([{ t: task, s: "rest" }]);
        const [first] = settles ?? [];
        const again = { ...waiting(task), h: first?.h ?? "", f: true as const };
        const reply = await shard.commit({ settles: [again] });
        expect(reply.settles).toEqual([{ t: task, s: "over", h: null }]);
        expect(await shard.timers()).toMatchObject([{ kind: "wait" }]);
      },
    );
  });

  test.each(["the event", "the end of its time"])(
    "each other: %s was first, and wins",
    async (first) => {
      const { shard, task } = await begin({ event: "paid", timeoutMs: MINUTE });
      await shard.commit({ at: AT, waits: [waiting(task)] });
      await shard.commit({ settles: [{ ...waiting(task), f: true }] });
      const event = shard.event("paid", { c: [{ p: [] }] });
      await shard.commit({ at: AT + MINUTE + 1, events: [event] });
      const sides = [
        { at: AT + MINUTE, meets: [met(task, event.id)] },
        { at: AT + MINUTE, elapses: [waiting(task)] },
      ];
      if (first !== "the event") sides.reverse();
      const [one = {}, two = {}] = sides;
      let later: Promise<{ ready?: unknown[] }> | undefined;
      await during(
        async (client) => {
          const { ready } = await shard.commit(one, client);
          expect(ready).toMatchObject([{ id: task, waited: { isMet: first === "the event" } }]);
        },
        async (client) => {
          later = shard.commit(two);
          await untilBlocked(shard, client);
        },
      );
      expect((await later)?.ready).toEqual([]);
      expect(await shard.task(task)).toMatchObject({ state: "queued" });
    },
  );
});
