/**
 * What the platform gives the edge Worker: bindings of `wrangler.toml`, and secrets.
 */
import type { DatabaseConfig } from "../database/connect.ts";
import type { DispatcherShard } from "../durable-objects/dispatcher-shard.ts";
import type { MessageBindings } from "../messages/choice.ts";
import type { Jurisdiction, LocationHint } from "../protocol/tenant-bodies.ts";
import type { Logger } from "../telemetry/log.ts";

export interface ClockStub {
  nudge(due: number): Promise<void>;
}

/** What of a namespace of Durable Objects is used. */
export interface Namespace<Stub> {
  getByName(name: string, options?: { locationHint?: LocationHint }): Stub;
  jurisdiction(jurisdiction: Jurisdiction): Namespace<Stub>;
}

export interface Environment extends DatabaseConfig, MessageBindings {
  /** By tenant and number. Only `tenant-objects.ts` knows the way into it, and into the next. */
  DISPATCHER: Namespace<DurableObjectStub<DispatcherShard>>;
  /** By tenant. */
  SCHEDULE_CLOCK: Namespace<ClockStub>;
  /** Opens /api/v1/admin. Without it that door is closed. */
  ADMIN_SECRET?: string;
}

/** Hono's types: the bindings, and what the middleware leaves for the routes. */
export interface AppTypes {
  Bindings: Environment;
  Variables: {
    requestId: string;
    log: Logger;
    /** The authenticated tenant. */
    tenant: string;
    /** The name of its token. */
    token: string;
    /** Characters of the request's body. */
    bodyBytes: number;
  };
}
