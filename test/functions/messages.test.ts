/**
 * Messages as SQL: sent with the transaction that causes them or not at all, opened, taken by the commit
 * that has their effect, buried, sent again and deleted.
 */
import type pg from "pg";
import { describe, expect, inject, test } from "vitest";
import type { EventRow } from "../../database/rows.ts";
import type { MessageRow } from "../../database/message-rows.ts";
import {
  acceptEvents,
  buryMessages,
  deleteMessages,
  openMessages,
  resendMessages,
} from "../../database/messages.ts";
import { newId } from "../../protocol/ids.ts";
import { openPool, queryOf, type Registered, TestShard, untilBlocked } from "./support.ts";

const MANY = 1_000_000;

describe.each(inject("databases"))("messages on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  async function accept(
    shard: TestShard,
    events: EventRow[],
    { broker = "pgmq" as const, most = MANY, at = Date.now() } = {},
  ) {
    const accepted = events.map(({ id, k, ik, p, m }) => ({ id, k, ik, p, m }));
    return await acceptEvents(query, shard.tenant, { events: accepted, broker, at, most });
  }

  async function open(shard: TestShard, ids: string[], bytes = MANY): Promise<MessageRow[]> {
    const brought = ids.map((id) => ({ tenant: shard.tenant, id, reads: 1 }));
    return (await openMessages(query, brought, bytes)).opened;
  }

  /** Ids of a tenant's that pgmq has, in order. */
  async function inPgmq(shard: TestShard, queue: string): Promise<string[]> {
    const rows = await shard.rows<{ id: string }>(
      `select message->>'id' as id from pgmq.q_${queue} where message->>'tenant' = $1 order by msg_id`,
      [shard.tenant],
    );
    return rows.map(({ id }) => id);
  }

  async function rowsOf(shard: TestShard): Promise<Record<string, unknown>[]> {
    return await shard.rows("select * from v1.message where tenant_id = $1 order by id", [
      shard.tenant,
    ]);
  }

  async function inTransaction<Result>(
    end: "commit" | "rollback",
    work: (client: pg.PoolClient) => Promise<Result>,
  ): Promise<Result> {
    const client = await pool.connect();
    try {
      await client.query("begin");
      const result = await work(client);
      await client.query(end);
      return result;
    } finally {
      client.release();
    }
  }

  const send = "select v1.send_message($1, 'commands', 'probe', '{\"a\": 1}') as id";

  test("a message is sent with its transaction, and the commit in it says so", async () => {
    const shard = await TestShard.create(pool);
    const { id, reply } = await inTransaction("commit", async (client) => {
      const { rows } = await client.query<{ id: string }>(send, [shard.tenant]);
      return { id: rows[0]?.id, reply: await shard.commit({}, client) };
    });
    expect(reply.sent).toEqual([{ queue: "commands" }]);
    expect(await rowsOf(shard)).toMatchObject([
      { id, queue: "commands", kind: "probe", body: { a: 1 }, bytes: 8, reads: 0, died_at: null },
    ]);
    expect(await inPgmq(shard, "commands")).toEqual([id]);
    expect((await shard.commit({})).sent).toBeUndefined();
  });

  test("a message of a transaction that is undone is not sent", async () => {
    const shard = await TestShard.create(pool);
    await inTransaction("rollback", (client) => client.query(send, [shard.tenant]));
    expect(await rowsOf(shard)).toEqual([]);
    expect(await inPgmq(shard, "commands")).toEqual([]);
  });

  test("with another broker nothing is in pgmq, and whoever commits is told the ids", async () => {
    const shard = await TestShard.create(pool);
    const { ids, reply } = await inTransaction("commit", async (client) => {
      await client.query("select set_config('skein.broker', 'cloudflare-queues', true)");
      const sent: string[] = [];
      for (let n = 0; n < 2; n++) sent.push((await client.query(send, [shard.tenant])).rows[0].id);
      return { ids: sent, reply: await shard.commit({ broker: "cloudflare-queues" }, client) };
    });
    expect(reply.sent).toEqual(
      ids.map((id) => ({ queue: "commands", tenant: shard.tenant, ids: [id] })),
    );
    expect(await inPgmq(shard, "commands")).toEqual([]);
    expect((await rowsOf(shard)).map(({ due_at: due }) => due)).toEqual([
      expect.any(Date),
      expect.any(Date),
    ]);
  });

  test("the setting of one transaction is not the next one's on the same connection", async () => {
    const shard = await TestShard.create(pool);
    const client = await pool.connect();
    try {
      await shard.commit({ broker: "cloudflare-queues" }, client);
      await client.query(send, [shard.tenant]);
      expect(await inPgmq(shard, "commands")).toHaveLength(1);
      expect((await shard.commit({}, client)).sent).toBeUndefined();
    } finally {
      client.release();
    }
  });

  test("an accepted event waits in its queue, once by its key", async () => {
    const shard = await TestShard.create(pool);
    const [first, again, free] = [
      shard.event("x", { ik: "k", p: 1 }),
      shard.event("x", { ik: "k", p: 2 }),
      shard.event("y"),
    ];
    expect(await accept(shard, [first, free])).toEqual({ known: {}, sent: [{ queue: "events" }] });
    expect(await accept(shard, [again])).toEqual({
      known: { [again.id]: { id: first.id, runs: null } },
      sent: [],
    });
    // The same call, sent twice on its way.
    const repeated = await accept(shard, [first, free]);
    expect(repeated?.sent).toEqual([]);
    expect(await inPgmq(shard, "events")).toEqual([first.id, free.id]);
    expect(await open(shard, [first.id, free.id, again.id])).toMatchObject([
      { id: first.id, kind: "event", body: { k: "x", ik: "k", p: 1, m: {} }, reads: 1 },
      { id: free.id, kind: "event", body: { k: "y", p: null, m: {} } },
    ]);
  });

  test("an event that was published is not accepted: whoever asks hears of its runs", async () => {
    const shard = await TestShard.create(pool);
    const [published, keyed] = [shard.event("x"), shard.event("x", { ik: "k" })];
    await shard.commit({ events: [published, keyed] });
    const again = shard.event("x", { ik: "k" });
    expect(await accept(shard, [published, again])).toEqual({
      known: {
        [published.id]: { id: published.id, runs: [] },
        [again.id]: { id: keyed.id, runs: [] },
      },
      sent: [],
    });
  });

  test("no more events are accepted than may wait", async () => {
    const shard = await TestShard.create(pool);
    expect(await accept(shard, [shard.event("x"), shard.event("x")], { most: 3 })).toBeDefined();
    expect(await accept(shard, [shard.event("x"), shard.event("x")], { most: 3 })).toBeUndefined();
    expect(await accept(shard, [shard.event("x")], { most: 3 })).toBeDefined();
    expect(await accept(shard, [shard.event("x")], { most: 3 })).toBeUndefined();
    expect(await inPgmq(shard, "events")).toHaveLength(3);
  });

  /** An event as its drain publishes it, and the run it starts. */
  function published(shard: TestShard, workflow: Registered, event: EventRow) {
    const start = shard.start(workflow);
    return {
      events: [{ ...event, d: shard.definitions, r: [start.id], q: true as const }],
      starts: [{ ...start, e: event.id }],
    };
  }

  test("the commit that removes the message stores the event and starts its runs; no other does", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const event = shard.event("x", { ik: "k" });
    await accept(shard, [event]);
    const [taken, late] = [1, 2].map(() => published(shard, workflow, event));
    if (!taken || !late) throw new Error("two");
    const request = shard.request(taken);
    expect(await shard.send(request)).toMatchObject({ events: {}, starts: {} });
    expect(await rowsOf(shard)).toEqual([]);
    const runs = [taken.starts[0]?.id];
    expect(await shard.commit(late)).toMatchObject({
      events: { [event.id]: { id: event.id, runs } },
      starts: { [late.starts[0]?.id ?? ""]: "stale" },
    });
    expect(await shard.hasRun(late.starts[0]?.id ?? "")).toBe(false);
    // The first once more, after its answer was lost.
    expect(await shard.send(request)).toMatchObject({ events: {}, starts: {}, repeated: true });
    expect(await accept(shard, [event])).toMatchObject({ known: { [event.id]: { runs } } });
  });

  test("an event that its own shard has stored meanwhile is not stored again, nor the other way round", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    for (const order of ["shard first", "message first"]) {
      const event = shard.event("x", { ik: order });
      const direct = published(shard, workflow, event);
      for (const row of direct.events) delete (row as EventRow).q;
      const drained = published(shard, workflow, event);
      await accept(shard, [event]);
      const [winner, loser] = order === "shard first" ? [direct, drained] : [drained, direct];
      expect(await shard.commit(winner)).toMatchObject({ events: {}, starts: {} });
      expect(await shard.commit(loser)).toMatchObject({
        events: { [event.id]: { id: event.id, runs: [winner.starts[0]?.id] } },
        starts: { [loser.starts[0]?.id ?? ""]: "stale" },
      });
      expect(
        await shard.rows("select from v1.workflow_run where event_id = $1", [event.id]),
      ).toHaveLength(1);
      expect(await rowsOf(shard)).toEqual([]);
    }
  });

  test("a message that is matched against older definitions stays", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const event = shard.event("x");
    await accept(shard, [event]);
    const stale = published(shard, workflow, event);
    for (const row of stale.events) row.d--;
    expect(await shard.commit(stale)).toMatchObject({ events: { [event.id]: "stale" } });
    expect(await rowsOf(shard)).toHaveLength(1);
    expect(await shard.commit(published(shard, workflow, event))).toMatchObject({ events: {} });
    expect(await rowsOf(shard)).toEqual([]);
  });

  test("an event whose key another one has by now goes, and starts nothing", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const event = shard.event("x", { ik: "k" });
    const long = Date.now() - 2 * 86_400_000; // so long ago that its key is free again
    await accept(shard, [event], { at: long });
    const other = shard.event("x", { ik: "k" });
    await shard.commit({ events: [other] });
    expect(await shard.commit(published(shard, workflow, event))).toMatchObject({
      events: { [event.id]: { id: other.id, runs: [] } },
    });
    expect(await rowsOf(shard)).toEqual([]);
    expect(
      await shard.rows("select from v1.workflow_run where tenant_id = $1", [shard.tenant]),
    ).toEqual([]);
  });

  test("another tenant's commit takes no message, and opens none", async () => {
    const [shard, other] = [await TestShard.create(pool), await TestShard.create(pool)];
    const event = shard.event("x");
    await accept(shard, [event]);
    const theirs = { ...event, d: other.definitions, q: true as const };
    expect(await other.commit({ events: [theirs] })).toMatchObject({
      events: { [event.id]: { id: event.id, runs: null } },
    });
    expect(await open(other, [event.id])).toEqual([]);
    expect(await open(shard, [event.id])).toHaveLength(1);
  });

  test("no more is opened than fits, but always one", async () => {
    const shard = await TestShard.create(pool);
    const events = [1, 2, 3].map(() => shard.event("x", { p: "y".repeat(1_000) }));
    const ids = events.map(({ id }) => id);
    await accept(shard, events);
    const brought = ids.map((id) => ({ tenant: shard.tenant, id, reads: 4 }));
    const { opened, left } = await openMessages(query, brought, 1_500);
    expect(opened.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(left).toEqual(ids.slice(2));
    expect((await openMessages(query, brought, 1)).opened).toHaveLength(1);
    expect((await rowsOf(shard)).map(({ reads }) => reads)).toEqual([4, 4, 0]);
  });

  const reason = { code: "refused" as const, message: "no such thing" };

  test("a dead message is not opened or taken, until it is sent again", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const event = shard.event("x", { ik: "k" });
    await accept(shard, [event]);
    const refused = [{ tenant: shard.tenant, id: event.id, reason }];
    await buryMessages(query, refused);
    await buryMessages(query, refused);
    expect(await rowsOf(shard)).toMatchObject([{ reason, died_at: expect.any(Date) }]);
    expect(await inPgmq(shard, "dead")).toEqual([event.id]);
    expect(await open(shard, [event.id])).toEqual([]);
    expect(await shard.commit(published(shard, workflow, event))).toMatchObject({
      events: { [event.id]: { id: event.id, runs: null } },
    });
    const again = await resendMessages(query, shard.tenant, [event.id, newId()], "pgmq");
    expect(again).toEqual({ ids: [event.id], sent: [{ queue: "events" }] });
    expect(await inPgmq(shard, "dead")).toEqual([]);
    expect(await inPgmq(shard, "events")).toEqual([event.id, event.id]);
    expect((await resendMessages(query, shard.tenant, [event.id], "pgmq")).ids).toEqual([]);
    expect(await shard.commit(published(shard, workflow, event))).toMatchObject({ events: {} });
  });

  test("a message that is deleted gives its key back; only the dead can be", async () => {
    const [shard, other] = [await TestShard.create(pool), await TestShard.create(pool)];
    const event = shard.event("x", { ik: "k" });
    await accept(shard, [event]);
    expect(await deleteMessages(query, shard.tenant, [event.id])).toEqual([]);
    await buryMessages(query, [{ tenant: shard.tenant, id: event.id, reason }]);
    expect(await deleteMessages(query, other.tenant, [event.id])).toEqual([]);
    expect((await resendMessages(query, other.tenant, [event.id], "pgmq")).ids).toEqual([]);
    expect(await deleteMessages(query, shard.tenant, [event.id])).toEqual([event.id]);
    expect(await rowsOf(shard)).toEqual([]);
    expect(await inPgmq(shard, "dead")).toEqual([]);
    const next = shard.event("x", { ik: "k" });
    expect((await shard.commit({ events: [next] })).events).toEqual({});
  });

  // PGlite has one session, in which nobody waits for anybody.
  if (database.name === "Postgres") {
    test("two commits that take one message at once: one has the effect", async () => {
      const shard = await TestShard.create(pool);
      const workflow = await shard.register("one", { a: [] });
      const event = shard.event("x", { ik: "k" });
      await accept(shard, [event]);
      const client = await pool.connect();
      try {
        await client.query("begin");
        const first = published(shard, workflow, event);
        await shard.commit(first, client);
        const waiting = shard.commit(published(shard, workflow, event));
        await untilBlocked(shard, client);
        await client.query("commit");
        expect((await waiting).events).toEqual({
          [event.id]: { id: event.id, runs: [first.starts[0]?.id] },
        });
      } finally {
        client.release();
      }
      expect(
        await shard.rows("select from v1.workflow_run where event_id = $1", [event.id]),
      ).toHaveLength(1);
    });
  }
});
