/**
 * The SQL functions that schedules go through, each as one typed function.
 */
import type { Query } from "./connect.ts";
import type {
  DueReply,
  MoveRow,
  PutScheduleRow,
  PutSchedulesReply,
  ScheduleChange,
} from "./schedule-rows.ts";

/** `mostCrons`: of the tenant, with those that are there. */
export async function putSchedules(
  query: Query,
  tenant: string,
  schedules: PutScheduleRow[],
  { mostCrons, at }: { mostCrons: number; at: number },
): Promise<PutSchedulesReply> {
  const rows = JSON.stringify(schedules);
  const [row] = await query("select v1.put_schedules($1, $2, $3::jsonb, $4) as reply", [
    tenant,
    new Date(at).toISOString(),
    rows,
    mostCrons,
  ]);
  return row?.["reply"] as PutSchedulesReply;
}

/** Undefined: changed; else why not. `moved`: it is not as it was when it was read. */
export async function changeSchedule(
  query: Query,
  tenant: string,
  { id, revision }: { id: string; revision: number },
  change: ScheduleChange,
): Promise<"moved" | "exists" | undefined> {
  const [row] = await query("select v1.change_schedule($1, $2, $3, $4::jsonb) as reply", [
    tenant,
    id,
    revision,
    JSON.stringify(change),
  ]);
  return (row?.["reply"] ?? undefined) as "moved" | "exists" | undefined;
}

/** Those of the ids that were deleted: what a workflow declares stays. */
export async function deleteSchedules(
  query: Query,
  tenant: string,
  ids: string[],
): Promise<string[]> {
  const [row] = await query("select v1.delete_schedules($1, $2::uuid[]) as reply", [tenant, ids]);
  return row?.["reply"] as string[];
}

export async function readDueSchedules(
  query: Query,
  tenant: string,
  { at, limit, bytes }: { at: number; limit: number; bytes: number },
): Promise<DueReply> {
  const [row] = await query("select v1.read_due_schedules($1, $2, $3, $4) as reply", [
    tenant,
    new Date(at).toISOString(),
    limit,
    bytes,
  ]);
  return row?.["reply"] as DueReply;
}

/** Schedules that start no run now; those that do move on in the commit that starts it. */
export async function moveSchedules(
  query: Query,
  tenant: string,
  at: number,
  moves: MoveRow[],
): Promise<void> {
  await query("select v1.move_schedules($1, $2, null, $3::jsonb)", [
    tenant,
    new Date(at).toISOString(),
    JSON.stringify(moves),
  ]);
}
