/** Events that a shard can't take: accepted, and published once by the drain, whatever dies on the way. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { START_TIMEOUT_MS } from "../../durable-objects/dispatcher/limits.ts";
import { RETRY_MAX_MS } from "../../messages/limits.ts";
import { newId } from "../../protocol/ids.ts";
import { everyMinute } from "../../workers/cron/every-minute.ts";
import {
  drain,
  drainAlarm,
  drainOf,
  OVERLOADED,
  publishIn,
  queued,
  ringDrain,
  shardThat,
  startedBy,
  UNREACHABLE,
} from "../support/accepting.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

let world: World;
beforeEach(async () => {
  vi.spyOn(console, "log").mockImplementation(() => {}); // much goes wrong here
  world = await createWorld();
  await world.register({ name: "order", events: ["order:*"], steps: [{ name: "pay" }] });
});

const EVENT = { key: "order:placed", payload: { total: 7 }, idempotencyKey: "order-7" };

/** What publishing the event again, once the shard is well, answers. */
async function publishAgain(of: World = world) {
  return await of.call<{ id: string; created: boolean; runs: string[] }>("POST", "/events", EVENT);
}

describe("an event is accepted", () => {
  test.each([
    ["can't be reached", UNREACHABLE],
    ["has too much to commit", OVERLOADED],
    ["has not made it durable in time", shardThat(() => Promise.resolve({ kind: "unanswered" }))],
  ])("while its shard %s, and published after", async (_what, broken) => {
    const { status, body } = await publishIn(world, broken, EVENT);
    expect(status).toBe(202);
    expect(body).toEqual({ id: expect.any(String), created: true, runs: [], accepted: true });
    expect(await startedBy(world)).toEqual({});
    await drain(world);
    expect(await startedBy(world)).toEqual({ "order:placed": 1 });
    const again = await publishAgain();
    expect(again).toMatchObject({ status: 200, body: { id: body.id, created: false } });
    expect(await world.readRun(again.body.runs[0] ?? "")).toMatchObject({
      input: { total: 7 },
      eventId: body.id,
    });
  });

  test("and its tasks go to a worker", async () => {
    const worker = await world.connectWorker({ actions: ["order:pay"] });
    await publishIn(world, OVERLOADED, EVENT);
    await drain(world);
    worker.complete(await worker.receiveTask());
    await worker.receive("recorded");
  });

  test("with others of one call: all are durable before it is answered", async () => {
    const events = Array.from({ length: 100 }, (_, n) => ({ key: `order:${n}` }));
    const { status, body } = await publishIn(world, OVERLOADED, ...events, { key: "lonely" });
    expect(status).toBe(202);
    expect(body.events.every(({ accepted, created }) => accepted && created)).toBe(true);
    expect(await queued(world)).toEqual(body.events.map(({ id }) => id));
    await drain(world);
    const started = await startedBy(world);
    expect(Object.values(started).filter((runs) => runs === 1)).toHaveLength(100);
    expect(started["lonely"]).toBe(0);
  });

  test("once by its key: whoever publishes it again hears that it waits", async () => {
    const first = await publishIn(world, OVERLOADED, EVENT);
    const again = { id: first.body.id, created: false, runs: [], accepted: true };
    expect(await publishIn(world, OVERLOADED, EVENT)).toMatchObject({ status: 202, body: again });
    // Also at a shard that is well.
    expect(await publishAgain()).toMatchObject({ status: 202, body: again });
    const bulk = await publishIn(world, {}, EVENT, { key: "order:other" });
    expect(bulk).toMatchObject({ status: 202, body: { events: [again, { created: true }] } });
    await drain(world);
    expect(await startedBy(world)).toEqual({ "order:placed": 1, "order:other": 1 });
  });

  test("and matched by the definitions of when it is published", async () => {
    await publishIn(world, OVERLOADED, EVENT);
    await world.register({ name: "mail", events: ["order:placed"], steps: [{ name: "send" }] });
    await drain(world);
    expect(await startedBy(world)).toEqual({ "order:placed": 2 });
  });

  test("not when Postgres can't be reached either: 503, and when to try again", async () => {
    const nowhere = { ...OVERLOADED, NEON_ENDPOINT: "127.0.0.1:9" };
    const { status, headers, body } = await publishIn(world, nowhere, EVENT);
    expect({ status, code: body.code }).toEqual({ status: 503, code: "database_unavailable" });
    expect(headers.get("retry-after")).toBe("2");
  });
});

