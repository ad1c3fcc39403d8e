/**
 * What a run's handlers logged, as the API shows it.
 */
import { and, between, eq, sql } from "drizzle-orm";
import type { Page, RunLogLine } from "../protocol/http.ts";
import { lastTaskId } from "../protocol/ids.ts";
import { isRunOf } from "./kept.ts";
import { isoTime, type Reads, toPage } from "./reads.ts";
import { dag, logLine, task, workflowRun } from "./schema.ts";

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
  const ofRun = and(isRunOf(tenant), eq(workflowRun.id, id));
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
      at: isoTime(line.loggedAt),
    })),
  };
}
