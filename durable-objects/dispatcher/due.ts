/**
 * What is to happen of a task or run whose timer is due. Each is guarded by its state in Postgres, so a
 * timer that is taken twice, or too late, changes nothing.
 */
import type { TimerRow } from "../../database/rows.ts";
import type { TaskError } from "../../protocol/errors.ts";
import { runIdOf } from "../../protocol/ids.ts";
import type { TimerKind } from "../../protocol/states.ts";
import { errorOf } from "./task-errors.ts";
import type { Transition } from "./transitions.ts";

/** Timers that are one transition. Those of events, and what waits for them, are `shard-matches.ts`. */
export type RunTimer = TimerRow & { k: Exclude<TimerKind, "match" | "wait" | "look"> };

export function isRunTimer(timer: TimerRow): timer is RunTimer {
  return timer.k !== "match" && timer.k !== "wait" && timer.k !== "look";
}

export function transitionOf({ id, k: kind }: RunTimer): Transition {
  switch (kind) {
    case "retry":
      return { kind: "wake", row: { t: id, r: runIdOf(id) }, bytes: 0 };
    case "release":
      return { kind: "release", row: { r: id }, bytes: 0 };
    case "timeout":
      return cancel(id, errorOf("run_timeout", "The run took longer than its workflow's timeout."));
    case "cancel":
      return cancel(id, errorOf("cancelled", "The run that started it was cancelled."));
  }
}

function cancel(run: string, error: TaskError): Transition {
  const ignore = (): void => {}; // nobody waits for it
  return { kind: "cancel", row: { r: run, e: error }, bytes: 0, landed: ignore, refused: ignore };
}