test("an event whose commit lands after all is stored once, before or after its message", async () => {
  const held = await world.holdCommits();
  const asked = publishIn(world, {}, EVENT);
  await expect.poll(() => held.countWaiting()).toBe(1);
  await world.advance(START_TIMEOUT_MS, { isStuck: true });
  const { status, body } = await asked;
  expect(status).toBe(202);
  await held.release();
  await world.settled();
  expect(await startedBy(world)).toEqual({ "order:placed": 1 });
  await drain(world);
  expect(await startedBy(world)).toEqual({ "order:placed": 1 });
  expect((await publishAgain()).body).toMatchObject({ id: body.id, created: false });
});

/** Holds the tenant's commits, and has its drain wait for one of them. */
async function holdInDrain(of: World) {
  const held = await of.holdCommits();
  await publishIn(of, OVERLOADED, EVENT);
  const ringing = ringDrain(of).catch(() => false); // it may die with its drain
  await expect.poll(() => held.countWaiting()).toBe(1);
  return { held, ringing };
}

test("a drain that dies with events in hand: each is published once, by its commit or the next drain", async () => {
  const { held, ringing } = await holdInDrain(world);
  await runInDurableObject(drainOf(world), (_drain, state) => state.abort("killed")).catch(
    () => {},
  );
  await ringing;
  expect(await drainAlarm(world)).not.toBeNull();
  await held.release();
  await world.settled();
  expect(await startedBy(world)).toEqual({ "order:placed": 1 });
  expect(await queued(world)).toHaveLength(1);
  // The next life reads it at once, though it is hidden for a minute.
  await drainOf(world).nudge();
  await ringDrain(world);
  expect(await queued(world)).toEqual([]);
  expect(await startedBy(world)).toEqual({ "order:placed": 1 });
});

test("a shard that dies with the drain's events in hand: they are published once", async () => {
  const { held, ringing } = await holdInDrain(world);
  await world.crashShard();
  await held.release();
  await ringing;
  await drain(world);
  expect(await startedBy(world)).toEqual({ "order:placed": 1 });
});

test("a tenant that can take nothing keeps no other waiting, and is tried again", async () => {
  const other = await createWorld();
  await other.register({ name: "order", events: ["order:*"], steps: [{ name: "pay" }] });
  await publishIn(other, OVERLOADED, EVENT);
  const { held, ringing } = await holdInDrain(world);
  await expect.poll(() => startedBy(other)).toEqual({ "order:placed": 1 });
  await world.advance(START_TIMEOUT_MS, { isStuck: true });
  await ringing;
  expect(await queued(other)).toEqual([]);
  // It looks again when the message may be read again, and not before.
  const alarm = await drainAlarm(world);
  expect(alarm).toBeGreaterThan(Date.now());
  expect(alarm).toBeLessThanOrEqual(Date.now() + RETRY_MAX_MS);
  // What comes for the tenant meanwhile is put off without asking its shard.
  await publishIn(world, OVERLOADED, { key: "order:late" });
  await ringDrain(world);
  const asked = traffic.commitsOf(world.tenant).flatMap(({ events = [] }) => events);
  expect(asked.map(({ k }) => k)).not.toContain("order:late");
  await held.release();
  await drain(world);
  expect(await startedBy(world)).toEqual({ "order:placed": 1, "order:late": 1 });
});

