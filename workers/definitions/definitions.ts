/**
 * A tenant's definitions as an isolate remembers them, with their number. Every commit is checked
 * against that number, so what is remembered here may be old but is never used when it is.
 */
import { queryOverHttp } from "../../database/connect.ts";
import { readDefinitions } from "../../database/functions.ts";
import type { DefinitionsRow } from "../../database/definition-rows.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import type { Environment } from "../environment.ts";
import { FilterSet } from "../matching/filter-set.ts";
import { type Listener, type Triggers, compileTriggers } from "../matching/match-event.ts";
import { StoredFilters } from "../matching/stored-filters.ts";
import { type Placing, placingOf } from "./placement.ts";
import { MAX_FILTERS_BYTES } from "../../protocol/limits.ts";

const MAX_TENANTS = 1_000; // tenants whose definitions one isolate remembers

/** Bytes of filters that one isolate remembers, of all tenants: those of the least recently read go first. */
const MAX_FILTER_BYTES = 4 * MAX_FILTERS_BYTES;

export type DefinedWorkflow = DefinitionsRow["workflows"][number] & Listener;

export interface Definitions {
  version: number;
  workflows: Map<string, DefinedWorkflow>;
  triggers: Triggers<DefinedWorkflow>;
  /** By key of an event that cancels runs or is waited for: where in it the values are by which those are found. */
  awaited: ReadonlyMap<string, { p: string[] }[]>;
  stored: StoredFilters;
  /** How many shards take new runs. */
  shards: number;
  /** By version, how its runs are placed on them; under its id each workflow's, for other versions. */
  placing: ReadonlyMap<string, Placing>;
  /** They have changed since. */
  isOutdated: boolean;
  /** Keys of events that a wait may look back for. */
  lookedBackAt: ReadonlySet<string>;
}

const remembered = new Map<string, Definitions>();

/** What this isolate remembers, which may be old; undefined when it remembers nothing that can be in force. */
export function rememberedDefinitions(tenant: string): Definitions | undefined {
  const known = remembered.get(tenant);
  return known?.isOutdated === true ? undefined : known;
}

/**
 * Reads them, and remembers them for the next call. The reading itself is not shared between
 * requests: it ends with the request that began it, and whoever else awaited it would wait for ever.
 */
export async function readDefinitionsOf(env: Environment, tenant: string): Promise<Definitions> {
  const known = remembered.get(tenant);
  const row = await readDefinitions(queryOverHttp(databaseOf(env, tenant)), tenant, known?.version);
  if (row === undefined) throw new Error(`Tenant ${tenant} has no definitions`);
  const meanwhile = remembered.get(tenant);
  if (meanwhile !== undefined && !meanwhile.isOutdated && meanwhile.version >= row.version) {
    return meanwhile;
  }
  // What has changed is only for whoever still has what it was read for.
  if (!row.areAllFilters && meanwhile?.stored !== known?.stored) {
    return await readDefinitionsOf(env, tenant);
  }
  const definitions = compile(row, row.areAllFilters ? new StoredFilters() : known?.stored);
  remembered.delete(tenant);
  remembered.set(tenant, definitions);
  forgetOldest();
  return definitions;
}

function forgetOldest(): void {
  let bytes = 0;
  for (const { stored } of remembered.values()) bytes += stored.bytes;
  for (const [oldest, { stored }] of remembered) {
    if (remembered.size === 1) break;
    if (remembered.size <= MAX_TENANTS && bytes <= MAX_FILTER_BYTES) break;
    remembered.delete(oldest);
    bytes -= stored.bytes;
  }
}

/** They have changed: read them again when they are next needed. */
export function forgetDefinitions(tenant: string): void {
  const known = remembered.get(tenant);
  if (known !== undefined) known.isOutdated = true;
}

/** The filters are changed in place: whoever still has older definitions is refused by their number. */
function compile(row: DefinitionsRow, stored = new StoredFilters()): Definitions {
  stored.apply(row);
  const workflows = row.workflows.map((workflow) => {
    const declared = workflow.filters === undefined ? [] : [new FilterSet(workflow.filters)];
    return { ...workflow, filterSets: [...declared, stored.of(workflow.id)] };
  });
  return {
    version: row.version,
    workflows: new Map(workflows.map((workflow) => [workflow.name, workflow])),
    // A workflow that takes no runs listens to nothing.
    triggers: compileTriggers(workflows.filter(({ paused }) => paused !== "drop")),
    awaited: pathsByEvent(row.awaited),
    stored,
    shards: row.shards,
    placing: placingOf(row.workflows),
    isOutdated: false,
    lookedBackAt: new Set(
      row.awaited.filter(({ isLookedBackAt }) => isLookedBackAt).map(({ event }) => event),
    ),
  };
}

function pathsByEvent(awaited: DefinitionsRow["awaited"]): Definitions["awaited"] {
  const byEvent = new Map<string, { p: string[] }[]>();
  for (const { event, path: p } of awaited) {
    byEvent.set(event, [...(byEvent.get(event) ?? []), { p }]);
  }
  return byEvent;
}
