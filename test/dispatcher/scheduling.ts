/** A shard's scheduling parts without the shard: tasks come, start, end and are lost, limits change. */
import type { ReadyRow } from "../../database/rows.ts";
import type { LimitsRow, StepRow, VersionRow } from "../../database/definition-rows.ts";
import { Backlog } from "../../durable-objects/dispatcher/backlog.ts";
import { Borrowing } from "../../durable-objects/dispatcher/borrowing.ts";
import { Buckets } from "../../durable-objects/dispatcher/buckets.ts";
import { leaseOf } from "../../durable-objects/dispatcher/hand-over.ts";
import type { ReadyTask } from "../../durable-objects/dispatcher/lane.ts";
import { type Lease, leaseKey } from "../../durable-objects/dispatcher/leases.ts";
import { Lending } from "../../durable-objects/dispatcher/lending.ts";
import { LimitBook } from "../../durable-objects/dispatcher/limit-book.ts";
import { createLimitExpressions } from "../../durable-objects/dispatcher/limit-expressions.ts";
import { needsOf } from "../../durable-objects/dispatcher/needs.ts";
import { Ownership } from "../../durable-objects/dispatcher/ownership.ts";
import { Permits } from "../../durable-objects/dispatcher/permits.ts";
import { Returns } from "../../durable-objects/dispatcher/returns.ts";
import {
  Roster,
  type Session,
  type SessionRecord,
} from "../../durable-objects/dispatcher/roster.ts";
import { type Scheduled, schedule } from "../../durable-objects/dispatcher/scheduler.ts";
import { Shares } from "../../durable-objects/dispatcher/shares.ts";
import { Turns } from "../../durable-objects/dispatcher/turns.ts";
import { ReadyWindow } from "../../durable-objects/dispatcher/window.ts";
import type { LimitUse } from "../../protocol/limit-bodies.ts";
import type { Json } from "../../protocol/json.ts";
import { readyTask, sessionRecord } from "./transitions.ts";

export interface Running {
  task: ReadyTask;
  session: Session;
  lease: Lease;
  /** Its handler waits for children, or has waited and wants to go on. */
  waits?: "children" | "return";
}

export interface Asked {
  input?: Json;
  action?: string;
  priority?: number;
  worker?: string;
  bytes?: number;
  /** Default one of its own. */
  run?: string;
}

export class Scheduling {
  readonly window = new ReadyWindow();
  readonly backlog = new Backlog(this.window);
  readonly turns = new Turns();
  readonly returns = new Returns();
  readonly roster = new Roster();
  readonly permits = new Permits();
  readonly buckets = new Buckets();
  readonly book = new LimitBook();
  readonly ownership = new Ownership(0);
  readonly borrowing = new Borrowing();
  readonly lending = new Lending();
  readonly shares = new Shares();
  readonly running = new Map<string, Running>();
  now = 0;
  #expressions = createLimitExpressions();
  #version: VersionRow;
  #step: Omit<StepRow, "action">;
  #count = 0;
  #limitsVersion = 0;

  constructor(
    limits: LimitUse[] = [],
    ofRun: LimitUse[] = [],
    step: NonNullable<StepRow["dispatch"]> = {},
  ) {
    this.#step = {
      name: "step",
      kind: "step",
      isRoot: true,
      children: [],
      timeoutMs: 1_000,
      dispatch: { ...step, ...(limits.length > 0 && { limits }) },
    };
    const dispatch = ofRun.length > 0 ? { dispatch: { limits: ofRun } } : {};
    this.#version = {
      id: "version",
      workflow: "flow",
      workflowId: "flow",
      number: 1,
      steps: [{ ...this.#step, action: "a" }],
      ...dispatch,
    };
  }

  connect(id: string, part: Partial<SessionRecord> = {}): Session {
    return this.roster.join(sessionRecord(id, { actions: ["a", "b"], ...part }));
  }