test("events out of order, twice in the queue, and long gone start what they start once", async () => {
  const events = ["a", "b", "c"].map((name) => ({ key: `order:${name}`, idempotencyKey: name }));
  await publishIn(world, OVERLOADED, ...events);
  await world.sql(
    `with read as (delete from pgmq.q_events where message->>'tenant' = $1 returning msg_id, message)
       select pgmq.send('events', message) from (
         select msg_id, message from read union all select -msg_id, message from read
         union all select 0, jsonb_build_object('tenant', $1::text, 'id', $2::text)
         union all select 0, '{"not": "ours"}') again order by msg_id desc`,
    [world.tenant, newId()],
  );
  await drain(world);
  expect(await startedBy(world)).toEqual({ "order:a": 1, "order:b": 1, "order:c": 1 });
  expect(await world.sql("select from pgmq.q_events where message ? 'not'")).toEqual([]);
});

describe("an event that Postgres refuses for good", () => {
  /** Of a month without a partition. */
  const FAR = "7fffffff-0000-7000-8000-000000000001";

  async function acceptFar(): Promise<void> {
    await world.sql("delete from v1.message where id = $1", [FAR]);
    await world.sql(
      `select v1.send_message($1, 'events', 'event', '{"k": "order:far", "p": 1, "m": {}}', $2)`,
      [world.tenant, FAR],
    );
  }

  test("is dead, alone, with why; sent again when that is mended, it is published", async () => {
    const beside = Array.from({ length: 5 }, (_, n) => ({ key: `order:${n}` }));
    await publishIn(world, OVERLOADED, ...beside.slice(0, 2));
    await acceptFar();
    await publishIn(world, OVERLOADED, ...beside.slice(2));
    await drain(world);
    expect(Object.keys(await startedBy(world))).toHaveLength(5);
    const list = await world.call<{ items: unknown[] }>("GET", "/messages/dead");
    const reason = { code: "refused", message: expect.stringContaining("partition") };
    expect(list.body.items).toMatchObject([{ id: FAR, kind: "event", queue: "events", reason }]);

    expect((await world.call("POST", `/messages/dead/${FAR}/resend`)).status).toBe(200);
    await drain(world);
    expect((await world.call("GET", `/messages/dead/${FAR}`)).body).toMatchObject({ reads: 1 });

    await world.sql(
      `create table if not exists v1.event_far partition of v1.event
         for values from ('7fffffff-0000-0000-0000-000000000000') to ('7fffffff-ffff-0000-0000-000000000000')`,
    );
    expect((await world.call("POST", `/messages/dead/${FAR}/resend`)).status).toBe(200);
    await drain(world);
    expect(await startedBy(world)).toMatchObject({ "order:far": 1 });
    expect((await world.call("GET", `/messages/dead/${FAR}`)).status).toBe(404);
    await world.sql("drop table v1.event_far");
  });
});

test("a message of a kind that nobody handles is dead, and says so", async () => {
  await world.sql("select v1.send_message($1, 'events', 'unheard-of', '{}')", [world.tenant]);
  await drain(world);
  const { body } = await world.call<{ items: unknown[] }>("GET", "/messages/dead");
  expect(body.items).toMatchObject([{ kind: "unheard-of", reason: { code: "unknown_kind" } }]);
});

test("an accepted event keeps its scope, and is held to the filters of when it is published", async () => {
  const event = { key: "order:placed", scope: "acme", payload: { total: 7 } };
  await publishIn(world, OVERLOADED, event);
  for (const [scope, expression] of [
    ["acme", "input.total > 5"],
    ["acme", "input.total > 50"],
    ["other", "true"],
  ]) {
    const filter = { workflow: "order", scope, expression };
    expect((await world.call("POST", "/filters", filter)).status).toBe(201);
  }
  await drain(world);
  expect(await startedBy(world)).toEqual({ "order:placed": 1 });
  const { body } = await world.call<{ items: unknown[] }>("GET", "/events");
  expect(body.items).toMatchObject([{ key: "order:placed", scope: "acme" }]);
});

