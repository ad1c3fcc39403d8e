/** Transitions, rows and versions for tests of pure decisions, as short as what a test says of them. */
import type { ReadyTask } from "../../durable-objects/dispatcher/lane.ts";
import type { Lease } from "../../durable-objects/dispatcher/leases.ts";
import { PLAIN } from "../../durable-objects/dispatcher/needs.ts";
import type { SessionRecord } from "../../durable-objects/dispatcher/roster.ts";
import type { Transition } from "../../durable-objects/dispatcher/transitions.ts";
import type { Cargo } from "../../durable-objects/dispatcher/committer.ts";
import type { CommitRequest, StartRow } from "../../database/rows.ts";
import type { VersionRow } from "../../database/definition-rows.ts";
import type { AttemptOutcome } from "../../protocol/states.ts";

/** A task's id in these tests: its run, then its step. */
export function taskOf(run: string, step = 0): string {
  return `${run}.${step}`;
}

export function result(
  run: string,
  step = 0,
  { s = "completed", bytes = 10 }: { s?: AttemptOutcome; bytes?: number } = {},
): Extract<Transition, { kind: "result" }> {
  const row = { t: taskOf(run, step), r: run, a: 1, s };
  return { kind: "result", bytes, session: "session", version: "version", step, row };
}

export function startRow(id: string, version = "version"): StartRow {
  return { id, w: "workflow", v: version, d: 1, n: 1, i: null, m: {} };
}

export function start(
  ids: string[],
  { bytes = 10 }: { bytes?: number } = {},
): Extract<Transition, { kind: "start" }> {
  const runs = ids.map((id) => startRow(id));
  const call = { events: [], runs, bytes };
  return { kind: "start", call, bytes, landed: () => {}, refused: () => {} };
}

export function emptyCargo(): Cargo {
  const settlement = { ended: [], settled: [], carried: [] };
  return {
    settlement,
    reserved: new Map(),
    buried: [],
    take: [],
    spilled: new Map(),
    isExpiring: false,
    page: undefined,
    isAgendaAsked: false,
  };
}

export function requestOf(seq: number): CommitRequest {
  const room = { default: 0, actions: {}, bytes: 0 };
  return { tenant: "tenant", shard: 0, epoch: 1, seq, at: 0, room };
}

export function readyTask(id: string, action = "a", part: Partial<ReadyTask> = {}): ReadyTask {
  const where = { run: id, version: "version", step: 0, kind: "step" as const, attempt: 1 };
  const payload = { input: null, metadata: {}, parents: {} };
  return {
    id,
    action,
    ...where,
    ...payload,
    queuedAt: 0,
    seq: 1,
    bytes: 10,
    expiresAt: Infinity,
    timeoutMs: 1_000,
    needs: PLAIN,
    ...part,
  };
}

/** An attempt in a worker's hands. */
export function lease(part: Partial<Lease> = {}): Lease {
  return {
    task: "task",
    run: "run",
    attempt: 1,
    session: "session",
    version: "version",
    step: 0,
    kind: "step",
    failures: 0,
    rescues: 0,
    slots: 1,
    holds: [],
    reserved: [],
    retry: undefined,
    sentAt: 0,
    deadline: 60_000,
    leftMs: undefined,
    returning: undefined,
    state: "held",
    stopReason: undefined,
    releaseBy: Number.POSITIVE_INFINITY,
    isReceived: true,
    isReleased: false,
    isStartRecorded: true,
    isEndUnknown: false,
    ...part,
  };
}

export function sessionRecord(id: string, part: Partial<SessionRecord> = {}): SessionRecord {
  const rest = { versions: [], heartbeatLimitMs: 30_000, resumeGraceMs: 6_000, connectedAt: 0 };
  const flags = { isPaused: false, askedPause: undefined, isDraining: false, closedAt: undefined };
  const labels = {};
  return { id, worker: id, slots: 1, actions: ["a"], labels, ...rest, ...flags, ...part };
}

/** A version whose steps are given by their actions and children. */
export function version(
  id: string,
  steps: { action: string; isRoot?: boolean; children?: number[] }[],
): VersionRow {
  return {
    id,
    workflow: "workflow",
    workflowId: "workflow",
    number: 1,
    steps: steps.map(({ action, isRoot = false, children = [] }) => ({
      name: action,
      action,
      kind: "step",
      isRoot,
      children,
      timeoutMs: 1_000,
    })),
  };
}
