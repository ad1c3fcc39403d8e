/**
 * Calls from the edge Worker to a shard. A stub that has failed is thrown away; a call that may
 * safely be repeated is, because a shard can vanish at any time and come back at once.
 */
import type { Context } from "hono";
import type { StartAnswer } from "../durable-objects/shard-calls.ts";
import type { StartCall, StartOutcome } from "../durable-objects/dispatcher/transitions.ts";
import type { TaskError } from "../protocol/errors.ts";
import { shardNumbers } from "../protocol/shard-map.ts";
import { errorFields, type Logger } from "../telemetry/log.ts";
import { ProblemError } from "./api/problems.ts";
import {
  type Definitions,
  readDefinitionsOf,
  rememberedDefinitions,
} from "./definitions/definitions.ts";
import { type PlacedCall, placeCall } from "./definitions/placement.ts";
import { mayBeOutdated } from "./definitions/start-row.ts";
import type { AppTypes, Environment } from "./environment.ts";
import { readShardMap } from "./shard-maps.ts";
import { reachShard, type ShardStub } from "./tenant-objects.ts";

/** Between the tries of a call that failed because its shard vanished. */
const RETRY_WAITS_MS = [0, 50, 200, 500, 1_000];

/** Definitions may change between the reading and the commit; so often in a row they don't. */
const MAX_STALE = 10;

export const RETRY_LATER = { headers: { "retry-after": "2" } };

/** What to do after a start or a publication of which nobody knows whether it is durable. */
export const SAME_KEY = "Try again with the same idempotency key.";

/** Runs a repeatable call, again on a new stub while shards vanish. */
export async function callShard<Answer>(
  env: Environment,
  tenant: string,
  shard: number,
  call: (stub: ShardStub) => Promise<Answer>,
): Promise<Answer> {
  for (const waitMs of RETRY_WAITS_MS) {
    if (waitMs > 0) await scheduler.wait(waitMs * (0.5 + Math.random()));
    try {
      return await reachShard(env, tenant, shard, call);
    } catch (error) {
      if (error instanceof Error && "overloaded" in error && error.overloaded) break;
    }
  }
  return refuseUnreachable();
}

function refuseUnreachable(): never {
  throw new ProblemError(
    "overloaded",
    "The shard can't take the call now. Try again.",
    RETRY_LATER,
  );
}

/** The call, once: for whoever tries again much later. */
export async function callShardOnce<Answer>(
  env: Environment,
  tenant: string,
  shard: number,
  call: (stub: ShardStub) => Promise<Answer>,
): Promise<Answer> {
  return await reachShard(env, tenant, shard, call);
}

/** Asks every shard of the calling tenant the same. */
export async function askShards<Answer>(
  { env, var: { tenant } }: Context<AppTypes>,
  call: (stub: ShardStub) => Promise<Answer>,
): Promise<Answer[]> {
  const asked = shardNumbers(await readShardMap(env, tenant)).map((shard) =>
    callShard(env, tenant, shard, async (stub) => await call(stub)),
  );
  return await Promise.all(asked);
}

export interface Started {
  call: StartCall;
  outcome: StartOutcome;
}

/** What came of a start. Only `started` is durable for certain; of `unanswered` it may be. */
export type StartResult =
  | ({ kind: "started" } & Started)
  | { kind: "refused"; message: string }
  | { kind: "overloaded" | "unanswered" | "unreachable" | "unsettled"; call: StartCall };

/**
 * Starts what `build` makes of the tenant's definitions, and returns once it is durable, or can't be now.
 * Definitions that changed meanwhile are read again, and `build` is asked again: the number of shards is one of them.
 */
export async function tryToStart(
  env: Environment,
  tenant: string,
  build: (definitions: Definitions) => StartCall,
  reach = callShard,
): Promise<StartResult> {
  for (let tries = 1; ; tries++) {
    const known = rememberedDefinitions(tenant);
    const definitions = known ?? (await readDefinitionsOf(env, tenant));
    let placed: PlacedCall;
    try {
      placed = placeCall(build(definitions), definitions);
    } catch (error) {
      if (known === undefined || !mayBeOutdated(error)) throw error;
      known.isOutdated = true;
      continue;
    }
    const { call } = placed;
    const answer = await startOnce(env, tenant, placed, reach);
    if (answer.kind === "refused") return answer;
    if (answer.kind !== "committed") return { kind: answer.kind, call };
    const started = { call, outcome: answer.outcome };
    if (!isStale(started)) return { kind: "started", ...started };
    definitions.isOutdated = true; // those that another start has read since may not be
    if (tries === MAX_STALE) return { kind: "unsettled", call };
  }
}

