/**
 * What Postgres knows of tasks that are asked for why they are not running.
 */
import { and, asc, between, count, eq, gt, inArray, lt, notInArray, type SQL } from "drizzle-orm";
import { lastTaskId, runIdOf } from "../protocol/ids.ts";
import { FINISHED_TASK_STATES, type TaskState } from "../protocol/states.ts";
import type { WaitRow } from "./definition-rows.ts";
import { isRunOf } from "./kept.ts";
import type { LaneRow } from "./rows.ts";
import type { Reads } from "./reads.ts";
import { dag, queueItem, task, taskWait, timer, workflow, workflowRun } from "./schema.ts";

/** Tasks of a line that are counted: what one look at an index may cost. */
const MAX_LINE = 1_000;

/** Tasks of a run that one look tells of. */
const MAX_TASKS = 100;

export interface WaitingTask {
  id: string;
  step: string;
  action: string;
  state: TaskState;
  worker: string | null;
  startedAt: Date | null;
  /** By which its run is dispatched. */
  shard: number;
  /** Steps that it needs, and that have not completed. */
  parents: string[];
  /** When its backoff is over. */
  retryAt: Date | null;
  /** Its run waits until its workflow is resumed. */
  isHeld: boolean;
  /** When its run begins, if it was delayed. */
  startsAt: Date | null;
  pausedAt: Date | null;
  /** What it waits for, while it does. */
  wait: OpenWait | undefined;
  /** Where it is in the queue; undefined: it is not there. */
  queued: (LaneRow & { shard: number }) | undefined;
}

export interface OpenWait {
  since: Date;
  timesOutAt: Date | null;
  row: WaitRow;
  /** The conditions that have been met, as bits. */
  met: number;
}

/** One task, in whatever state it is. */
export async function readWaitingTask(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<WaitingTask | undefined> {
  const [found] = (await readTasks(reads, tenant, runIdOf(id), eq(task.id, id))) ?? [];
  return found;
}

/** A run's tasks that are not over, at most 100; undefined: there is no such run. */
export async function readWaitingTasks(
  reads: Reads,
  tenant: string,
  run: string,
): Promise<WaitingTask[] | undefined> {
  const isOpen = notInArray(task.state, [...FINISHED_TASK_STATES]);
  return await readTasks(reads, tenant, run, isOpen);
}

async function readTasks(
  reads: Reads,
  tenant: string,
  run: string,
  which: SQL,
): Promise<WaitingTask[] | undefined> {
  const ofRun = and(isRunOf(tenant), eq(workflowRun.id, run));
  const ofItsTasks = between(task.id, run, lastTaskId(run));
  const [runs, rows, siblings, timers] = await reads.batch([
    reads
      .select({
        pausedAt: workflow.pausedAt,
        startsAt: workflowRun.startsAt,
        shard: workflowRun.shard,
      })
      .from(workflowRun)
      .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
      .where(ofRun),
    reads
      .select({
        id: task.id,
        step: dag.name,
        action: dag.action,
        parents: dag.parents,
        state: task.state,
        worker: task.worker,
        startedAt: task.startedAt,
        queuedAt: queueItem.shard,
        queue: queueItem.action,
        gate: dag.gate,
        waited: taskWait,
        lane: queueItem.lane,
      })
      .from(workflowRun)
      .innerJoin(task, and(ofItsTasks, which))
      .innerJoin(dag, and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step)))
      .leftJoin(queueItem, eq(queueItem.taskId, task.id))
      .leftJoin(taskWait, eq(taskWait.taskId, task.id))
      .where(ofRun)
      .orderBy(asc(task.id))
      .limit(MAX_TASKS),
    reads
      .select({ name: dag.name, step: dag.step })
      .from(workflowRun)
      .innerJoin(task, ofItsTasks)
      .innerJoin(dag, and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step)))
      .where(and(ofRun, notInArray(task.state, ["completed", "skipped"])))
      .orderBy(asc(task.id)),
    reads
      .select({ id: timer.id, kind: timer.kind, dueAt: timer.dueAt })
      .from(timer)
      .where(
        and(between(timer.id, run, lastTaskId(run)), inArray(timer.kind, ["retry", "release"])),
      ),
  ]);
  const [ofWorkflow] = runs;
  if (ofWorkflow === undefined) return undefined;
  const release = timers.find(({ kind }) => kind === "release");
  // One that is held is due at infinity, which is no date.
  const isHeld = release !== undefined && Number.isNaN(release.dueAt.getTime());
  return rows.map(({ parents, queuedAt, queue, lane, gate, waited, ...row }) => ({
    ...row,
    ...ofWorkflow,
    isHeld,
    parents: siblings.filter(({ step }) => parents.includes(step)).map(({ name }) => name),
    retryAt: timers.find(({ id, kind }) => id === row.id && kind === "retry")?.dueAt ?? null,
    wait:
      gate?.wait && waited?.endedAt === null
        ? {
            since: waited.beganAt,
            timesOutAt: waited.timesOutAt,
            row: gate.wait,
            met: waited.met,
          }
        : undefined,
    // One that is to be judged is in no action's queue.
    queued:
      queuedAt === null || !queue || lane === null
        ? undefined
        : { shard: queuedAt, action: queue, lane },
  }));
}

/** How many stand before a task in its lane of the queue, and how many behind; each counted so far. */
export async function readLine(
  reads: Reads,
  tenant: string,
  { shard, action, lane }: LaneRow & { shard: number },
  id: string,
): Promise<{ before: number; behind: number }> {
  const inLane = and(
    eq(queueItem.tenantId, tenant),
    eq(queueItem.shard, shard),
    eq(queueItem.action, action),
    eq(queueItem.lane, lane),
  );
  const counted = (side: ReturnType<typeof lt>) => {
    const some = reads
      .select({ id: queueItem.taskId })
      .from(queueItem)
      .where(and(inLane, side))
      .limit(MAX_LINE)
      .as("some");
    return reads.select({ count: count() }).from(some);
  };
  const [[before], [behind]] = await reads.batch([
    counted(lt(queueItem.taskId, id)),
    counted(gt(queueItem.taskId, id)),
  ]);
  return { before: before?.count ?? 0, behind: behind?.count ?? 0 };
}
