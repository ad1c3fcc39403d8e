/**
 * Events that a shard can't take, and the drain that publishes them: what tests of both need. Only one test
 * file may have drains read: the queues are all tenants'.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect } from "vitest";
import type { StartAnswer } from "../../durable-objects/shard-calls.ts";
import { RETRY_MAX_MS } from "../../messages/limits.ts";
import { drainName } from "../../messages/drain-name.ts";
import type { PublishedEvent, PublishEvent } from "../../protocol/http.ts";
import { app } from "../../workers/api/app.ts";
import type { Environment } from "../../workers/environment.ts";
import type { QueueDrain } from "../../workers/messages/queue-drain.ts";
import { traffic } from "./traffic.ts";
import type { World } from "./world.ts";

/** Reads until a queue is empty: many more than any test needs. */
const MAX_ALARMS = 50;

export interface AcceptAnswer {
  status: number;
  headers: Headers;
  body: PublishedEvent & { events: PublishedEvent[]; code?: string };
}

/** A shard that answers so, or fails to, whatever it is asked to start. */
export function shardThat(start: () => Promise<StartAnswer>): Partial<Environment> {
  return { DISPATCHER: { getByName: () => ({ start }) } as unknown as Environment["DISPATCHER"] };
}

export const UNREACHABLE = shardThat(() => Promise.reject(new Error("no shard")));
export const OVERLOADED = shardThat(() => Promise.resolve({ kind: "overloaded" }));

/** Publishes events as the world's tenant, where not everything is as it should be. */
export async function publishIn(
  world: World,
  broken: Partial<Environment>,
  ...events: PublishEvent[]
): Promise<AcceptAnswer> {
  await world.call("GET", "/shards"); // its isolate knows the token
  const [path, body] = events.length === 1 ? ["", events[0]] : ["/bulk", { events }];
  const response = await app.request(
    `/api/v1/events${path}`,
    {
      method: "POST",
      headers: { authorization: `Bearer ${world.token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    },
    { ...world.env, ...broken },
  );
  const { status, headers } = response;
  return { status, headers, body: await response.json() };
}

export function drainOf(world: World): DurableObjectStub<QueueDrain> {
  const drains = world.env.QUEUE_DRAIN as DurableObjectNamespace<QueueDrain>;
  return drains.getByName(drainName({ queue: "events", partition: 0 }));
}

export async function drainAlarm(world: World): Promise<number | null> {
  return await runInDurableObject(drainOf(world), (_drain, state) => state.storage.getAlarm());
}

/** Has the drain's alarm go off; false when it has none. */
export async function ringDrain(world: World): Promise<boolean> {
  return await runDurableObjectAlarm(drainOf(world));
}

/** Lets time pass until what is hidden, or was put off, can be read. */
async function showHidden(world: World): Promise<void> {
  const text = "update pgmq.q_events set vt = clock_timestamp() where message->>'tenant' = $1";
  await world.sql(text, [world.tenant]);
}

/** Has the drain read until nothing of the tenant's is left in the queue. */
export async function drain(world: World): Promise<void> {
  for (let alarms = 0; (await queued(world)).length > 0; alarms++) {
    expect(alarms, "The drain leaves messages in the queue").toBeLessThan(MAX_ALARMS);
    if (alarms > 0) await world.advance(RETRY_MAX_MS); // a tenant that could take nothing rests
    await showHidden(world);
    await drainOf(world).nudge();
    await ringDrain(world);
  }
  await traffic.settled();
}

/** Ids of the tenant's messages that pgmq has. */
export async function queued(world: World): Promise<string[]> {
  const text = `select message->>'id' as id from pgmq.q_events where message->>'tenant' = $1 order by msg_id`;
  return (await world.sql(text, [world.tenant])).map(({ id }) => String(id));
}

/** Runs that each event of the tenant has started, by the event's key. */
export async function startedBy(world: World): Promise<Record<string, number>> {
  const rows = await world.sql(
    `select e.key, count(r.id)::integer as runs, count(distinct e.id)::integer as events, max(cardinality(e.runs)) as told
       from v1.event e left join v1.workflow_run r on r.event_id = e.id
       where e.tenant_id = $1 group by e.key`,
    [world.tenant],
  );
  for (const { key, events, told, runs } of rows) {
    expect({ key, events, told }).toEqual({ key, events: 1, told: runs });
  }
  return Object.fromEntries(rows.map(({ key, runs }) => [String(key), Number(runs)]));
}