async function startOnce(
  env: Environment,
  tenant: string,
  { home, call }: PlacedCall,
  reach: typeof callShard,
): Promise<StartAnswer | { kind: "unreachable" }> {
  try {
    return await reach<StartAnswer>(env, tenant, home, async (stub) => await stub.start(call));
  } catch {
    return { kind: "unreachable" };
  }
}

/** The same for a caller who is to hear why not. */
export async function startAtShard(
  env: Environment,
  tenant: string,
  build: (definitions: Definitions) => StartCall,
): Promise<Started> {
  const result = await tryToStart(env, tenant, build);
  return result.kind === "started" ? result : refuseStart(result);
}

export function refuseStart(result: Exclude<StartResult, { kind: "started" }>): never {
  switch (result.kind) {
    case "refused":
      throw new ProblemError("invalid_request", `Postgres can't store this: ${result.message}`);
    case "unreachable":
      return refuseUnreachable();
    case "unsettled":
      throw new ProblemError(
        "overloaded",
        "The definitions change too often. Try again.",
        RETRY_LATER,
      );
    default:
      return refuseUncommitted(result.kind, SAME_KEY);
  }
}

/** Cancels runs, and returns once that is durable. */
export async function cancelRuns(
  env: Environment,
  tenant: string,
  runs: readonly { id: string; shard: number }[],
  error: TaskError,
): Promise<void> {
  const byShard = Map.groupBy(runs, ({ shard }) => shard);
  await Promise.all(
    [...byShard].map(async ([shard, ofShard]) => {
      const calls = ofShard.map(({ id: run }) => ({ run, error }));
      const { kind } = await callShard(
        env,
        tenant,
        shard,
        async (stub) => await stub.cancel(calls),
      );
      if (kind !== "committed") refuseUncommitted(kind, "Try again: a run is cancelled once.");
    }),
  );
}

export function refuseUncommitted(kind: "overloaded" | "unanswered", advice: string): never {
  if (kind === "overloaded") {
    throw new ProblemError("overloaded", "Too much waits to be committed. Try again.", RETRY_LATER);
  }
  throw new ProblemError(
    "database_unavailable",
    `It could not be made durable in time; it may still be. ${advice}`,
    RETRY_LATER,
  );
}

/** Has shards look at Postgres. One that can't be reached is nudged by the clock within a minute. */
export async function nudgeShards(
  env: Environment,
  log: Logger,
  shards: { tenant: string; shard: number }[],
): Promise<void> {
  await tellEach(env, log, shards, async (stub) => await stub.nudge());
}

/**
 * Says something to shards that need not hear it now: it is in Postgres, and they will read it. What they answer;
 * undefined of one that could not be reached.
 */
export async function tellEach<Answer>(
  env: Environment,
  log: Logger,
  shards: { tenant: string; shard: number }[],
  tell: (stub: ShardStub) => Promise<Answer>,
): Promise<(Answer | undefined)[]> {
  return await Promise.all(
    shards.map(async ({ tenant, shard }) => {
      try {
        return await reachShard(env, tenant, shard, tell);
      } catch (error) {
        log.warn("shard.not_told", { tenant_id: tenant, shard, ...errorFields(error) });
        return undefined;
      }
    }),
  );
}

/**
 * A call is matched against one number, so all of it is stale or nothing is. The outcome is of a
 * whole commit, with other calls in it; and a run of an event that was published before is refused
 * with its event, not because of its definition.
 */
function isStale({ call, outcome: { events, starts } }: Started): boolean {
  return (
    call.events.some(({ id }) => events[id] === "stale") ||
    call.runs.some(({ id, e: event }) => event === undefined && starts[id] === "stale")
  );
}