  store(...limits: LimitsRow["limits"]): void {
    this.book.replace({ version: ++this.#limitsVersion, limits });
    for (const { id, run, input, priority, action, attempt } of this.window.remove(() => true)) {
      this.#admit(id, attempt, {
        input,
        run,
        action,
        ...(typeof priority === "number" && { priority }),
      });
    }
    this.turns.openAll();
  }

  /** A task becomes ready; its id. */
  arrive(asked: Asked = {}): string {
    const id = String(this.#count++).padStart(6, "0");
    this.#admit(id, 1, asked);
    return id;
  }

  schedule(): Scheduled {
    const scheduled = schedule(this, this.now);
    for (const placement of scheduled.placements) {
      const { task, session } = placement;
      const step = { ...this.#step, action: task.action };
      const lease = leaseOf(placement, step, this.book, this.now);
      this.running.set(task.id, { task, session, lease });
      this.shares.note(lease, placement);
    }
    for (const { task } of scheduled.returned) delete this.running.get(task)?.waits;
    return scheduled;
  }

  /** Ids of what starts now. */
  start(): string[] {
    return this.schedule().placements.map(({ task }) => task.id);
  }

  /** A task's worker says what it has really taken of its rates: this part of what was reserved. */
  settle(id: string, part: number): void {
    const { lease } = this.running.get(id) ?? {};
    for (const reserve of lease?.reserved ?? []) {
      const { id: count, rate, units: reserved } = reserve;
      const used = reserved * part;
      this.buckets.settle(count, rate, { reserved, used }, this.now);
      if (lease) this.shares.settle(lease, reserve, used, this.turns, this.window);
      this.turns.open(count);
    }
  }

  /** A task's attempt has ended; unless it is kept, so has its run. */
  end(id: string, { keepsRun = false } = {}): ReadyTask | undefined {
    const running = this.running.get(id);
    if (running === undefined) return undefined;
    this.running.delete(id);
    const key = leaseKey({ task: id, attempt: running.task.attempt });
    running.session.letGo(key);
    this.permits.release(key);
    if (this.returns.drop(running.lease)) {
      for (const { id: freed } of running.lease.holds) this.permits.noteFreed(freed);
    }
    if (!keepsRun) this.permits.release(running.task.run);
    return running.task;
  }

  /** Its handler waits for children: others have its slots and permits. */
  wait(id: string): void {
    const running = this.running.get(id);
    if (running === undefined || running.waits !== undefined) return;
    running.waits = "children";
    this.permits.release(leaseKey(running.lease));
    running.session.holdWaiting(leaseKey(running.lease));
  }

  /** Its handler wants to go on. */
  askBack(id: string): void {
    const running = this.running.get(id);
    if (running?.waits !== "children") return;
    running.waits = "return";
    running.session.holdWaiting(leaseKey(running.lease), running.lease.slots);
    this.returns.add(running.lease);
  }

  /** Its worker has vanished: it is ready again. */
  lose(id: string): void {
    const task = this.end(id, { keepsRun: true });
    if (task === undefined) return;
    const { input, run, action, priority } = task;
    const asked = { input, run, action, ...(typeof priority === "number" && { priority }) };
    this.#admit(id, task.attempt + 1, asked);
  }

  #admit(id: string, attempt: number, { action = "a", run, ...said }: Asked): void {
    const data: Pick<ReadyRow, "input" | "metadata" | "parents"> = {
      input: said.input ?? null,
      metadata: {},
      parents: {},
    };
    const asked = {
      ...data,
      ...(said.priority !== undefined && { priority: said.priority }),
      ...(said.worker !== undefined && { worker: said.worker }),
    };
    const step = { ...this.#step, action };
    const ofRun = run ?? `run-${id}`;
    const found = needsOf(asked, this.#version, step, this.book, this.#expressions, (count) =>
      this.permits.has(count, ofRun),
    );
    if (!found.ok) throw new Error(found.message);
    const { bytes = 10 } = said;
    const part = { ...asked, bytes, run: ofRun, attempt, needs: found.needs };
    const lane = this.window.add(readyTask(id, action, { ...part, queuedAt: this.now }));
    if (lane) this.turns.join(lane);
  }
}
