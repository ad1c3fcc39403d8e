/**
 * Turns a batch of transitions into a commit's request: reserves room in the window for what the
 * commit can make ready, says which first tasks must go to the queue, and settles handouts.
 */
import type { CommitRequest, HeldRow, LaneRow, ResultRow, StartRow } from "../../database/rows.ts";
import type { StepRow } from "../../database/definition-rows.ts";
import type { ShardMap } from "../../protocol/shard-map.ts";
import { taskId } from "../../protocol/ids.ts";
import type { Backlog } from "./backlog.ts";
import type { Cargo } from "./committer.ts";
import { UNJUDGED } from "./gates.ts";
import type { Handouts } from "./handouts.ts";
import type { Lane } from "./lane.ts";
import type { Lease, Leases } from "./leases.ts";
import type { LimitBook } from "./limit-book.ts";
import { MAX_TAKE } from "./limits.ts";
import { type LimitExpressions, needsOf } from "./needs.ts";
import type { Roster } from "./roster.ts";
import { isReadyAtStart, isReadyFirst, type Transition } from "./transitions.ts";
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
  backlog: Backlog;
  book: LimitBook;
  map: ShardMap;
  limitExpressions: LimitExpressions;
}

export function planCommit(batch: Transition[], now: number, parts: PlanParts): Plan {
  const { window, roster, handouts, backlog, book } = parts;
  const request: Plan["request"] = { room: { default: 0, actions: {}, bytes: window.roomBytes } };
  if (book.version !== undefined) request.limits = book.version;
  if (parts.map.version > 0) request.map = parts.map.version;
  const reserved = new Map<Lane, number>();
  const spilled = new Map<string, LaneRow>();
  const ended: string[] = [];
  const leases = leasesOfCancelled(batch, parts.leases);
  for (const transition of batch) {
    switch (transition.kind) {
      case "start":
        for (const event of transition.call.events) (request.events ??= []).push(event);
        for (const run of transition.call.runs) {
          (request.starts ??= []).push(withSpill(run, reserved, spilled, parts));
        }
        for (const tick of transition.call.ticks ?? []) (request.ticks ??= []).push(tick);
        break;
      case "result":
        (request.results ??= []).push(transition.row);
        ended.push(transition.row.t);
        break;
      case "wake":
        (request.wakes ??= []).push(transition.row);
        break;
      case "park":
        (request.parks ??= []).push(transition.row);
        ended.push(transition.row.t);
        break;
      case "unline":
        (request.unlined ??= []).push(transition.row);
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
      case "wait":
        (request.waits ??= []).push(transition.row);
        ended.push(transition.row.t);
        break;
      case "meet":
        (request.meets ??= []).push(transition.row);
        break;
      case "elapse":
        (request.elapses ??= []).push(transition.row);
        break;
      case "settle":
        (request.settles ??= []).push(transition.row);
        break;
      case "look":
        (request.looks ??= []).push(transition.row);
        break;
      case "looked":
        (request.looked ??= []).push(transition.row);
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
    if (!roster.isServed(action)) continue;
    const lane = window.lane({ action, lane: 0 });
    const granted = window.reserve(lane, wanted);
    if (granted === 0) continue;
    request.room.actions[action] = granted;
    reserved.set(lane, (reserved.get(lane) ?? 0) + granted);
  }
  const settlement = handouts.settle(ended);
  if (settlement.settled.length > 0) request.settled = settlement.settled;
  if (settlement.carried.length > 0) request.carried = settlement.carried;
  const buried = handouts.bury();
  if (buried.length > 0) request.buried = buried;
  const take = backlog.demand((action) => roster.isServed(action));
  if (take.length > 0) request.take = take;
  const page = backlog.page;
  if (page !== undefined) request.lanes = page;
  const isExpiring = window.takeQueueExpiry(now);
  if (isExpiring) request.expired = MAX_TAKE;
  const asked = { isExpiring, page, isAgendaAsked: false };
  const cargo = { settlement, reserved, buried, take, spilled, ...asked };
  return { cargo, request };
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
 * The start with the steps that must wait in the queue, because nobody could take them now or because they are
 * another shard's. What a held or delayed run and a replay make ready comes another way.
 */
function withSpill(
  run: StartRow,
  reserved: Map<Lane, number>,
  spilled: Map<string, LaneRow>,
  parts: PlanParts,
): StartRow {
  if (!isReadyAtStart(run)) return run;
  const { window, roster } = parts;
  const steps: [number, number][] = [];
  for (const [step, row] of firstTasksOf(run, parts)) {
    if (run.sh !== undefined) {
      steps.push([step, row.lane]);
      continue;
    }
    const lane = window.lane(row);
    if (roster.isServed(row.action) && window.reserve(lane, 1) === 1) {
      reserved.set(lane, (reserved.get(lane) ?? 0) + 1);
    } else {
      window.forget(lane);
      steps.push([step, row.lane]);
      spilled.set(taskId(run.id, step), row);
    }
  }
  return steps.length > 0 ? { ...run, s: steps } : run;
}

/** The steps that are ready when their run starts, and in which lanes they wait. */
function* firstTasksOf(
  { v, i: input, m: metadata, pr: priority }: StartRow,
  { versions, book, limitExpressions }: PlanParts,
): Iterable<[number, LaneRow]> {
  const version = versions.find(v);
  if (version === undefined) return;
  for (const [number, step] of version.steps.entries()) {
    if (!isReadyFirst(step)) continue;
    const data = { input, metadata, parents: {}, ...(priority !== undefined && { priority }) };
    const found = needsOf(data, version, step, book, limitExpressions);
    // What can't be said fails when it comes to the window, from wherever.
    yield [number, { action: step.action, lane: found.ok ? found.needs.lane : 0 }];
  }
}

/** For each action, how many tasks the batch's transitions can make ready at most. */
function readiedBy(batch: Transition[], now: number, { versions }: PlanParts): Map<string, number> {
  const wanted = new Map<string, number>();
  const wantAction = (action: string): void => {
    wanted.set(action, (wanted.get(action) ?? 0) + 1);
  };
  const want = (step: StepRow | undefined): void => {
    if (step) wantAction(step.gate === undefined ? step.action : UNJUDGED);
  };
  for (const transition of batch) {
    if (transition.kind === "start") {
      for (const { v, ro, ru = [], sh } of transition.call.runs) {
        if (sh !== undefined) continue;
        for (const [number, step] of versions.find(v)?.steps.entries() ?? []) {
          const isWanted =
            ro === undefined
              ? step.isRoot && step.gate !== undefined
              : step.kind === "step" && !ru.includes(number);
          if (isWanted) want(step);
        }
      }
    } else if (transition.kind === "meet" || transition.kind === "elapse") {
      wantAction(UNJUDGED);
    } else if (transition.kind === "result") {
      const { row, version: id, step } = transition;
      const steps = versions.find(id)?.steps ?? [];
      const own = steps[step];
      if (isTriedAgain(row)) {
        if (own && (row.d === undefined || row.d <= now)) wantAction(own.action);
      } else if ((row.s === "completed" || row.s === "skipped") && own?.kind === "step") {
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
  return s === "put_back" || (s === "lost" ? x !== true : d !== undefined);
}
