/**
 * What a shard and Skein's own worker say to each other, by calls and not over a socket: the frames of the
 * worker protocol that are about attempts.
 */
import type { TaskFrame, WorkerFrame } from "../protocol/session.ts";
import { errorFields } from "../telemetry/log.ts";
import type { ShardName } from "./dispatcher/shard-name.ts";
import { errorOf } from "./dispatcher/task-errors.ts";
import type { ShardState } from "./shard-state.ts";

export type OwnWorkerFrame = Extract<WorkerFrame, { type: "received" | "completed" | "failed" }>;

/** The entrypoint in `workers/`, as the platform gives it to the shard. */
interface OwnWorkerExports {
  OwnWorker: {
    /** Returns once it has the tasks, not when it has executed them. */
    execute(shard: ShardName, tasks: TaskFrame[]): Promise<void>;
  };
}

/**
 * It has the tasks once the call returns, which is said for it; what comes of them it says itself, by `hearOwnWorker`. Those
 * that it can't be given have failed.
 */
export async function giveToOwnWorker(
  context: DurableObjectState,
  { name, log }: ShardState,
  tasks: TaskFrame[],
): Promise<OwnWorkerFrame[]> {
  const refs = tasks.map(({ task, attempt }) => ({ task, attempt }));
  const { exports } = context as unknown as { exports: OwnWorkerExports };
  try {
    await exports.OwnWorker.execute(name, tasks);
    return [{ type: "received", attempts: refs }];
  } catch (error) {
    log.warn("own_worker.unreachable", errorFields(error));
    const what = errorOf("not_received", "Skein's own worker could not be reached.");
    const now = Date.now();
    const of = { shard: name.shard, error: what, startedAt: now, finishedAt: now };
    return refs.map((ref) => ({ type: "failed", ...ref, ...of }));
  }
}
