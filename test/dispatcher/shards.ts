/**
 * Several shards of one tenant without Postgres and workers: tasks come, start and end, messages between shards
 * are late, lost and repeated, shards lose their memory or their storage, and their number changes. Who is at
 * work is known from the workers' side.
 */
import type { VersionRow } from "../../database/definition-rows.ts";
import type { Lease } from "../../durable-objects/dispatcher/leases.ts";
import { needsOf } from "../../durable-objects/dispatcher/needs.ts";
import { ShardAttempts } from "../../durable-objects/shard-attempts.ts";
import { ShardFrames } from "../../durable-objects/shard-frames.ts";
import { ShardLoans } from "../../durable-objects/shard-loans.ts";
import { ShardWhy } from "../../durable-objects/shard-why.ts";
import { type Peer, ShardPeers } from "../../durable-objects/shard-peers.ts";
import { ShardState } from "../../durable-objects/shard-state.ts";
import type { LimitUse } from "../../protocol/limit-bodies.ts";
import { newRunId, runIdOf, taskId } from "../../protocol/ids.ts";
import { type ShardMap, shardNumbers } from "../../protocol/shard-map.ts";
import { createLogger } from "../../telemetry/log.ts";
import { ObjectDisk, ObjectStorage } from "../simulation/object-storage.ts";
import type { Random } from "../simulation/random.ts";
import { peerThrough, type Trouble } from "./shard-network.ts";
import { Timeline } from "./timeline.ts";
import { readyTask, sessionRecord } from "./transitions.ts";
import { type Take, TIMEOUT_MS, Workers, type Working } from "./workers.ts";

interface Shard {
  number: number;
  disk: ObjectDisk;
  state: ShardState;
  attempts: ShardAttempts;
  frames: ShardFrames;
  loans: ShardLoans;
  why: ShardWhy;
  isRecovered: boolean;
  epoch: number;
  /** Rises with every life: what was for an older one is lost. */
  life: number;
  armedAt: number;
}

/** What one shard has said to another. */
export interface Said {
  from: number;
  to: number;
  method: string;
  parameter: unknown;
  at: number;
}

export class Shards {
  trouble: Trouble;
  /** Shards that reach no other, and that none reaches. Their workers do. */
  readonly cut = new Set<number>();
  map: ShardMap = { version: 1, since: 1, count: 1, draining: [] };
  readonly shards = new Map<number, Shard>();
  /** Tasks that have not ended: where they are, and what they ask for. */
  readonly open = new Map<string, { shard: number; attempt: number; key: string; units: number }>();
  /** Every call between shards that was tried. */
  readonly said: Said[] = [];
  #timeline = new Timeline(() => this.#nextAlarm());
  #workers = new Workers(this.#timeline);
  #random: Random;
  #version: VersionRow;

