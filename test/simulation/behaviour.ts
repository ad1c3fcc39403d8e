/**
 * What handlers do, drawn anew for each attempt: most return soon, some throw, take too long, ignore
 * that they are told to stop, block their event loop, or take their process with them. Whatever they
 * do is written into the ledger, with the token they were given.
 */
import type { Json } from "../../protocol/json.ts";
import type { TaskContext } from "../../sdk/context.ts";
import { RunFailedError, type TaskAbortedError } from "../../sdk/errors.ts";
import { NonRetryableError, RetryAfterError } from "../../sdk/retry-errors.ts";
import { workflow } from "../../sdk/workflow.ts";
import type { Execution, SpawnedChild } from "./ledger.ts";
import type { Random } from "./random.ts";
import { CHILD_WORKFLOW } from "./scenario.ts";
import type { WorkerProcess } from "./worker-process.ts";

export type BehaviourKind =
  | "slow"
  /** Runs for longer than it takes to give a silent worker up, unless it is told to stop. */
  | "long"
  | "throws"
  | "throws for good"
  | "asks for a later retry"
  | "extends its timeout"
  /** Starts runs of the child workflow, and mostly waits for them. */
  | "spawns"
  /** Uses less of a rate than was reserved for it, and says so. */
  | "settles for less"
  /** Is told to come again later, and says so. */
  | "meets its rate limit"
  /** Runs until it is told to stop, and stops. */
  | "overruns"
  /** Runs past its timeout whatever it is told. */
  | "ignores its abort"
  /** Never ends. */
  | "hangs"
  | "blocks its event loop"
  | "kills its process";

export type Behaviours = { [Kind in BehaviourKind]?: number };

/** How long a handler runs past its timeout at most. */
const OVERRUN_MS = 8_000;

const SLOW_MS = 6_000;
const QUICK_MS = 60;

const RETRY_AFTER_MS = 5_000;
/** What is asked for beyond what is needed: it may be granted late. */
const EXTENDED_MS = 1_000;
const MAX_CHILDREN = 2;
const WAITS_FOR_CHILD = 0.7;
const LONG_MS = 45_000;

/** How many handlers log, and how much. */
const LOGS = 0.2;
const MAX_LINES = 3;

/** Longer than the heartbeat limit, or not. */
const BLOCKS_MS = 45_000;

/** Runs one attempt's handler as drawn. */
export async function behave(
  ctx: TaskContext,
  worker: WorkerProcess,
  random: Random,
  behaviours: Behaviours,
): Promise<Json> {
  const execution = begin(ctx, worker);
  try {
    execution.output = await perform(execution, ctx, worker, random, behaviours);
    execution.ending = "returned";
    return execution.output;
  } catch (error) {
    execution.ending = "threw";
    throw error;
  } finally {
    execution.endedAt = worker.now;
  }
}

async function perform(
  execution: Execution,
  ctx: TaskContext,
  worker: WorkerProcess,
  random: Random,
  behaviours: Behaviours,
): Promise<Json> {
  const { ledger } = worker.surroundings.history;
  ledger.write(ctx.taskId, ctx.fencingToken, worker.now);
  const kind = random.maybe(behaviours);
  if (kind) worker.surroundings.trace.note(worker.name, `${execution.label} ${kind}`);
  const lines = random.chance(LOGS) ? random.between(1, MAX_LINES) : 0;
  for (let line = 0; line < lines; line++) ctx.log.info(`${execution.label} ${line}`);
  await act(kind, execution, ctx, worker, random);
  // A real handler stops here when its token is refused; this one goes on, which is the worse.
  ledger.write(ctx.taskId, ctx.fencingToken, worker.now);
  throwAs(kind, execution, random);
  return { by: worker.name, task: ctx.taskId, attempt: ctx.attempt };
}

function throwAs(kind: BehaviourKind | undefined, execution: Execution, random: Random): void {
  const text = `${execution.label} throws`;
  if (kind === "throws") throw new Error(text);
  if (kind === "throws for good") throw new NonRetryableError(text);
  if (kind !== "asks for a later retry") return;
  execution.retryAfterMs = random.between(0, RETRY_AFTER_MS);
  throw new RetryAfterError(text, { retryAfter: execution.retryAfterMs });
}

