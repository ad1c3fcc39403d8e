/**
 * A worker: a simulated process that runs the real SDK with the scenario's workflows. It can be
 * killed, stopped and drained like any process; what it runs is in `behaviour.ts`.
 */
import { Client } from "../../sdk/client.ts";
import { worker, type Worker } from "../../sdk/worker.ts";
import type { StepHandle } from "../../sdk/step.ts";
import { workflow, type Workflow } from "../../sdk/workflow.ts";
import type { TaskContext } from "../../sdk/context.ts";
import type { ApiTransport } from "./api-transport.ts";
import { type NeedPlan, needsOf, optionsOf, STORED_RATE, type StoredPlan } from "./limit-plans.ts";
import { gateOptions } from "./gate-plans.ts";
import { type WorkerPlan, type WorkflowPlan, ZONE } from "./scenario.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";

const ON_FAILURE_TIMEOUT_MS = 10_000;

/** Runs a handler of one of the worker's workflows. */
export type RunHandler = (ctx: TaskContext, worker: WorkerProcess) => Promise<unknown>;

export interface WorkerParts {
  surroundings: Surroundings;
  transport: ApiTransport;
  address: { url: string; token: string };
  workflows: WorkflowPlan[];
  storedLimits: StoredPlan[];
  runHandler: RunHandler;
}

export class WorkerProcess extends SimulatedProcess {
  readonly plan: WorkerPlan;
  readonly #parts: WorkerParts;
  /** One of its handlers will never end. */
  isHung = false;
  /** It has drained and left. */
  hasLeft = false;
  isDraining = false;
  startedAt = Number.POSITIVE_INFINITY;
  /** When it ended without a word. */
  diedAt: number | undefined;
  /** Its machine told the shard that it has ended. */
  isSeenDying = false;
  /** When its event loop stood still. */
  readonly stops: { from: number; to: number }[] = [];
  #worker: Worker | undefined;

  constructor(name: string, plan: WorkerPlan, parts: WorkerParts) {
    super(name, parts.surroundings);
    this.plan = plan;
    this.#parts = parts;
  }

  get now(): number {
    return this.surroundings.clock.now;
  }

  /** Rates that a handler may settle: those of its step, of a workflow's own nothing is drawn. */
  ratesOf({ workflow: name, step, input }: TaskContext): { limit: string; units: number }[] {
    const { workflows, storedLimits } = this.#parts;
    const plan = workflows.find((one) => one.name === name);
    const own = plan?.steps.find((one) => one.name === step);
    if (plan === undefined || own === undefined) return [];
    const isRate = ({ limit, rate }: NeedPlan): boolean =>
      rate !== undefined || limit === STORED_RATE;
    return needsOf(plan, own, storedLimits, input).filter(isRate);
  }

  /** Whether runs of a workflow hold limits. */
  isLimited(name: string): boolean {
    return this.#parts.workflows.some((plan) => plan.name === name && plan.limits.length > 0);
  }

  start(): void {
    const { surroundings, transport, address, workflows } = this.#parts;
    this.startedAt = this.now;
    surroundings.trace.note(this.name, `starts with ${this.plan.slots} slots`);
    this.run(() => {
      this.#worker = worker({
        workflows: workflows
          .filter(({ name }) => this.plan.workflows.includes(name))
          .map((plan) => this.#workflow(plan)),
        slots: this.plan.slots,
        labels: { zone: this.plan.zone },
        client: new Client({ ...address, fetch: transport.fetchFor(this) }),
        name: this.name,
        signals: [],
        graceMs: 5_000,
        log: (level, line) => surroundings.trace.remark(this.name, `${level}: ${line}`),
      });
      const giveUp = (error: unknown): void =>
        surroundings.history.blame(`${this.name} gave up: ${String(error)}`);
      this.#worker.start().catch(giveUp);
      this.#worker.stopped.then(() => {
        this.hasLeft = true;
        this.end();
      }, giveUp);
    });
  }

  /** SIGKILL: its machine closes its sockets. */
  kill(): void {
    this.isSeenDying = true;
    this.#die();
    for (const link of this.surroundings.network.linksOf(this)) link.hangUp();
  }

  /** Its machine is gone, and nobody closes anything. */
  vanish(): void {
    this.#die();
    for (const link of this.surroundings.network.linksOf(this)) link.silence();
  }

  /** SIGTERM. */
  drain(): void {
    this.isDraining = true;
    this.run(() => void this.#worker?.stop().catch(() => {})); // `stopped` tells
  }

  override block(ms: number): void {
    super.block(ms);
    this.stops.push({ from: this.now, to: this.blockedUntil });
  }

  #die(): void {
    if (!this.isAlive) return;
    this.diedAt = this.now;
    this.end();
  }

  #workflow({ name, events, steps, timeoutMs, hasOnFailure, limits }: WorkflowPlan): Workflow {
    const ofRun = limits.map(optionsOf);
    const made = workflow({ name, on: { events }, timeout: timeoutMs, limits: ofRun });
    const run = (ctx: TaskContext): Promise<unknown> => this.#parts.runHandler(ctx, this);
    const handles = new Map<string, StepHandle>();
    for (const step of steps) {
      const parents = step.parents.flatMap((parent) => handles.get(parent) ?? []);
      const { initialMs, factor, jitter } = step.backoff;
      const policy = {
        timeout: step.timeoutMs,
        retries: step.retries,
        backoff: { initial: initialMs, factor, jitter },
      };
      const handle = made.step(step.name, {
        ...policy,
        parents,
        scheduleTimeout: step.scheduleTimeoutMs,
        limits: step.limits.map(optionsOf),
        slots: step.slots,
        ...gateOptions(step.gate),
        ...(step.isZoned && { labels: { zone: { value: ZONE, isRequired: true } } }),
        run,
        compensate: step.isUndone ? { ...policy, run } : undefined,
      });
      handles.set(step.name, handle);
    }
    if (hasOnFailure) made.onFailure({ timeout: ON_FAILURE_TIMEOUT_MS, retries: 1, run });
    return made;
  }
}
