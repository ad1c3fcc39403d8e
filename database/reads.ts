/**
 * What the API shows of workflows and runs: plain reads, each within one tenant. A cursor is the
 * last id of the page before, so pages stay right while runs are added.
 */
import { neon } from "@neondatabase/serverless";
import { and, asc, between, desc, eq, gte, lt, sql } from "drizzle-orm";
import { drizzle, type NeonHttpDatabase } from "drizzle-orm/neon-http";
import type { Page, Run, RunLogLine, RunResult, RunSummary, Workflow } from "../protocol/http.ts";
import { firstIdAt, lastTaskId, runIdOf, timeOfId } from "../protocol/ids.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import { isFinishedRun, type RunState } from "../protocol/states.ts";
import { configureDriver, type DatabaseConfig } from "./connect.ts";
import {
  dag,
  logLine,
  task,
  taskAttempt,
  taskOutput,
  workflow,
  workflowRun,
  workflowVersion,
} from "./schema.ts";

export type Reads = NeonHttpDatabase;

export function connectReads(config: DatabaseConfig): Reads {
  configureDriver(config);
  return drizzle(neon(config.DATABASE_URL));
}

const workflowColumns = {
  id: workflow.id,
  name: workflow.name,
  createdAt: workflow.createdAt,
  versionId: workflowVersion.id,
  number: workflowVersion.number,
  checksum: workflowVersion.checksum,
  versionCreatedAt: workflowVersion.createdAt,
  definition: workflowVersion.definition,
};

export async function listWorkflows(
  reads: Reads,
  tenant: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<Workflow>> {
  const rows = await reads
    .select(workflowColumns)
    .from(workflow)
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflow.activeVersionId))
    .where(
      and(eq(workflow.tenantId, tenant), cursor ? sql`${workflow.name} > ${cursor}` : undefined),
    )
    .orderBy(asc(workflow.name))
    .limit(limit + 1);
  return toPage(rows.map(toWorkflow), limit, ({ name }) => name);
}

export async function readWorkflow(
  reads: Reads,
  tenant: string,
  name: string,
): Promise<Workflow | undefined> {
  const [row] = await reads
    .select(workflowColumns)
    .from(workflow)
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflow.activeVersionId))
    .where(and(eq(workflow.tenantId, tenant), eq(workflow.name, name)));
  return row && toWorkflow(row);
}

export interface RunFilter {
  workflow?: string;
  state?: RunState;
  since?: string;
  until?: string;
  metadata: Metadata;
  limit: number;
  cursor?: string;
}

const runColumns = {
  id: workflowRun.id,
  workflow: workflow.name,
  version: workflowVersion.number,
  state: workflowRun.state,
  metadata: workflowRun.metadata,
  eventId: workflowRun.eventId,
  startedAt: workflowRun.startedAt,
  finishedAt: workflowRun.finishedAt,
};

/** Newest first. */
export async function listRuns(
  reads: Reads,
  tenant: string,
  filter: RunFilter,
): Promise<Page<RunSummary>> {
  const { since, until, cursor, metadata, limit } = filter;
  const rows = await reads
    .select(runColumns)
    .from(workflowRun)
    .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
    .where(
      and(
        eq(workflowRun.tenantId, tenant),
        filter.workflow === undefined
          ? undefined
          : sql`${workflowRun.workflowId} = (select w.id from ${workflow} w
                 where w.tenant_id = ${tenant} and w.name = ${filter.workflow})`,
        filter.state && eq(workflowRun.state, filter.state),
        since === undefined ? undefined : gte(workflowRun.id, firstIdAt(Date.parse(since))),
        until === undefined ? undefined : lt(workflowRun.id, firstIdAt(Date.parse(until))),
        cursor === undefined ? undefined : lt(workflowRun.id, cursor),
        Object.keys(metadata).length === 0
          ? undefined
          : sql`${workflowRun.metadata} @> ${JSON.stringify(metadata)}::jsonb`,
      ),
    )
    .orderBy(desc(workflowRun.id))
    .limit(limit + 1);
  return toPage(rows.map(toSummary), limit, ({ id }) => id);
}

/** A run with everything that is known of it. */
export async function readRun(reads: Reads, tenant: string, id: string): Promise<Run | undefined> {
  const ofRun = and(eq(workflowRun.tenantId, tenant), eq(workflowRun.id, id));
  const [runs, tasks, attempts] = await reads.batch([
    reads
      .select({ ...runColumns, input: workflowRun.input })
      .from(workflowRun)
      .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
      .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
      .where(ofRun),
    reads
      .select({
        task,
        output: taskOutput.output,
        name: dag.name,
        action: dag.action,
        parents: dag.parents,
      })
      .from(workflowRun)
      .innerJoin(task, between(task.id, id, lastTaskId(id)))
      .innerJoin(dag, and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step)))
      .leftJoin(taskOutput, eq(taskOutput.taskId, task.id))
      .where(ofRun)
      .orderBy(task.id),
    reads
      .select({ attempt: taskAttempt })
      .from(workflowRun)
      .innerJoin(taskAttempt, between(taskAttempt.taskId, id, lastTaskId(id)))
      .where(ofRun)
      .orderBy(taskAttempt.taskId, taskAttempt.attempt),
  ]);
  const [run] = runs;
  if (run === undefined) return undefined;
  const names = new Map(tasks.map(({ task: { step }, name }) => [step, name]));
  return {
    ...toSummary(run),
    input: run.input,
    tasks: tasks.map((row) => ({
      id: row.task.id,
      step: row.name,
      action: row.action,
      parents: row.parents.map((parent) => names.get(parent) ?? ""),
      state: row.task.state,
      attempts: [
        ...attempts.filter(({ attempt }) => attempt.taskId === row.task.id).map(toAttempt),
        ...lastAttempt(row.task),
      ],
      output: row.output,
      error: row.task.error,
      queuedAt: iso(row.task.queuedAt),
      startedAt: iso(row.task.startedAt),
      finishedAt: iso(row.task.finishedAt),
    })),
  };
}

