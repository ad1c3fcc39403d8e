/**
 * What Postgres knows of a task that is asked for why it is not running.
 */
import { and, asc, between, count, eq, gt, inArray, lt, notInArray } from "drizzle-orm";
import { lastTaskId, runIdOf } from "../protocol/ids.ts";
import type { TaskState } from "../protocol/states.ts";
import type { LaneRow } from "./rows.ts";
import type { Reads } from "./reads.ts";
import { dag, queueItem, task, timer, workflow, workflowRun } from "./schema.ts";

/** Tasks of a line that are counted: what one look at an index may cost. */
const MAX_LINE = 1_000;

export interface WaitingTask {
  step: string;
  action: string;
  state: TaskState;
  worker: string | null;
  startedAt: Date | null;
  /** Steps that it needs, and that have not completed. */
  parents: string[];
  /** When its backoff is over. */
  retryAt: Date | null;
  /** Its run waits until its workflow is resumed. */
  isHeld: boolean;
  pausedAt: Date | null;
  /** Where it is in the queue; undefined: it is not there. */
  queued: (LaneRow & { shard: number }) | undefined;
}

export async function readWaitingTask(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<WaitingTask | undefined> {
  const run = runIdOf(id);
  const ofRun = and(eq(workflowRun.tenantId, tenant), eq(workflowRun.id, run));
  const [rows, siblings, timers] = await reads.batch([
    reads
      .select({
        step: dag.name,
        action: dag.action,
        parents: dag.parents,
        state: task.state,
        worker: task.worker,
        startedAt: task.startedAt,
        pausedAt: workflow.pausedAt,
        shard: queueItem.shard,
        lane: queueItem.lane,
      })
      .from(workflowRun)
      .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
      .innerJoin(task, eq(task.id, id))
      .innerJoin(dag, and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step)))
      .leftJoin(queueItem, eq(queueItem.taskId, task.id))
      .where(ofRun),
    reads
      .select({ name: dag.name, step: dag.step })
      .from(workflowRun)
      .innerJoin(task, between(task.id, run, lastTaskId(run)))
      .innerJoin(dag, and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step)))
      .where(and(ofRun, notInArray(task.state, ["completed", "skipped"])))
      .orderBy(asc(task.id)),
    reads
      .select({ kind: timer.kind, dueAt: timer.dueAt })
      .from(timer)
      .where(and(inArray(timer.id, [id, run]), inArray(timer.kind, ["retry", "release"]))),
  ]);
  const [row] = rows;
  if (row === undefined) return undefined;
  const { step, action, state, worker, startedAt, pausedAt, shard, lane } = row;
  return {
    step,
    action,
    state,
    worker,
    startedAt,
    pausedAt,
    parents: siblings.filter((each) => row.parents.includes(each.step)).map(({ name }) => name),
    retryAt: timers.find(({ kind }) => kind === "retry")?.dueAt ?? null,
    isHeld: timers.some(({ kind }) => kind === "release"),
    queued: shard === null || lane === null ? undefined : { shard, action, lane },
  };
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
