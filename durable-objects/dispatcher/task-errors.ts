/**
 * Errors that the shard gives tasks and runs, by their code.
 */
import type { TaskError, TaskErrorCode } from "../../protocol/errors.ts";

const ERROR_NAMES: Partial<Record<TaskErrorCode, string>> = {
  execution_timeout: "ExecutionTimeout",
  schedule_timeout: "ScheduleTimeout",
  worker_lost: "WorkerLost",
  not_received: "NotReceived",
  run_timeout: "RunTimeout",
  cancelled: "Cancelled",
  limit_full: "LimitFull",
  invalid_key: "InvalidKey",
  skipped: "Skipped",
  condition_failed: "ConditionFailed",
  wait_timeout: "WaitTimeout",
  limit_held_by_parent: "LimitHeldByParent",
  rate_limited: "RateLimited",
};

export function errorOf(code: TaskErrorCode, message: string): TaskError {
  return { code, name: ERROR_NAMES[code] ?? "Error", message };
}