  constructor(random: Random, trouble: Trouble, limits: LimitUse[], ofRun: LimitUse[] = []) {
    this.#random = random;
    this.trouble = trouble;
    const step = { name: "step", action: "a", kind: "step" as const, isRoot: true, children: [] };
    this.#version = {
      id: "version",
      workflow: "flow",
      workflowId: "flow",
      number: 1,
      steps: [{ ...step, timeoutMs: TIMEOUT_MS, dispatch: { limits } }],
      ...(ofRun.length > 0 && { dispatch: { limits: ofRun } }),
    };
    this.#begin(0, new ObjectDisk(), 0, 0);
  }

  get now(): number {
    return this.#timeline.now;
  }

  /** Attempts in workers' hands. */
  get working(): Map<string, Working> {
    return this.#workers.working;
  }

  get taken(): Take[] {
    return this.#workers.taken;
  }

  /** How many attempts hold each key of a limit at this moment. */
  held(): Map<string, number> {
    return this.#workers.held();
  }

  /** Other shards from now on; each learns of it when it is told, or from another. */
  reshard(count: number): void {
    const all = new Set([...shardNumbers(this.map), ...this.shards.keys()]);
    const version = this.map.version + 1;
    const draining = [...all].filter((number) => number >= count);
    this.map = { version, since: version, count, draining };
    this.#trace("reshard", this.map);
    for (const number of shardNumbers(this.map)) {
      if (!this.shards.has(number)) this.#begin(number, new ObjectDisk(), 0, 0);
      this.#timeline.later(this.#random.between(0, this.trouble.lateMs * 4), () => {
        const shard = this.shards.get(number);
        if (shard?.isRecovered === true) this.#heed(shard);
      });
    }
  }

  /** A task becomes ready at one of the shards. */
  arrive(number: number, key: string, units = 1): void {
    const task = taskId(newRunId(this.now), 0);
    this.open.set(task, { shard: number, attempt: 1, key, units });
    const shard = this.shards.get(number);
    if (shard?.isRecovered === true) this.#admit(shard, task);
  }

  /** A worker has done what it was given; its run is over. */
  end(working: Working): void {
    this.#trace(`${working.shard} ends`, working.task, working.key);
    this.#workers.stop(working);
    // An attempt that was written off: what it has done comes too late.
    if (this.open.get(working.task)?.attempt !== working.attempt) return;
    this.open.delete(working.task);
    this.#endAttempt(working, true);
  }

  /** The attempt is over, and its run sleeps for so long; then it goes on. */
  sleep(working: Working, ms: number): void {
    this.#workers.stop(working);
    const open = this.open.get(working.task);
    if (open?.attempt !== working.attempt) return;
    open.attempt++;
    this.#endAttempt(working, false);
    this.#timeline.later(ms, () => {
      const shard = this.shards.get(working.shard);
      if (shard) this.#admit(shard, working.task);
    });
  }

  /** Its handler needs so much time from now on: it has it when it is told so. */
  extend({ shard: number, task, attempt }: Working, ms: number): void {
    const shard = this.shards.get(number);
    const session = shard?.state.roster.find("session");
    if (shard === undefined || session === undefined || !shard.isRecovered) return;
    const frame = { type: "extend" as const, task, attempt, timeoutMs: ms };
    shard.frames.read(session, frame, 0, false, this.now);
    this.#settle(shard);
  }

  settleUnits(working: Working, used: number): void {
    const shard = this.shards.get(working.shard);
    const lease = shard?.state.leases.find(working.task, working.attempt);
    const [reserve] = lease?.reserved ?? [];
    if (shard === undefined || lease === undefined || reserve === undefined) return;
    shard.attempts.limits.settle(lease, reserve.limit, used, this.now);
    this.#settle(shard);
  }

  pauseKey(working: Working, forMs: number): void {
    const shard = this.shards.get(working.shard);
    const lease = shard?.state.leases.find(working.task, working.attempt);
    if (shard === undefined || lease === undefined) return;
    shard.attempts.limits.pause(lease, undefined, this.now + forMs, this.now);
    this.#settle(shard);
  }

  /** The shard loses its memory; also its storage. */
  crash(number: number, losesStorage: boolean): void {
    const shard = this.shards.get(number);
    if (shard === undefined) return;
    if (losesStorage) shard.disk.forget();
    this.#trace(`crash ${number}`, String(losesStorage));
    if (losesStorage) this.#workers.stopProlonged(number);
    this.#begin(number, losesStorage ? new ObjectDisk() : shard.disk, shard.epoch, shard.life);
  }

  /** Lets time pass, and everything happen that is due. */
  pass(ms: number): Promise<void> {
    return this.#timeline.pass(ms);
  }

  /** The alarm of a shard. */
  #nextAlarm(): { at: number; run: () => void } | undefined {
    let soonest: Shard | undefined;
    for (const shard of this.shards.values()) {
      if (soonest === undefined || shard.armedAt < soonest.armedAt) soonest = shard;
    }
    if (soonest === undefined || !Number.isFinite(soonest.armedAt)) return undefined;
    const shard = soonest;
    const run = (): void => {
      shard.armedAt = Number.POSITIVE_INFINITY;
      shard.attempts.enforceDeadlines(this.now, () => this.now);
      this.#settle(shard);
    };
    return { at: shard.armedAt, run };
  }

  #begin(number: number, disk: ObjectDisk, epoch: number, life: number): void {
    const storage = new ObjectStorage(disk, (write) => write());
    const log = createLogger({ shard: number }, process.env["LOG"] ?? "error");
    const state = new ShardState(
      { tenant: "tenant", shard: number },
      storage as unknown as DurableObjectStorage,
      log,
    );
    const attempts = new ShardAttempts(state);
    const peers = new ShardPeers(
      state,
      { getByName: (name) => this.#peer(shard, Number(name.split("/")[1])) },
      () => shard.loans.heedOwnership(this.now),
    );
    const loans = new ShardLoans(state, attempts, peers, {
      settle: () => this.#settle(shard),
      arm: (at) => void (shard.armedAt = Math.min(shard.armedAt, Math.max(at, this.now + 1))),
      isRecovered: () => shard.isRecovered,
    });
    const why = new ShardWhy(state, peers, () => shard.isRecovered);
    const shard: Shard = {
      number,
      why,
      disk,
      state,
      attempts,
      frames: new ShardFrames(state, attempts),
      loans,
      isRecovered: false,
      epoch,
      life: life + 1,
      armedAt: Number.POSITIVE_INFINITY,
    };
    Object.assign(shard, { peers });
    this.shards.set(number, shard);
    this.#timeline.later(this.#random.between(1, 50), () => this.#recover(shard, peers));
  }

  /** What the first commit of a life is told, from Postgres. */
  #recover(shard: Shard, peers: ShardPeers): void {
    if (this.shards.get(shard.number) !== shard) return;
    const { state, attempts, loans } = shard;
    state.versions.add([this.#version]);
    state.book.replace({ version: 1, limits: [] });
    state.roster.join(sessionRecord("session", { actions: ["a"], slots: 10_000 }));
    const known = state.storage.readEpoch();
    const isTrusted = shard.epoch === 0 || known === shard.epoch;
    state.storage.writeEpoch(++shard.epoch);
    peers.heed(structuredClone(this.map));
    loans.recover(isTrusted, shard.epoch, this.now);
    const reply = { limits: { version: 1, limits: [] }, over: [] };
    const unknown = isTrusted ? {} : { holding: [], unknownMs: TIMEOUT_MS };
    attempts.limits.recover({ ...reply, ...unknown } as never, this.now);
    shard.isRecovered = true;
    for (const [task, open] of this.open) {
      if (open.shard !== shard.number || state.leases.ofTask(task) !== undefined) continue;
      // It may be at work, and nobody knows: it is written off, and another attempt follows.
      if (this.working.has(task) || !isTrusted) open.attempt++;
      this.#admit(shard, task);
    }
    this.#settle(shard);
  }

  #heed(shard: Shard & { peers?: ShardPeers }): void {
    shard.peers?.heed(structuredClone(this.map));
    this.#settle(shard);
  }

  #admit({ state, isRecovered }: Shard, task: string): void {
    const open = this.open.get(task);
    const [step] = this.#version.steps;
    if (open === undefined || step === undefined || !isRecovered) return;
    const run = runIdOf(task);
    const data = { input: { k: open.key, u: open.units }, metadata: {}, parents: {} };
    const found = needsOf(data, this.#version, step, state.book, state.limitExpressions, (id) =>
      state.permits.has(id, run),
    );
    if (!found.ok) throw new Error(found.message);
    const of = { run, attempt: open.attempt, queuedAt: this.now, timeoutMs: TIMEOUT_MS };
    const lane = state.window.add(readyTask(task, "a", { ...data, ...of, needs: found.needs }));
    if (lane) state.turns.join(lane);
    const shard = this.shards.get(open.shard);
    if (shard) this.#settle(shard);
  }

  #settle(shard: Shard): void {
    if (this.shards.get(shard.number) !== shard || !shard.isRecovered) return;
    const { state, attempts, loans } = shard;
    const due = attempts.dispatch(this.now);
    loans.settle(this.now);
    for (const [, frames] of state.outbox.take()) {
      for (const frame of frames) {
        if (frame.type === "task") this.#work(shard, frame.task, frame.attempt);
        else if (frame.type === "cancel") this.#let(shard, frame.task, frame.attempt);
        else if (frame.type === "extended") {
          this.#workers.prolong(frame.task, frame.attempt, frame.timeoutMs);
        }
      }
    }
    const nextAlarm = Math.min(due, loans.nextDue, state.turns.nextOpening());
    const next = Math.min(nextAlarm, state.returns.nextOpening, state.leases.nextDue());
    shard.armedAt = Math.min(shard.armedAt, Math.max(next, this.now + 1));
  }

  #work(shard: Shard, task: string, attempt: number): void {
    const open = this.open.get(task);
    const lease = shard.state.leases.find(task, attempt);
    if (lease) lease.isReceived = lease.isStartRecorded = true;
    if (open === undefined) throw new Error(`${task} starts, and has ended`);
    const { key, units } = open;
    this.#trace(`${shard.number} starts`, task, key);
    this.#workers.start({ task, attempt, key, units, shard: shard.number, run: runIdOf(task) });
  }

  /** Its worker has stopped an attempt because its shard wants it to. */
  #let(shard: Shard, task: string, attempt: number): void {
    this.#workers.stop({ task, attempt });
    const lease = shard.state.leases.find(task, attempt);
    if (lease === undefined) return;
    this.#endLease(shard, lease);
    const open = this.open.get(task);
    if (open === undefined) return;
    open.attempt = Math.max(open.attempt, attempt + 1);
    this.#admit(shard, task);
  }

  #peer(from: Shard, to: number): Peer {
    return peerThrough({
      random: this.#random,
      trouble: () => this.trouble,
      later: (ms, run) => this.#timeline.later(ms, run),
      isAlive: () => this.shards.get(from.number) === from,
      isCut: () => this.cut.has(from.number) || this.cut.has(to),
      say: (method, parameter) => {
        this.said.push({ from: from.number, to, method, parameter, at: this.now });
      },
      answer: (method, parameter) => {
        const target = this.shards.get(to);
        if (target === undefined) return undefined;
        const answer = hearing(target, method, parameter);
        this.#trace(`${from.number} -> ${to} ${method}`, parameter, answer);
        return { answer };
      },
    });
  }

  #endAttempt({ shard: number, task, attempt }: Working, isRunOver: boolean): void {
    const shard = this.shards.get(number);
    const lease = shard?.state.leases.find(task, attempt);
    if (shard === undefined || lease === undefined) return;
    this.#endLease(shard, lease, isRunOver);
    this.#settle(shard);
  }

  #endLease({ state, attempts }: Shard, lease: Lease, isRunOver = true): void {
    lease.state = "ending";
    attempts.endAll([lease]);
    if (isRunOver) attempts.endRuns([lease.run]);
    state.handouts.end(lease.task);
    state.committer.takeBatch(true); // nobody commits here
  }

  #trace(...said: unknown[]): void {
    if (process.env["TRACE"] === undefined) return;
    console.log(
      this.now,
      ...said.map((each) => (typeof each === "string" ? each : JSON.stringify(each))),
    );
  }
}

/** What a shard answers. */
function hearing({ loans, why }: Shard, method: string, parameter: unknown): unknown {
  if (method === "hearUses") return why.hearUses(...(parameter as Parameters<Peer["hearUses"]>));
  if (method === "hearHeld") return why.hearHeld(...(parameter as Parameters<Peer["hearHeld"]>));
  if (method === "hearServing") {
    return why.hearServing(...(parameter as Parameters<Peer["hearServing"]>));
  }
  const hear = loans as unknown as Record<string, (call: unknown) => unknown>;
  return hear[method]?.(parameter);
}
