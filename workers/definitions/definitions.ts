/**
 * A tenant's definitions as an isolate remembers them, with their number. Every commit is checked
 * against that number, so what is remembered here may be old but is never used when it is.
 */
import { queryOverHttp } from "../../database/connect.ts";
import { readDefinitions } from "../../database/functions.ts";
import type { DefinitionsRow } from "../../database/definition-rows.ts";
import type { Environment } from "../environment.ts";
import { type Triggers, compileTriggers } from "../matching/match-event.ts";

const MAX_TENANTS = 1_000; // tenants whose definitions one isolate remembers

export type DefinedWorkflow = DefinitionsRow["workflows"][number];

export interface Definitions {
  version: number;
  workflows: Map<string, DefinedWorkflow>;
  triggers: Triggers<DefinedWorkflow>;
  /** By key of an event that cancels runs: where in it the values are by which those are found. */
  awaited: ReadonlyMap<string, { p: string[] }[]>;
}

const remembered = new Map<string, Definitions>();

/** What this isolate remembers, which may be old; undefined when it remembers nothing. */
export function rememberedDefinitions(tenant: string): Definitions | undefined {
  return remembered.get(tenant);
}

/**
 * Reads them, and remembers them for the next call. The reading itself is not shared between
 * requests: it ends with the request that began it, and whoever else awaited it would wait for ever.
 */
export async function readDefinitionsOf(env: Environment, tenant: string): Promise<Definitions> {
  const definitions = await read(env, tenant);
  remembered.delete(tenant);
  remembered.set(tenant, definitions);
  for (const oldest of remembered.keys()) {
    if (remembered.size <= MAX_TENANTS) break;
    remembered.delete(oldest);
  }
  return definitions;
}

/** They have changed: read them again when they are next needed. */
export function forgetDefinitions(tenant: string): void {
  remembered.delete(tenant);
}

async function read(env: Environment, tenant: string): Promise<Definitions> {
  const row = await readDefinitions(queryOverHttp(env), tenant);
  if (row === undefined) throw new Error(`Tenant ${tenant} has no definitions`);
  return {
    version: row.version,
    workflows: new Map(row.workflows.map((workflow) => [workflow.name, workflow])),
    // A workflow that takes no runs listens to nothing.
    triggers: compileTriggers(row.workflows.filter(({ paused }) => paused !== "drop")),
    awaited: pathsByEvent(row.awaited),
  };
}

function pathsByEvent(awaited: DefinitionsRow["awaited"]): Definitions["awaited"] {
  const byEvent = new Map<string, { p: string[] }[]>();
  for (const { event, path: p } of awaited) {
    byEvent.set(event, [...(byEvent.get(event) ?? []), { p }]);
  }
  return byEvent;
}
