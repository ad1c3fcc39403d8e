/**
 * The way to the Durable Objects of a tenant, its shards and its clock: near its location hint and within its
 * jurisdiction. Nobody else knows a namespace of theirs, because an object that is called without its
 * jurisdiction is another object.
 *
 * workerd by itself has one location and no jurisdictions: it takes any hint and goes by none, and throws
 * where a jurisdiction is asked for. So a tenant with one can't be made locally (`whyNotWithin`), and
 * tests show with namespaces of their own that every way leads through the right one.
 */
import type { DispatcherShard } from "../durable-objects/dispatcher-shard.ts";
import { shardName } from "../durable-objects/dispatcher/shard-name.ts";
import { queryOverHttp } from "../database/connect.ts";
import { homeDatabase } from "../database/tenant-database.ts";
import { type Place, readPlaces } from "../database/tenants.ts";
import type { Jurisdiction } from "../protocol/tenant-bodies.ts";
import { errorFields, type Logger } from "../telemetry/log.ts";
import type { ClockStub, Environment, Namespace } from "./environment.ts";

export type ShardStub = DurableObjectStub<DispatcherShard>;

/** Tenants whose place an isolate remembers, some 200 bytes each; beyond it the longest unused go. */
const MAX_REMEMBERED = 10_000;

/** For good: a jurisdiction never changes, and a hint is heard once. */
const remembered = new Map<string, Place>();

/** Calls a shard of a tenant, once, on a new stub: one that has failed stays broken. */
export async function reachShard<Answer>(
  env: Environment,
  tenant: string,
  shard: number,
  call: (stub: ShardStub) => Promise<Answer>,
): Promise<Answer> {
  const place = await placeOf(env, tenant);
  return await call(stubOf(env.DISPATCHER, shardName({ tenant, shard }), place));
}

/** The same for the clock of its schedules. */
export async function reachClock(
  env: Environment,
  tenant: string,
  call: (stub: ClockStub) => Promise<void>,
): Promise<void> {
  const place = await placeOf(env, tenant);
  await call(stubOf(env.SCHEDULE_CLOCK, tenant, place));
}

/** Whoever has read it anyway spares the next call a query. */
export function rememberPlace(tenant: string, place: Place): void {
  remembered.delete(tenant);
  remembered.set(tenant, place);
  for (const oldest of remembered.keys()) {
    if (remembered.size <= MAX_REMEMBERED) break;
    remembered.delete(oldest);
  }
}

/** Before many are called: one query for all of them. Without its answer each asks for itself. */
export async function learnPlaces(
  env: Environment,
  log: Logger,
  tenants: Iterable<string>,
): Promise<void> {
  const unknown = [...new Set(tenants)].filter((tenant) => !remembered.has(tenant));
  if (unknown.length === 0) return;
  try {
    for (const [tenant, place] of await readPlaces(queryOverHttp(homeDatabase(env)), unknown)) {
      rememberPlace(tenant, place);
    }
  } catch (error) {
    log.warn("places.not_read", errorFields(error));
  }
}

/** Why objects can't be had within this jurisdiction; undefined: they can. */
export function whyNotWithin(env: Environment, jurisdiction: Jurisdiction): string | undefined {
  try {
    env.DISPATCHER.jurisdiction(jurisdiction);
    return undefined;
  } catch (error) {
    return errorFields(error).error;
  }
}

async function placeOf(env: Environment, tenant: string): Promise<Place> {
  const known = remembered.get(tenant) ?? (await readPlace(env, tenant));
  rememberPlace(tenant, known);
  return known;
}

async function readPlace(env: Environment, tenant: string): Promise<Place> {
  const places = await readPlaces(queryOverHttp(homeDatabase(env)), [tenant]);
  const place = places.get(tenant);
  if (place === undefined) throw new Error(`There is no tenant ${tenant}`);
  return place;
}

function stubOf<Stub>(
  namespace: Namespace<Stub>,
  name: string,
  { locationHint, jurisdiction }: Place,
): Stub {
  const within = jurisdiction === null ? namespace : namespace.jurisdiction(jurisdiction);
  return locationHint === null ? within.getByName(name) : within.getByName(name, { locationHint });
}
