/**
 * The SQL functions of `migrations/functions` that TypeScript calls, each as one typed function.
 */
import type { PutLimit } from "../protocol/limit-bodies.ts";
import type { Json } from "../protocol/json.ts";
import type { ActivationChoice, StepKind } from "../protocol/states.ts";
import type { Query } from "./connect.ts";
import type { Broker, SentMessages } from "./message-rows.ts";
import type { CommitReply, ReadyRow, RecoverReply, RecoverRequest } from "./rows.ts";
import type {
  WorkflowRow,
  CancelOnRow,
  DeclaredFilterRow,
  DefinitionsRow,
  GateRow,
  LimitRow,
  RetryPolicy,
  StepDispatch,
  VersionDispatch,
  VersionRow,
} from "./definition-rows.ts";

/** The commit is sent as text that was made once, so that a repeat has the same bytes. */
export const COMMIT_STATEMENT = "select v1.commit($1::jsonb)::text as reply";

/** A commit's reply from its text. */
export function readCommitReply(text: string): CommitReply {
  const { ready, told } = JSON.parse(text) as {
    ready: ReadyRow[];
    told: Omit<CommitReply, "ready">;
  };
  return { ...told, ready };
}

export async function recoverShard(query: Query, request: RecoverRequest): Promise<RecoverReply> {
  return (await call(
    query,
    "v1.recover_shard($1::jsonb)",
    JSON.stringify(request),
  )) as RecoverReply;
}

export async function readVersions(
  query: Query,
  tenant: string,
  versions: string[],
): Promise<VersionRow[]> {
  const reply = await call(query, "v1.read_versions($1, $2::uuid[])", tenant, versions);
  return reply as VersionRow[];
}

/** `since`: of stored filters only what has changed since. Undefined when there is no such tenant. */
export async function readDefinitions(
  query: Query,
  tenant: string,
  since?: number,
): Promise<DefinitionsRow | undefined> {
  const reply = await call(query, "v1.read_definitions($1, $2)", tenant, since ?? null);
  return (reply ?? undefined) as DefinitionsRow | undefined;
}

export interface RegisterRequest {
  tenant: string;
  workflow: string;
  version: string;
  name: string;
  checksum: string;
  definition: unknown;
  /** Milliseconds a run may take. */
  timeout?: number | undefined;
  cancelOn?: CancelOnRow[] | undefined;
  dispatch?: VersionDispatch | undefined;
  /** Names of stored limits that it uses anywhere: one that is not there refuses the registration. */
  limits?: string[] | undefined;
  filters?: DeclaredFilterRow[] | undefined;
  activate: ActivationChoice;
  /** Id of what is written down, if anything changes, and the name of the token; null: Skein itself. */
  change: string;
  actor: string | null;
  dag: {
    step: number;
    name: string;
    action: string;
    kind: StepKind;
    parents: number[];
    children: number[];
    descendants: number[];
    timeout: number;
    schedule?: number | undefined;
    /** The step that this one undoes. */
    compensates?: number | undefined;
    retry?: RetryPolicy | undefined;
    dispatch?: StepDispatch | undefined;
    gate?: GateRow | undefined;
  }[];
}

/** Stored, or refused because it names stored limits that are not there. */
export type RegisterReply = (WorkflowRow & { created: boolean }) | { unknownLimits: string[] };

export async function registerWorkflow(
  query: Query,
  request: RegisterRequest,
): Promise<RegisterReply> {
  const reply = await call(query, "v1.register_workflow($1::jsonb)", JSON.stringify(request));
  return reply as RegisterReply;
}

/** `version` numbers all of the tenant's limits: who knows them by it knows this one. */
export type StoredLimitReply = LimitRow & { created: boolean; version: number };