async function act(
  kind: BehaviourKind | undefined,
  execution: Execution,
  ctx: TaskContext,
  worker: WorkerProcess,
  random: Random,
): Promise<void> {
  const pastTimeoutMs = ctx.deadline.getTime() - worker.now + random.between(1, OVERRUN_MS);
  switch (kind) {
    case "slow":
      return await passes(random.between(QUICK_MS, SLOW_MS));
    case "long":
      return await passes(random.between(SLOW_MS, LONG_MS), ctx.signal);
    case "overruns":
      return await passes(pastTimeoutMs, ctx.signal);
    case "ignores its abort":
      return await passes(pastTimeoutMs);
    case "hangs":
      worker.isHung = true;
      return await new Promise(() => {});
    case "blocks its event loop":
      worker.block(random.skewed(500, BLOCKS_MS));
      return await passes(1);
    case "kills its process":
      await passes(random.between(1, QUICK_MS));
      worker.kill();
      return await new Promise(() => {});
    case "extends its timeout":
      await passes(random.between(1, SLOW_MS), ctx.signal);
      await ctx.extendTimeout(pastTimeoutMs + EXTENDED_MS);
      return await passes(pastTimeoutMs, ctx.signal);
    case "spawns":
      // Its own handlers spawn nothing, so that there is an end to it.
      if (ctx.workflow !== CHILD_WORKFLOW) await spawn(execution, ctx, worker, random);
      return;
    case "settles for less":
      await passes(random.skewed(1, QUICK_MS));
      return settle(execution, ctx, worker, random);
    case "meets its rate limit":
      await passes(random.skewed(1, QUICK_MS));
      return execution.rates.length > 0
        ? ctx.rateLimited({ retryAfter: random.between(0, RETRY_AFTER_MS) })
        : undefined;
    case "throws":
    case "throws for good":
    case "asks for a later retry":
    case undefined:
      return await passes(random.skewed(1, QUICK_MS));
  }
}

function settle(
  execution: Execution,
  ctx: TaskContext,
  worker: WorkerProcess,
  random: Random,
): void {
  for (const { limit, units } of execution.rates) {
    const used = random.between(0, units);
    ctx.settle(limit, used);
    execution.settled.push({ limit, unused: units - used, at: worker.now });
  }
}

async function spawn(
  execution: Execution,
  ctx: TaskContext,
  worker: WorkerProcess,
  random: Random,
): Promise<void> {
  const { history, trace } = worker.surroundings;
  for (let number = 0, count = random.between(1, MAX_CHILDREN); number < count; number++) {
    const options = { key: `child${number}`, detached: random.chance(0.2) };
    const child = await ctx.spawn(workflow({ name: CHILD_WORKFLOW }), ctx.input, options);
    trace.note(worker.name, `${execution.label} has ${child.key}, ${history.names.run(child.id)}`);
    const spawned: SpawnedChild = {
      key: child.key,
      run: child.id,
      told: undefined,
      waitedFrom: undefined,
      waitedTo: undefined,
    };
    execution.children.push(spawned);
    if (!random.chance(WAITS_FOR_CHILD)) continue;
    // It may need what this run holds, and come after it: nobody may wait for that.
    if (options.detached && worker.isLimited(ctx.workflow)) continue;
    spawned.waitedFrom = worker.now;
    try {
      await child.result();
      spawned.told = "completed";
    } catch (error) {
      if (!(error instanceof RunFailedError)) throw error;
      spawned.told = error.state;
    } finally {
      spawned.waitedTo = worker.now;
    }
  }
}

function begin(ctx: TaskContext, worker: WorkerProcess): Execution {
  const { history, trace } = worker.surroundings;
  const execution: Execution = {
    label: history.names.attempt({ task: ctx.taskId, attempt: ctx.attempt }),
    task: ctx.taskId,
    attempt: ctx.attempt,
    run: ctx.runId,
    workflow: ctx.workflow,
    step: ctx.step,
    worker: worker.name,
    startedAt: worker.now,
    parents: ctx.parents as { [step: string]: Json },
    endedAt: undefined,
    ending: undefined,
    output: null,
    abortedAt: undefined,
    abortCode: undefined,
    retryAfterMs: undefined,
    children: [],
    rates: worker.ratesOf(ctx),
    settled: [],
  };
  history.ledger.begin(execution);
  trace.note(worker.name, `runs ${execution.label}`);
  ctx.signal.addEventListener("abort", () => {
    execution.abortedAt = worker.now;
    execution.abortCode = (ctx.signal.reason as TaskAbortedError).code;
    trace.note(worker.name, `${execution.label} is aborted: ${execution.abortCode}`);
  });
  return execution;
}

/** Lets time pass; less of it when the signal comes first. */
function passes(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => resolve());
  });
}