export async function readResult(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<RunResult | undefined> {
  const rows = await reads
    .select({
      state: workflowRun.state,
      name: dag.name,
      taskState: task.state,
      output: taskOutput.output,
      error: task.error,
    })
    .from(workflowRun)
    .innerJoin(task, between(task.id, id, lastTaskId(id)))
    .innerJoin(dag, and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step)))
    .leftJoin(taskOutput, eq(taskOutput.taskId, task.id))
    .where(and(eq(workflowRun.tenantId, tenant), eq(workflowRun.id, id)))
    .orderBy(task.id);
  const [first] = rows;
  if (first === undefined) return undefined;
  const outputs: { [step: string]: Json } = {};
  for (const { name, taskState, output } of rows) {
    if (taskState === "completed") outputs[name] = output;
  }
  const failed = rows.find(({ error }) => error !== null);
  const error =
    isFinishedRun(first.state) && failed?.error ? { ...failed.error, step: failed.name } : null;
  return { id, state: first.state, outputs, error };
}

/**
 * By task, then oldest first. A cursor names the last line: task, attempt and number. Undefined when
 * there is no such run.
 */
export async function listLogs(
  reads: Reads,
  tenant: string,
  id: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<RunLogLine> | undefined> {
  const [lastTask = "", lastAttempt = "0", lastNumber = "0"] = cursor?.split("/") ?? [];
  const ofRun = and(eq(workflowRun.tenantId, tenant), eq(workflowRun.id, id));
  const [runs, rows] = await reads.batch([
    reads.select({ id: workflowRun.id }).from(workflowRun).where(ofRun),
    reads
      .select({ line: logLine, step: dag.name })
      .from(workflowRun)
      .innerJoin(logLine, between(logLine.taskId, id, lastTaskId(id)))
      .innerJoin(task, eq(task.id, logLine.taskId))
      .innerJoin(dag, and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step)))
      .where(
        and(
          ofRun,
          lastTask === ""
            ? undefined
            : sql`(${logLine.taskId}, ${logLine.attempt}, ${logLine.number})
                   > (${lastTask}::uuid, ${Number(lastAttempt)}::integer, ${Number(lastNumber)}::integer)`,
        ),
      )
      .orderBy(logLine.taskId, logLine.attempt, logLine.number)
      .limit(limit + 1),
  ]);
  if (runs.length === 0) return undefined;
  const page = toPage(rows, limit, ({ line }) => `${line.taskId}/${line.attempt}/${line.number}`);
  return {
    ...page,
    items: page.items.map(({ line, step }) => ({
      task: line.taskId,
      step,
      attempt: line.attempt,
      level: line.level,
      message: line.message,
      ...(line.fields && { fields: line.fields }),
      at: line.loggedAt.toISOString(),
    })),
  };
}

function toPage<Item>(rows: Item[], limit: number, cursorOf: (item: Item) => string): Page<Item> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}

type WorkflowRow = {
  [Column in keyof typeof workflowColumns]: (typeof workflowColumns)[Column]["_"]["data"];
};

function toWorkflow(row: WorkflowRow): Workflow {
  const { id, name, createdAt, definition, versionId, number, checksum, versionCreatedAt } = row;
  return {
    id,
    name,
    createdAt: createdAt.toISOString(),
    version: { id: versionId, number, checksum, createdAt: versionCreatedAt.toISOString() },
    definition,
  };
}

type RunRow = Omit<RunSummary, "createdAt" | "startedAt" | "finishedAt"> & {
  startedAt: Date | null;
  finishedAt: Date | null;
};

function toSummary(row: RunRow): RunSummary {
  const { id, workflow: name, version, state, metadata, eventId, startedAt, finishedAt } = row;
  const createdAt = new Date(timeOfId(runIdOf(id))).toISOString();
  const times = { createdAt, startedAt: iso(startedAt), finishedAt: iso(finishedAt) };
  return { id, workflow: name, version, state, metadata, eventId, ...times };
}

type AttemptRow = { attempt: typeof taskAttempt.$inferSelect };

function toAttempt({ attempt: row }: AttemptRow): Run["tasks"][number]["attempts"][number] {
  const { attempt, outcome, worker, startedAt, finishedAt, error } = row;
  return {
    attempt,
    outcome,
    worker,
    startedAt: iso(startedAt),
    finishedAt: finishedAt.toISOString(),
    error,
  };
}

/** The attempt that ended the task is the task's own row. */
function lastAttempt(row: typeof task.$inferSelect): Run["tasks"][number]["attempts"] {
  const { attempt, state, worker, startedAt, finishedAt, error } = row;
  if (finishedAt === null || (state !== "completed" && state !== "failed")) return [];
  const outcome =
    state === "completed" ? state : error?.code === "execution_timeout" ? "timed_out" : state;
  return [
    {
      attempt,
      outcome,
      worker,
      startedAt: iso(startedAt),
      finishedAt: finishedAt.toISOString(),
      error,
    },
  ];
}

function iso(time: Date | null): string | null {
  return time?.toISOString() ?? null;
}
