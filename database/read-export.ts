/**
 * A run as one document: everything that is stored of it, and of what it is bound to.
 */
import { and, between, eq, type SQL, sql } from "drizzle-orm";
import {
  EXPORT_FORMAT,
  EXPORT_FORMAT_VERSION,
  type RunExport,
} from "../protocol/history-bodies.ts";
import type { RunLogLine } from "../protocol/http.ts";
import { lastTaskId, timeOfId } from "../protocol/ids.ts";
import { isFinishedRun } from "../protocol/states.ts";
import { isRunOf } from "./kept.ts";
import { readRun } from "./read-run.ts";
import { isoTime, type Reads } from "./reads.ts";
import {
  childRun,
  dag,
  event,
  logLine,
  task,
  taskOutput,
  taskWait,
  timer,
  workflow,
  workflowRun,
  workflowVersion,
} from "./schema.ts";

/** As JSON: names of the fields and times, of one child. */
const CHILD_BYTES = 150;
/** Likewise of one line of a log. */
const LINE_BYTES = 200;

/** What a run's export weighs, by and large: asked before any of it is read. Undefined: there is no such run. */
export async function measureExport(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<{ bytes: number; logBytes: number } | undefined> {
  const within = (column: SQL): SQL => sql`${column} between ${id} and ${lastTaskId(id)}`;
  const [row] = await reads
    .select({
      bytes: sql<number>`(octet_length(${workflowRun.input}::text)
        + octet_length(${workflowVersion.definition}::text)
        + coalesce((select octet_length(e.payload::text) from ${event} e where e.id = ${workflowRun.eventId}), 0)
        + coalesce((select sum(octet_length(o.output::text)) from ${taskOutput} o where ${within(sql`o.task_id`)}), 0)
        + coalesce((select sum(octet_length(w.found::text)) from ${taskWait} w where ${within(sql`w.task_id`)}), 0)
        + ${CHILD_BYTES} * (select count(*) from ${childRun} c where ${within(sql`c.parent_id`)}))::double precision`,
      logBytes: sql<number>`(coalesce((
        select sum(${LINE_BYTES} + octet_length(l.message) + coalesce(octet_length(l.fields::text), 0))
          from ${logLine} l where ${within(sql`l.task_id`)}), 0))::double precision`,
    })
    .from(workflowRun)
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
    .where(and(isRunOf(tenant), eq(workflowRun.id, id)));
  return row;
}

/** Undefined: there is no such run. */
export async function readExport(
  reads: Reads,
  tenant: string,
  id: string,
  { withLogs }: { withLogs: boolean },
): Promise<RunExport | undefined> {
  const ofRun = and(isRunOf(tenant), eq(workflowRun.id, id));
  const [run, [[stored], timers, steps], logs] = await Promise.all([
    readRun(reads, tenant, id, { mostChildren: Number.MAX_SAFE_INTEGER }),
    reads.batch([
      reads
        .select({
          workflowId: workflow.id,
          version: workflowVersion,
          event,
          filterId: workflowRun.filterId,
          filterPayload: workflowRun.filterPayload,
          parentKey: sql<string | null>`${workflowRun}.parent_key`,
          timeoutMs: sql<number | null>`${workflowRun}.timeout_ms::double precision`,
          priority: workflowRun.priority,
          reused: workflowRun.reused,
        })
        .from(workflowRun)
        .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
        .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
        .leftJoin(event, and(eq(event.id, workflowRun.eventId), eq(event.tenantId, tenant)))
        .where(ofRun),
      reads
        .select({ id: timer.id, kind: timer.kind, dueAt: sql<string>`${timer.dueAt}::text` })
        .from(workflowRun)
        .innerJoin(timer, between(timer.id, id, lastTaskId(id)))
        .where(ofRun)
        .orderBy(timer.id, timer.kind),
      reads
        .select({ step: dag.step, name: dag.name })
        .from(workflowRun)
        .innerJoin(dag, eq(dag.versionId, workflowRun.versionId))
        .where(ofRun)
        .orderBy(dag.step),
    ]),
    withLogs ? readLogs(reads, id, ofRun) : null,
  ]);
  if (run === undefined || stored === undefined) return undefined;
  const { version, event: started, filterId, filterPayload, priority } = stored;
  const { number, checksum, createdAt, definition } = version;
  return {
    format: EXPORT_FORMAT,
    formatVersion: EXPORT_FORMAT_VERSION,
    isFinished: isFinishedRun(run.state),
    run,
    workflow: { id: stored.workflowId, name: run.workflow },
    version: { id: version.id, number, checksum, createdAt: isoTime(createdAt), definition },
    event: started && toEvent(started),
    filter: filterId === null ? null : { id: filterId, payload: filterPayload },
    parentKey: stored.parentKey,
    reusedSteps: steps.filter(({ step }) => stored.reused?.includes(step)).map(({ name }) => name),
    priority,
    timeoutMs: stored.timeoutMs,
    timers: timers.map(({ id: of, kind, dueAt }) => ({
      task: of === id ? null : of,
      kind,
      dueAt: dueAt === "infinity" ? null : isoTime(new Date(dueAt)),
    })),
    logs,
  };
}

async function readLogs(reads: Reads, id: string, ofRun: SQL | undefined): Promise<RunLogLine[]> {
  const rows = await reads
    .select({ line: logLine, step: dag.name })
    .from(workflowRun)
    .innerJoin(logLine, between(logLine.taskId, id, lastTaskId(id)))
    .innerJoin(task, eq(task.id, logLine.taskId))
    .innerJoin(dag, and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step)))
    .where(ofRun)
    .orderBy(logLine.taskId, logLine.attempt, logLine.number);
  return rows.map(toLogLine);
}

/** A line as the API shows it. */
function toLogLine({
  line,
  step,
}: {
  line: typeof logLine.$inferSelect;
  step: string;
}): RunLogLine {
  const { taskId, attempt, level, message, fields, loggedAt } = line;
  const at = isoTime(loggedAt);
  return { task: taskId, step, attempt, level, message, ...(fields && { fields }), at };
}

function toEvent({
  id,
  key,
  scope,
  payload,
  metadata,
  replayOf,
}: typeof event.$inferSelect): RunExport["event"] {
  const publishedAt = new Date(timeOfId(id)).toISOString();
  return { id, key, scope, payload, metadata, replayOf, publishedAt };
}
