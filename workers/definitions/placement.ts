/**
 * Which shard a new run is dispatched by: the one of the key that its first workflow-level limit counts it by, so
 * that this limit is counted where its runs are; a run without such a key stays with the others of its call. Only a
 * hint: limits hold wherever a run is. Pure.
 */
import type { DefinitionsRow, PlacingRow } from "../../database/definition-rows.ts";
import type { StartRow } from "../../database/rows.ts";
import { createLimitExpressions } from "../../durable-objects/dispatcher/limit-expressions.ts";
import { inlineName, readCounted } from "../../durable-objects/dispatcher/needs.ts";
import type { StartCall } from "../../durable-objects/dispatcher/transitions.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import type { Definitions } from "./definitions.ts";

/** How runs of a version are placed. */
export interface Placing {
  /** The workflow's name. */
  workflow: string;
  /** Undefined: by their ids. */
  limit: PlacingRow | undefined;
}

/** What placing needs of a tenant's definitions. */
export type Places = Pick<Definitions, "shards" | "placing">;

/** A call, and the shard that makes it durable; runs that are another shard's say whose. */
export interface PlacedCall {
  home: number;
  call: StartCall;
}

const expressions = createLimitExpressions();

export function placingOf(workflows: DefinitionsRow["workflows"]): Map<string, Placing> {
  const placing = new Map<string, Placing>();
  for (const { id, name: workflow, version, placing: limit, promoted } of workflows) {
    placing.set(id, { workflow, limit });
    placing.set(version, { workflow, limit });
    if (promoted) placing.set(promoted.version, { workflow, limit: promoted.placing });
  }
  return placing;
}

/**
 * The home of a call is where most of its runs belong that have a key, else the shard of its first run's or event's
 * id. Runs without a key are dispatched there: most calls are one commit of one shard.
 */
export function placeCall(call: StartCall, places: Places): PlacedCall {
  const { shards } = places;
  if (shards === 1) return { home: 0, call };
  const belonging = call.runs.map((run) => shardOfRun(run, places));
  const id = call.runs[0]?.id ?? call.events[0]?.id ?? "";
  const home = mostFrequent(belonging) ?? shardOfKey(id, shards);
  const runs = call.runs.map((run, index) => {
    const shard = belonging[index] ?? home;
    return shard === home ? run : { ...run, sh: shard };
  });
  return { home, call: { ...call, runs } };
}

/** Undefined: it has no key. */
function shardOfRun({ w, v, i, m }: StartRow, { shards, placing }: Places): number | undefined {
  const found = placing.get(v) ?? placing.get(w);
  if (found?.limit === undefined) return undefined;
  const { index, use, stored } = found.limit;
  const data = { input: i, metadata: m, parents: {} };
  const counted = readCounted(use, inlineName(found.workflow, index), stored, expressions, data);
  return counted.ok ? shardOfKey(counted.value.id, shards) : undefined;
}

/** Of several, the first. */
function mostFrequent(shards: (number | undefined)[]): number | undefined {
  const counts = new Map<number, number>();
  for (const shard of shards) {
    if (shard !== undefined) counts.set(shard, (counts.get(shard) ?? 0) + 1);
  }
  let found: number | undefined;
  for (const [shard, count] of counts) {
    if (found === undefined || count > (counts.get(found) ?? 0)) found = shard;
  }
  return found;
}