/** The definition of a stored limit, as it was checked. Undefined: there are `most` already. */
export async function putLimit(
  query: Query,
  tenant: string,
  name: string,
  definition: PutLimit,
  most: number,
): Promise<StoredLimitReply | undefined> {
  const text = JSON.stringify(definition);
  const reply = await call(query, "v1.put_limit($1, $2, $3::jsonb, $4)", tenant, name, text, most);
  return (reply ?? undefined) as StoredLimitReply | undefined;
}

/** `usedBy`: workflows whose active version names it; then it is not deleted. */
export async function deleteLimit(
  query: Query,
  tenant: string,
  name: string,
): Promise<{ deleted: boolean; usedBy: string[]; version: number }> {
  const reply = await call(query, "v1.delete_limit($1, $2)", tenant, name);
  return reply as { deleted: boolean; usedBy: string[]; version: number };
}

/** Filters to be stored, as they were checked; each with the id that it gets, if it is new. */
export interface PutFilterRow {
  id: string;
  /** The workflow's name. */
  w: string;
  s: string | null;
  x: string;
  p: Json;
  q: DeclaredFilterRow["equalities"];
}

/** What was stored, in the order that was asked for; or why nothing was. */
export type PutFiltersReply =
  | { filters: { id: string; created: boolean }[] }
  | { unknownWorkflows: string[] }
  | { tooMany: "filters" | "bytes" };

export async function putFilters(
  query: Query,
  tenant: string,
  filters: PutFilterRow[],
  most: { filters: number; bytes: number },
): Promise<PutFiltersReply> {
  const [rows, bounds] = [JSON.stringify(filters), JSON.stringify(most)];
  const reply = await call(query, "v1.put_filters($1, $2::jsonb, $3::jsonb)", tenant, rows, bounds);
  return reply as PutFiltersReply;
}

/** Undefined: changed; else why not. */
export async function changeFilter(
  query: Query,
  tenant: string,
  id: string,
  filter: Partial<Omit<PutFilterRow, "id" | "w">>,
  mostBytes: number,
): Promise<"unknown" | "exists" | "bytes" | undefined> {
  const row = JSON.stringify(filter);
  const reply = await call(
    query,
    "v1.change_filter($1, $2, $3::jsonb, $4)",
    tenant,
    id,
    row,
    mostBytes,
  );
  return (reply ?? undefined) as "unknown" | "exists" | "bytes" | undefined;
}

/** False: there was none. */
export async function deleteFilter(query: Query, tenant: string, id: string): Promise<boolean> {
  return (await call(query, "v1.delete_filter($1, $2)", tenant, id)) as boolean;
}

/** The workflows of which a version that new runs may be bound to names a stored limit. */
export async function readLimitUsers(
  query: Query,
  tenant: string,
  name: string,
): Promise<string[]> {
  return (await call(query, "v1.limit_users($1, $2)", tenant, name)) as string[];
}

export interface ClockReply {
  partitions: number;
  forgotten: number;
  busy: { tenant: string; shard: number }[];
  /** Messages that nobody has taken, though they could be. */
  waiting: SentMessages[];
  /** Tenants with schedules that are due. */
  overdue: string[];
}

/**
 * The duties of the minute, in one round trip. Of shards and of clocks `most` are named at most: not the
 * same ones when `turn`, a whole number, is another.
 */
export async function runClockDuties(
  query: Query,
  { broker, most, turn }: { broker: Broker; most: number; turn: number },
): Promise<ClockReply> {
  const [row] = await query(
    `select v1.ensure_partitions() as partitions,
            (v1.forget_expired_keys() + v1.forget_deleted_filters()
             + v1.forget_ended_schedules())::integer as forgotten,
            v1.busy_shards($2, $3) as busy, v1.waiting_messages($1) as waiting, v1.overdue_clocks($2, $3) as overdue`,
    [broker, most, turn],
  );
  return row as unknown as ClockReply;
}

/** Calls a function whose result is one value. */
export async function call(
  query: Query,
  expression: string,
  ...parameters: unknown[]
): Promise<unknown> {
  const [row] = await query(`select ${expression} as reply`, parameters);
  return row?.["reply"];
}
