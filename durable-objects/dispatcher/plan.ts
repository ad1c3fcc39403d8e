/**
 * Turns a batch of transitions into a commit's request: reserves room in the window for what the
 * commit can make ready, says which first tasks must go to the queue, and settles handouts.
 */
import type { CommitRequest, HeldRow, ResultRow, StartRow, StepRow } from "../../database/rows.ts";
import { taskId } from "../../protocol/ids.ts";
import type { Cargo } from "./committer.ts";
import type { Handouts } from "./handouts.ts";
import type { Lease, Leases } from "./leases.ts";
import { MAX_TAKE } from "./limits.ts";
import type { Roster } from "./roster.ts";
import { isReadyAtStart, type Transition } from "./transitions.ts";
import type { Versions } from "./versions.ts";
import type { ReadyWindow } from "./window.ts";

export interface Plan {
  cargo: Cargo;
  /** The request, but for what only the flight knows. */
  request: Omit<CommitRequest, "tenant" | "shard" | "epoch" | "seq" | "at">;
}

export interface PlanParts {
  window: ReadyWindow;
  roster: Roster;
  versions: Versions;
  handouts: Handouts;
  leases: Leases;
}

export function planCommit(batch: Transition[], now: number, parts: PlanParts): Plan {
  const { window, roster, handouts } = parts;
  const request: Plan["request"] = { room: { default: 0, actions: {}, bytes: window.roomBytes } };
  const reserved = new Map<string, number>();
  const spilled = new Set<string>();
  const ended: string[] = [];
  const leases = leasesOfCancelled(batch, parts.leases);
  for (const transition of batch) {
    switch (transition.kind) {
      case "start":
        for (const event of transition.call.events) (request.events ??= []).push(event);
        for (const run of transition.call.runs) {
          (request.starts ??= []).push(withSpill(run, reserved, spilled, parts));
        }
        break;
      case "result":
        (request.results ??= []).push(transition.row);
        ended.push(transition.row.t);
        break;
      case "wake":
        (request.wakes ??= []).push(transition.row);
        break;
      case "release":
        (request.releases ??= []).push(transition.row);
        break;
      case "cancel":
        (request.cancels ??= []).push({
          ...transition.row,
          l: leases.get(transition.row.r)?.map((lease) => heldRow(lease, roster)) ?? [],
        });
        break;
      case "spawn":
        (request.spawns ??= []).push(transition.row);
        break;
      case "match":
        (request.matches ??= []).push(transition.row);
        break;
      case "matched":
        (request.matched ??= []).push(transition.row);
        break;
      case "started":
        (request.started ??= []).push(transition.row);
        break;
      case "log":
        (request.logs ??= []).push(transition.row);
        break;
      case "ask":
        (request.asked ??= []).push(transition.row);
        break;
    }
  }
  for (const [action, wanted] of readiedBy(batch, now, parts)) {
    const granted = roster.isServed(action) ? window.reserve(action, wanted) : 0;
    if (granted === 0) continue;
    request.room.actions[action] = granted;
    reserved.set(action, (reserved.get(action) ?? 0) + granted);
  }
  const settlement = handouts.settle(ended);
  if (settlement.settled.length > 0) request.settled = settlement.settled;
  if (settlement.carried.length > 0) request.carried = settlement.carried;
  const take = window.demand((action) => roster.isServed(action));
  if (take !== undefined) request.take = take;
  const isExpiring = window.takeQueueExpiry(now);
  if (isExpiring) request.expired = MAX_TAKE;
  const asked = { isExpiring, isBacklogAsked: false, isAgendaAsked: false };
  return { cargo: { settlement, reserved, take, spilled, ...asked }, request };
}

function leasesOfCancelled(batch: Transition[], leases: Leases): Map<string, Lease[]> {
  const cancels = batch.filter((transition) => transition.kind === "cancel");
  if (cancels.length === 0) return new Map();
  return leases.ofRuns(new Set(cancels.map(({ row }) => row.r)));
}

/** An attempt in a worker's hands, as the history of a cancelled run keeps it. */
function heldRow({ task: t, attempt: a, session, sentAt: b }: Lease, roster: Roster): HeldRow {
  return { t, a, w: roster.find(session)?.worker ?? "", b };
}

/**
 * The start with the steps that must wait in the queue, because nobody could take them now. What a
 * held run and a replay make ready comes another way.
 */
function withSpill(
  run: StartRow,
  reserved: Map<string, number>,
  spilled: Set<string>,
  { window, roster, versions }: PlanParts,
): StartRow {
  if (!isReadyAtStart(run)) return run;
  const steps: number[] = [];
  for (const [step, { action, isRoot }] of versions.find(run.v)?.steps.entries() ?? []) {
    if (!isRoot) continue;
    if (roster.isServed(action) && window.reserve(action, 1) === 1) {
      reserved.set(action, (reserved.get(action) ?? 0) + 1);
    } else {
      steps.push(step);
      spilled.add(taskId(run.id, step));
    }
  }
  return steps.length > 0 ? { ...run, s: steps } : run;
}

/** For each action, how many tasks the batch's transitions can make ready at most. */
function readiedBy(batch: Transition[], now: number, { versions }: PlanParts): Map<string, number> {
  const wanted = new Map<string, number>();
  const want = (step: StepRow | undefined): void => {
    if (step) wanted.set(step.action, (wanted.get(step.action) ?? 0) + 1);
  };
  for (const transition of batch) {
    if (transition.kind === "start") {
      for (const { v, ro, ru = [] } of transition.call.runs) {
        if (ro === undefined) continue;
        for (const [number, step] of versions.find(v)?.steps.entries() ?? []) {
          if (step.kind === "step" && !ru.includes(number)) want(step);
        }
      }
    } else if (transition.kind === "result") {
      const { row, version: id, step } = transition;
      const steps = versions.find(id)?.steps ?? [];
      const own = steps[step];
      if (isTriedAgain(row)) {
        if (row.d === undefined || row.d <= now) want(own);
      } else if (row.s === "completed" && own?.kind === "step") {
        for (const child of own.children) want(steps[child]);
      } else {
        // Its run may have failed, and unwinds one step at a time.
        for (const other of steps) if (other.kind !== "step") want(other);
      }
    }
  }
  return wanted;
}

/** Whether another attempt follows, now or later. */
function isTriedAgain({ s, d, x }: ResultRow): boolean {
  return s === "lost" ? x !== true : d !== undefined;
}
