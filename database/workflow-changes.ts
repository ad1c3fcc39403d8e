/**
 * What changes a workflow but for registering: which versions new runs are bound to, and whether it takes any.
 * Each change is written down with who made it.
 */
import type { PauseMode } from "../protocol/states.ts";
import type { RollbackRule } from "../protocol/version-bodies.ts";
import type { Query } from "./connect.ts";
import type { WorkflowRow } from "./definition-rows.ts";
import { call } from "./functions.ts";

/** Of a change: the workflow, the id of what is written down, the name of the token that makes it, and why. */
export interface ChangeRequest {
  tenant: string;
  name: string;
  change: string;
  actor: string;
  reason?: string | undefined;
}

export type RefusedChange =
  | "workflow_not_found"
  | "version_not_found"
  | "version_active"
  | "nothing_to_roll_back";

/** The workflow as it is now, or why nothing was changed. */
export type ChangeReply =
  | { workflow: WorkflowRow }
  | { refused: RefusedChange }
  | { unknownLimits: string[] };

/**
 * Without a number it rolls back, to the newest older version that has been active. With `from` nothing happens
 * unless that is the active one.
 */
export async function activateVersion(
  query: Query,
  request: ChangeRequest & {
    number?: number | undefined;
    rollback: boolean;
    from?: number | undefined;
  },
): Promise<ChangeReply> {
  return await change(query, "v1.activate_version($1::jsonb)", request);
}

/** `share` is in hundredths of a percent. */
export async function promoteVersion(
  query: Query,
  request: ChangeRequest & {
    number: number;
    share: number;
    key?: string[] | undefined;
    rollbackWhen?: Required<RollbackRule> | undefined;
  },
): Promise<ChangeReply> {
  return await change(query, "v1.promote_version($1::jsonb)", request);
}

export async function endPromotion(query: Query, request: ChangeRequest): Promise<ChangeReply> {
  return await change(query, "v1.end_promotion($1::jsonb)", request);
}

async function change(query: Query, expression: string, request: object): Promise<ChangeReply> {
  return (await call(query, expression, JSON.stringify(request))) as ChangeReply;
}

/** Ends a promotion of which too many runs have failed. Undefined: that is no longer so. */
export async function failPromotion(
  query: Query,
  tenant: string,
  workflow: string,
  change: string,
  at: number,
): Promise<{ name: string; number: number; ended: number; failed: number } | undefined> {
  const reply = await call(
    query,
    "v1.fail_promotion($1, $2, $3, $4)",
    tenant,
    workflow,
    change,
    at,
  );
  return (reply ?? undefined) as Awaited<ReturnType<typeof failPromotion>>;
}

/** Undefined when there is no such workflow. */
export async function pauseWorkflow(
  query: Query,
  { tenant, name, change, actor }: ChangeRequest,
  mode: PauseMode,
): Promise<WorkflowRow | undefined> {
  const expression = "v1.pause_workflow($1, $2, $3, $4, $5)";
  const reply = await call(query, expression, tenant, name, mode, change, actor);
  return (reply ?? undefined) as WorkflowRow | undefined;
}

/** `shards` have held runs to release, and should be nudged. Undefined: there is no such workflow. */
export async function resumeWorkflow(
  query: Query,
  { tenant, name, change, actor }: ChangeRequest,
): Promise<(WorkflowRow & { shards: number[] }) | undefined> {
  const reply = await call(
    query,
    "v1.resume_workflow($1, $2, $3, $4)",
    tenant,
    name,
    change,
    actor,
  );
  return (reply ?? undefined) as (WorkflowRow & { shards: number[] }) | undefined;
}
