/**
 * Turns a batch of transitions into a commit's request: reserves room in the window for what the
 * commit can make ready, says which first tasks must go to the queue, and settles handouts.
 */
import type { CommitRequest, StartRow } from "../../database/rows.ts";
import { taskId } from "../../protocol/ids.ts";
import type { Cargo } from "./committer.ts";
import type { Handouts } from "./handouts.ts";
import type { Roster } from "./roster.ts";
import type { Transition } from "./transitions.ts";
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
}

export function planCommit(batch: Transition[], parts: PlanParts): Plan {
  const { window, roster, handouts } = parts;
  const request: Plan["request"] = { room: { default: 0, actions: {}, bytes: window.roomBytes } };
  const reserved = new Map<string, number>();
  const spilled = new Set<string>();
  const ended: string[] = [];
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
  for (const [action, wanted] of readiedBy(batch, parts)) {
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
  return { cargo: { settlement, reserved, take, spilled }, request };
}

/** The start with the steps that must wait in the queue, because nobody could take them now. */
function withSpill(
  run: StartRow,
  reserved: Map<string, number>,
  spilled: Set<string>,
  { window, roster, versions }: PlanParts,
): StartRow {
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

/** For each action, how many tasks the batch's results can make ready at most. */
function readiedBy(batch: Transition[], { versions }: PlanParts): Map<string, number> {
  const wanted = new Map<string, number>();
  const want = (action: string | undefined): void => {
    if (action !== undefined) wanted.set(action, (wanted.get(action) ?? 0) + 1);
  };
  for (const transition of batch) {
    if (transition.kind !== "result") continue;
    const { row, version, step } = transition;
    const own = versions.step(version, step);
    if (row.s === "lost") want(own?.action);
    if (row.s !== "completed") continue;
    for (const child of own?.children ?? []) want(versions.step(version, child)?.action);
  }
  return wanted;
}
