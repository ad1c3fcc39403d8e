/**
 * What a shard and Skein's own worker say to each other, by calls and not over a socket: the frames of the
 * worker protocol that are about attempts.
 */
import type { TaskFrame, WorkerFrame } from "../protocol/session.ts";
import type { ShardName } from "./dispatcher/shard-name.ts";

export type OwnWorkerFrame = Extract<WorkerFrame, { type: "received" | "completed" | "failed" }>;

/** The entrypoint in `workers/`, as the platform gives it to the shard. */
export interface OwnWorkerExports {
  OwnWorker: {
    /** Returns once it has the tasks, not when it has executed them. */
    execute(shard: ShardName, tasks: TaskFrame[]): Promise<void>;
  };
}