describe("the drain", () => {
  test("sleeps when nothing is left, and looks no more", async () => {
    await publishIn(world, OVERLOADED, EVENT);
    await drain(world);
    await world.sql("delete from pgmq.q_events"); // what other tests have left
    await ringDrain(world);
    expect(await drainAlarm(world)).toBeNull();
    expect(await ringDrain(world)).toBe(false);
  });

  test("takes what it is nudged for while it reads", async () => {
    const { held, ringing } = await holdInDrain(world);
    const other = await createWorld();
    await publishIn(other, OVERLOADED, { key: "lonely" });
    await held.release();
    await ringing;
    await expect.poll(() => startedBy(other)).toEqual({ lonely: 0 });
    await drain(world);
  });

  test("that was not nudged is found by the clock", async () => {
    const deaf = { getByName: () => ({ nudge: () => Promise.reject(new Error("no drain")) }) };
    const { status } = await publishIn(world, { ...OVERLOADED, QUEUE_DRAIN: deaf }, EVENT);
    expect(status).toBe(202);
    const nudged: string[] = [];
    const getByName = (name: string) => ({
      nudge: () => {
        nudged.push(name);
        return Promise.resolve();
      },
    });
    const silent = { getByName: () => ({ nudge: () => Promise.resolve() }) };
    const DISPATCHER = silent as unknown as World["env"]["DISPATCHER"];
    await everyMinute({ ...world.env, DISPATCHER, QUEUE_DRAIN: { getByName } });
    // Other tests of the same database may leave something in the other queue.
    expect(nudged).toContain("events/0");
    await drain(world);
    nudged.length = 0;
    await world.sql("delete from pgmq.q_events");
    await everyMinute({ ...world.env, DISPATCHER, QUEUE_DRAIN: { getByName } });
    expect(nudged).not.toContain("events/0");
  });
});

describe("with Cloudflare Queues", () => {
  const MESSAGE_BROKER = "cloudflare-queues";

  test("an event is accepted and published, and pgmq has nothing of it", async () => {
    const { status } = await publishIn(world, { ...OVERLOADED, MESSAGE_BROKER }, EVENT);
    expect(status).toBe(202);
    expect(await queued(world)).toEqual([]);
    await expect.poll(() => startedBy(world)).toEqual({ "order:placed": 1 });
    await traffic.settled();
  });

  test("what the broker was not told, or has lost, the clock hands to it", async () => {
    const EVENTS_QUEUE = {
      sendBatch: () => Promise.reject(new Error("no queue")),
    } as unknown as NonNullable<World["env"]["EVENTS_QUEUE"]>;
    const broken = { ...OVERLOADED, MESSAGE_BROKER, EVENTS_QUEUE };
    expect((await publishIn(world, broken, EVENT)).status).toBe(202);
    await world.sql("update v1.message set due_at = clock_timestamp() where tenant_id = $1", [
      world.tenant,
    ]);
    const silent = { getByName: () => ({ nudge: () => Promise.resolve() }) };
    const DISPATCHER = silent as unknown as World["env"]["DISPATCHER"];
    await everyMinute({ ...world.env, DISPATCHER, QUEUE_DRAIN: silent, MESSAGE_BROKER });
    await expect.poll(() => startedBy(world)).toEqual({ "order:placed": 1 });
    await traffic.settled();
  });

  test("what was left with the other broker is handed over", async () => {
    const EVENTS_QUEUE = { sendBatch: () => Promise.resolve() } as unknown as NonNullable<
      World["env"]["EVENTS_QUEUE"]
    >;
    await publishIn(world, { ...OVERLOADED, MESSAGE_BROKER, EVENTS_QUEUE }, EVENT);
    await world.sql("update v1.message set due_at = clock_timestamp() where tenant_id = $1", [
      world.tenant,
    ]);
    const silent = { getByName: () => ({ nudge: () => Promise.resolve() }) };
    const DISPATCHER = silent as unknown as World["env"]["DISPATCHER"];
    await everyMinute({ ...world.env, DISPATCHER, QUEUE_DRAIN: silent });
    expect(await queued(world)).toHaveLength(1);
    await drain(world);
    expect(await startedBy(world)).toEqual({ "order:placed": 1 });
  });
});
