/**
 * Lets out what a commit has set free once it has landed: answers to API calls, acknowledgements to
 * workers, ready tasks into the window. Nothing is told before it is durable.
 */
import type { CommitReply, FinishedRow, SpawnedRow } from "../database/rows.ts";
import type { ShardFrame, SpawnedFrame } from "../protocol/session.ts";
import type { Flight, RunEnd } from "./dispatcher/committer.ts";
import type { Lease } from "./dispatcher/leases.ts";
import { AGENDA_PAGE } from "./dispatcher/limits.ts";
import type { Transition } from "./dispatcher/transitions.ts";
import { isOver, laneOfParked, type ShardAdmission } from "./shard-admission.ts";
import type { ShardAttempts } from "./shard-attempts.ts";
import type { ShardMatches } from "./shard-matches.ts";
import type { ShardPeers } from "./shard-peers.ts";
import type { ShardState } from "./shard-state.ts";

type Spawn = Extract<Transition, { kind: "spawn" }>;

export class ShardLanding {
  #state: ShardState;
  #attempts: ShardAttempts;
  #matches: ShardMatches;
  #admission: ShardAdmission;
  #peers: ShardPeers;

  constructor(
    state: ShardState,
    attempts: ShardAttempts,
    matches: ShardMatches,
    admission: ShardAdmission,
    peers: ShardPeers,
  ) {
    this.#state = state;
    this.#attempts = attempts;
    this.#matches = matches;
    this.#admission = admission;
    this.#peers = peers;
  }

  land(flight: Flight, reply: CommitReply, length: number): void {
    const { committer, window, backlog, turns, handouts, waiters, agenda } = this.#state;
    const { cargo, seq, transitions } = flight;
    const now = Date.now();
    committer.land(flight);
    for (const [lane, count] of cargo.reserved) window.release(lane, count);
    handouts.land(cargo.settlement, seq);
    if (reply.limits) this.#admission.changeLimits(reply.limits);
    if (reply.map) this.#peers.heed(reply.map);
    if (reply.touched) this.#peers.nudge(reply.touched);
    for (const transition of transitions) this.#tell(transition, reply, flight);
    this.#endLeases(transitions);
    this.#endCancelled(transitions, reply.cancelled ?? [], now);
    const allFinished = reply.finished ?? [];
    for (const finished of allFinished) {
      waiters.finish(finished.run, finished.state);
      agenda.forget(finished.run, "timeout");
      this.#tellParent(finished);
    }
    this.#attempts.endRuns(allFinished.map(({ run }) => run));
    const ready = reply.ready ?? [];
    for (const task of ready) this.#admission.admit(task, flight, length / ready.length);
    for (const lane of backlog.taken(cargo.take, reply.more ?? [])) turns.leave(lane);
    for (const action of reply.spilled ?? []) {
      this.#admission.noteSpilled({ action, lane: 0 }, flight);
    }
    if (cargo.page && reply.lanes) backlog.read(reply.lanes, cargo.page);
    if (reply.expiry !== undefined) window.noteQueueExpiry(reply.expiry);
    if (reply.agenda) agenda.read(reply.agenda, AGENDA_PAGE);
    if (reply.timers) agenda.add(reply.timers);
  }

  /** Postgres has said on recovery that an attempt is over: whoever is still at it is told. */
  drop(lease: Lease, now: number): void {
    lease.isEndUnknown = true;
    if (lease.state === "held") this.#attempts.cancel([lease], "lost", now);
    else this.#attempts.endAll([lease]);
  }

  /** The one transition that Postgres refuses gets its error, alone. */
  refuse(culprit: Transition, error: unknown): void {
    if (culprit.kind === "start" || culprit.kind === "cancel") return culprit.refused(error);
    if (culprit.kind === "match" || culprit.kind === "matched") {
      return this.#matches.leaveEvent(culprit.row.e);
    }
    if (culprit.kind === "settle" || culprit.kind === "look" || culprit.kind === "looked") {
      return this.#matches.leaveWait(culprit.row.t, culprit.kind === "settle");
    }
    if (culprit.kind === "meet") return culprit.refused();
    if (culprit.kind === "park") return this.#admission.readmit(culprit.task);
    const message = `Postgres can't store this: ${error instanceof Error ? error.message : "?"}`;
    if (culprit.kind === "spawn") return this.#refuseSpawn(culprit, message);
    if (culprit.kind !== "result" || culprit.row.e?.code === "invalid_output") return;
    const { o: _unstorable, d: _retry, ...row } = culprit.row;
    const e = { code: "invalid_output" as const, name: "InvalidOutput", message };
    this.#state.committer.add({ ...culprit, row: { ...row, s: "failed", e } });
  }

