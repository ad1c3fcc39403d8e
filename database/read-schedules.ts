/**
 * Schedules as the API shows them, but for their next ticks, which no table has.
 */
import { and, asc, eq, gt, isNotNull } from "drizzle-orm";
import type { Page } from "../protocol/http.ts";
import type { Schedule } from "../protocol/schedule-bodies.ts";
import { isoTime, type Reads, toPage } from "./reads.ts";
import { schedule, workflow } from "./schema.ts";

export interface ScheduleQuery {
  workflow?: string;
  kind?: Schedule["kind"];
  limit: number;
  cursor?: string;
}

/** One with what it takes to change it and to work out its ticks. */
export type StoredSchedule = Omit<Schedule, "nextTicks"> & {
  revision: number;
  /** Milliseconds since 1970. */
  seenUntil: number;
};

/** By id: the oldest first. */
export async function listSchedules(
  reads: Reads,
  tenant: string,
  { limit, cursor, ...asked }: ScheduleQuery,
): Promise<Page<StoredSchedule>> {
  const kind = asked.kind === "cron" ? schedule.cron : schedule.at;
  const rows = await reads
    .select()
    .from(schedule)
    .innerJoin(workflow, eq(workflow.id, schedule.workflowId))
    .where(
      and(
        eq(schedule.tenantId, tenant),
        asked.workflow === undefined ? undefined : eq(workflow.name, asked.workflow),
        asked.kind === undefined ? undefined : isNotNull(kind),
        cursor === undefined ? undefined : gt(schedule.id, cursor),
      ),
    )
    .orderBy(asc(schedule.id))
    .limit(limit + 1);
  return toPage(
    rows.map((row) => toSchedule(row.workflow.name, row.schedule)),
    limit,
    ({ id }) => id,
  );
}

export async function readSchedule(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<StoredSchedule | undefined> {
  const [row] = await reads
    .select()
    .from(schedule)
    .innerJoin(workflow, eq(workflow.id, schedule.workflowId))
    .where(and(eq(schedule.tenantId, tenant), eq(schedule.id, id)));
  return row && toSchedule(row.workflow.name, row.schedule);
}

function toSchedule(name: string, row: typeof schedule.$inferSelect): StoredSchedule {
  const { cron } = row;
  return {
    id: row.id,
    workflow: name,
    name: row.name,
    kind: cron === null ? "once" : "cron",
    cron,
    timezone: row.timezone,
    at: isoTime(row.at),
    input: row.input,
    metadata: row.metadata,
    priority: row.priority,
    overlap: row.overlap,
    catchUp: row.catchUp,
    catchUpLimit: row.catchUpLimit,
    jitterMs: row.jitterMs,
    isDeclared: row.isDeclared,
    isEnabled: row.isEnabled,
    lastTick: isoTime(row.lastTick),
    lastRun: row.lastRunId,
    skipped: row.skipped,
    lastSkippedTick: isoTime(row.lastSkippedTick),
    missed: row.missed,
    endedAt: isoTime(row.endedAt),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    revision: row.revision,
    seenUntil: row.seenUntil.getTime(),
  };
}
