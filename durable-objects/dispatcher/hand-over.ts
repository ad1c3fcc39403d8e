/**
 * What a task becomes when it is given to a session: a lease, which the shard keeps, and the frame that
 * its worker gets.
 */
import type { StepRow, VersionRow } from "../../database/definition-rows.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import type { ReadyTask } from "./lane.ts";
import type { Lease } from "./leases.ts";
import type { LimitBook } from "./limit-book.ts";
import { boundOf } from "./needs.ts";
import type { Placement } from "./scheduler.ts";

export function leaseOf(placement: Placement, step: StepRow, book: LimitBook, now: number): Lease {
  const { task, session } = placement;
  return {
    task: task.id,
    run: task.run,
    attempt: task.attempt,
    session: session.id,
    version: task.version,
    step: task.step,
    kind: step.kind,
    failures: task.failures ?? 0,
    rescues: task.rescues ?? 0,
    slots: task.needs.placing.slots,
    ...takenBy(placement, book),
    retry: step.retry,
    sentAt: now,
    deadline: now + step.timeoutMs,
    leftMs: undefined,
    returning: undefined,
    state: "held",
    stopReason: undefined,
    releaseBy: Number.POSITIVE_INFINITY,
    isReceived: false,
    isReleased: false,
    isStartRecorded: false,
    isEndUnknown: false,
  };
}

/** What the scheduler has taken for an attempt: its permits, but for its run's, and its units. */
function takenBy({ task, ofRun }: Placement, book: LimitBook): Pick<Lease, "holds" | "reserved"> {
  const taken: Pick<Lease, "holds" | "reserved"> = { holds: [], reserved: [] };
  for (const need of task.needs.needs) {
    const { limit, key, id, own, isOfRun } = need;
    const { concurrency, rate } = boundOf(need, book) ?? {};
    if (concurrency !== undefined && !isOfRun) taken.holds.push({ limit, key, id, own });
    if (rate === undefined) continue;
    // A run pays once: for its later attempts nothing is reserved, and they may have used something.
    const units = !isOfRun || ofRun.includes(id) ? need.units : 0;
    taken.reserved.push({ limit, key, id, units, rate });
  }
  return taken;
}

export function taskFrame(
  task: ReadyTask,
  { slots, reserved }: Lease,
  version: VersionRow,
  step: StepRow,
  shard: number,
): TaskFrame {
  const { id, run, attempt, input, parents, metadata, queuedAt, filter, schedule, failed, waited } =
    task;
  return {
    type: "task",
    task: id,
    run,
    shard,
    attempt,
    workflow: version.workflow,
    version: version.number,
    step: step.name,
    action: step.action,
    input,
    parents,
    metadata,
    timeoutMs: step.timeoutMs,
    queuedAt,
    ...(slots > 1 && { slots }),
    ...(reserved.length > 0 && {
      limits: reserved.map(({ limit, key, units }) => ({ limit, key, units })),
    }),
    ...(filter && { filter }),
    ...(schedule && { schedule }),
    ...(failed && { failures: failed }),
    ...(waited && { waited }),
  };
}