  /** Postgres will never take these children. */
  #refuseSpawn({ session, row: { t: task, a: attempt, c } }: Spawn, detail: string): void {
    for (const { k: key } of c) {
      const refusal = { code: "invalid_request" as const, detail };
      this.#state.outbox.add(session, { type: "spawned", task, attempt, key, refusal });
    }
  }

  /** Tells whoever asked for a transition what has become of it. */
  #tell(transition: Transition, reply: CommitReply, flight: Flight): void {
    switch (transition.kind) {
      case "start":
        this.#admission.admitFirst(transition.call, reply, flight);
        return transition.landed({ events: reply.events ?? {}, starts: reply.starts ?? {} });
      case "result":
      case "ask": {
        if (transition.session === undefined) return;
        const { t: task, a: attempt } = transition.row;
        const classes = transition.kind === "ask" ? reply.asked : reply.results;
        const type = classes?.[task] ?? "recorded";
        return this.#state.outbox.add(transition.session, { type, task, attempt });
      }
      case "cancel":
        return transition.landed(reply.cancelled?.includes(transition.row.r) ?? false);
      case "meet":
        return transition.landed();
      case "settle": {
        const settled = reply.settles?.find(({ t }) => t === transition.row.t);
        return this.#matches.settle(transition.row, settled);
      }
      case "look": {
        const page = reply.looks?.find(({ t }) => t === transition.row.t);
        return this.#matches.readPast(transition.row, page);
      }
      case "looked":
        return this.#matches.endLook(transition.row.t);
      case "park":
        return this.#admission.noteSpilled(laneOfParked(transition), flight);
      case "spawn":
        return this.#tellSpawned(transition, reply.spawned ?? []);
      case "match": {
        const page = reply.matches?.find(({ e }) => e === transition.row.e);
        return this.#matches.read(transition.row, page);
      }
      case "matched":
        return this.#matches.end(transition.row.e);
    }
  }

  #tellSpawned({ session, row: { t: task, a: attempt, c } }: Spawn, spawned: SpawnedRow[]): void {
    const { outbox } = this.#state;
    const asked = new Map(c.map(({ k, w }) => [k, w]));
    for (const { t, k: key, run, refused, finished } of spawned) {
      const workflow = asked.get(key);
      if (t !== task || workflow === undefined) continue;
      if (refused === "stale") {
        outbox.add(session, { type: "stale", task, attempt });
        return;
      }
      const frame: SpawnedFrame = { type: "spawned", task, attempt, key };
      if (run !== undefined) outbox.add(session, { ...frame, run });
      else if (refused !== undefined) {
        const detail =
          refused === "workflow_not_found"
            ? `No workflow "${workflow}" is registered. Start a worker that has it.`
            : `The workflow "${workflow}" is paused and takes no runs. Resume it, then try again.`;
        outbox.add(session, { ...frame, refusal: { code: refused, detail } });
      }
      if (finished) outbox.add(session, childFrame(task, attempt, key, finished));
    }
  }

  /** A child has finished: whoever has its parent's attempt now hears of it. */
  #tellParent(finished: FinishedRow): void {
    const { parent, key } = finished;
    if (parent === undefined || key === undefined) return;
    const lease = this.#state.leases.ofTask(parent);
    if (lease?.state !== "held") return;
    this.#state.outbox.add(lease.session, childFrame(parent, lease.attempt, key, finished));
  }

  #endLeases(transitions: Transition[]): void {
    const ended: Lease[] = [];
    for (const transition of transitions) {
      if (transition.kind !== "result") continue;
      const lease = this.#state.leases.find(transition.row.t, transition.row.a);
      if (lease && lease.state !== "cancelled") ended.push(lease);
    }
    this.#attempts.endAll(ended);
  }

  /** The tasks of runs that were cancelled or took too long are over, wherever they are. */
  #endCancelled(transitions: Transition[], cancelled: string[], now: number): void {
    if (cancelled.length === 0) return;
    const { committer, window, leases, handouts } = this.#state;
    const ends = endsOf(transitions, new Set(cancelled));
    for (const { overtaken } of committer.flights) {
      for (const [run, end] of ends) overtaken.set(run, end);
    }
    const over = window.remove(({ run, kind }) => isOver(kind, ends.get(run)));
    for (const { id } of over) handouts.end(id);
    for (const [run, held] of leases.ofRuns(ends)) {
      const end = ends.get(run);
      if (end === undefined) continue;
      const ended = held.filter(({ kind }) => isOver(kind, end));
      for (const { task } of ended) handouts.end(task);
      this.#attempts.cancel(ended, end, now);
    }
  }
}

/** Why each of the runs that are over is. Cancelled by anybody, it has nothing to follow. */
function endsOf(transitions: Transition[], cancelled: ReadonlySet<string>): Map<string, RunEnd> {
  const ends = new Map<string, RunEnd>();
  for (const transition of transitions) {
    if (transition.kind !== "cancel" || !cancelled.has(transition.row.r)) continue;
    const { r: run, e: error } = transition.row;
    if (error.code !== "run_timeout") ends.set(run, "cancelled");
    else if (!ends.has(run)) ends.set(run, "run_timeout");
  }
  return ends;
}

function childFrame(
  task: string,
  attempt: number,
  key: string,
  { run, state, outputs = null, error = null }: FinishedRow,
): ShardFrame {
  if (state === "queued" || state === "running") throw new Error(`Run ${run} has not finished`);
  return { type: "child", task, attempt, key, run, state, outputs, error };
}
