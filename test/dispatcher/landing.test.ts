/** What a commit sets free when it lands, and what became of it on the way. */
import { expect, test } from "vitest";
import type { CommitReply, ReadyRow, StartRow } from "../../database/rows.ts";
import type { VersionRow } from "../../database/definition-rows.ts";
import type { Cargo, Flight } from "../../durable-objects/dispatcher/committer.ts";
import { planCommit } from "../../durable-objects/dispatcher/plan.ts";
import type { StartCall, Transition } from "../../durable-objects/dispatcher/transitions.ts";
import { ShardAdmission } from "../../durable-objects/shard-admission.ts";
import { ShardAttempts } from "../../durable-objects/shard-attempts.ts";
import { ShardLanding } from "../../durable-objects/shard-landing.ts";
import { ShardMatches } from "../../durable-objects/shard-matches.ts";
import { ShardPeers } from "../../durable-objects/shard-peers.ts";
import { ShardState } from "../../durable-objects/shard-state.ts";
import { newId, newRunId, taskId } from "../../protocol/ids.ts";
import { createLogger } from "../../telemetry/log.ts";

const VERSION: VersionRow = {
  id: newId(),
  workflow: "trip",
  workflowId: newId(),
  number: 1,
  steps: [
    { name: "only", action: "trip:only", kind: "step", isRoot: true, children: [], timeoutMs: 1 },
    {
      name: "on-failure",
      action: "trip:on-failure",
      kind: "on_failure",
      isRoot: false,
      children: [],
      timeoutMs: 1,
    },
  ],
};

function makeShard(): { state: ShardState; landing: ShardLanding } {
  const storage = { sql: { exec: () => [] } } as unknown as DurableObjectStorage;
  const state = new ShardState({ tenant: newId(), shard: 0 }, storage, createLogger({}, "error"));
  state.versions.add([VERSION]);
  const attempts = new ShardAttempts(state);
  const admission = new ShardAdmission(state, attempts);
  const peers = new ShardPeers(state, { getByName: () => neverCalled() }, neverCalled);
  const landing = new ShardLanding(state, attempts, new ShardMatches(state), admission, peers);
  return { state, landing };
}

function neverCalled(): never {
  throw new Error("Another shard was called");
}

function launch(state: ShardState, transitions: Transition[], part: Partial<Cargo> = {}): Flight {
  const cargo: Cargo = {
    settlement: state.handouts.settle([]),
    reserved: new Map(),
    buried: [],
    take: [],
    spilled: new Map(),
    isExpiring: false,
    page: undefined,
    isAgendaAsked: false,
    ...part,
  };
  const { tenant, shard } = state.name;
  const room = { default: 0, actions: {}, bytes: 1 };
  return state.committer.launch(transitions, cargo, Date.now(), (seq) => ({
    tenant,
    shard,
    epoch: 1,
    seq,
    at: Date.now(),
    room,
  }));
}

function outOfTime(run: string): Transition {
  const e = { code: "run_timeout" as const, name: "Error", message: "It took too long" };
  const ignore = (): void => {};
  return { kind: "cancel", row: { r: run, e }, bytes: 0, landed: ignore, refused: ignore };
}

function readyRow(run: string, step: number): ReadyRow {
  const id = taskId(run, step);
  const given = { input: null, metadata: {}, parents: {} };
  return { id, run, version: VERSION.id, step, attempt: 1, queuedAt: Date.now(), ...given };
}

/**
 * A refill and a run's timeout fly together. The timeout commits first and its on-failure task goes
 * to the queue; the refill then takes it from there.
 */
function makeOverlap(): {
  state: ShardState;
  land: Record<"refill" | "timeout", () => void>;
  task: string;
} {
  const { state, landing } = makeShard();
  const run = newRunId();
  const refill = launch(state, []);
  const timeout = launch(state, [outOfTime(run)]);
  const cancelled: CommitReply = { cancelled: [run], spilled: ["trip:on-failure"], ready: [] };
  return {
    state,
    task: taskId(run, 1),
    land: {
      refill: () => landing.land(refill, { ready: [readyRow(run, 1)] }, 100),
      timeout: () => landing.land(timeout, cancelled, 100),
    },
  };
}

test("what sees to a failed run is kept when a refill brings it after the timeout", () => {
  const { state, land, task } = makeOverlap();
  land.timeout();
  land.refill();
  expect(state.window.laneOf(task)).toBeDefined();
});

test("what sees to a failed run is kept when a refill brought it before the timeout", () => {
  const { state, land, task } = makeOverlap();
  land.refill();
  land.timeout();
  expect(state.window.laneOf(task)).toBeDefined();
});

test("what sees to a failed run is kept when its timeout fires a second time", () => {
  const { state, landing } = makeShard();
  const run = newRunId();
  const [first, second] = [launch(state, [outOfTime(run)]), launch(state, [outOfTime(run)])];
  landing.land(first, { cancelled: [run], ready: [readyRow(run, 1)] }, 100);
  // Postgres changes nothing, and says again that the run's tasks from before are over.
  landing.land(second, { cancelled: [run], ready: [] }, 100);
  expect(state.window.laneOf(taskId(run, 1))).toBeDefined();
});

test("a run whose version has gone from memory before its commit is not lost", () => {
  const { state } = makeShard();
  const others = Array.from({ length: 2_000 }, () => ({ ...VERSION, id: newId() }));
  const call: StartCall = { events: [], runs: [startRow()], bytes: 1 };
  state.versions.add(others); // another call's, between this one's reading and its launch
  const ignore = (): void => {};
  const start: Transition = { kind: "start", call, bytes: 1, landed: ignore, refused: ignore };
  const { request } = planCommit([start], Date.now(), state);
  // Neither spilled nor known when it lands: Postgres hands its roots out, and nobody takes them.
  expect(state.versions.find(VERSION.id) ?? request.starts?.[0]?.s).toBeDefined();
});

function startRow(): StartRow {
  const run = { id: newRunId(), w: VERSION.workflowId, v: VERSION.id, d: 1, n: 1 };
  return { ...run, i: null, m: {} };
}

test("an action whose queue a refill has emptied is no longer spilled, though the same commit spilled", () => {
  const { state, landing } = makeShard();
  const row = { action: "trip:only", lane: 0 };
  state.backlog.note(row); // a task that was woken went to the queue
  const take = state.backlog.demand(() => true);
  expect(state.window.reserve(state.window.lane(row), 1)).toBe(0); // so this very commit's start goes there too
  const refill = launch(state, [], { take });
  landing.land(refill, { spilled: ["trip:only"], more: [], ready: [] }, 0);
  expect(state.window.reserve(state.window.lane(row), 1)).toBe(1);
});
