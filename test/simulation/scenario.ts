/**
 * What happens in one simulation, drawn from its seed: workflows, who runs and starts them, and
 * what goes wrong when. Pure: the same seed is the same scenario.
 */
import { FAULTS, type FaultKind } from "./faults.ts";
import type { BehaviourKind } from "./behaviour.ts";
import { drawGate, type GatePlan } from "./gate-plans.ts";
import { drawKnobs, type Knobs } from "./knobs.ts";
import {
  type ChangePlan,
  drawChanges,
  drawInput,
  drawOfRun,
  drawOfStep,
  drawStored,
  inOrder,
  type KeyedInput,
  type StoredPlan,
  takesPool,
  type UsePlan,
} from "./limit-plans.ts";
import { Random } from "./random.ts";
import { type AskedShards, drawShards, type ShardPlan } from "./shard-plans.ts";
import { THEMES, type Theme, type ThemeName } from "./themes.ts";
import { calmWeather, type Span, type Weather } from "./weather.ts";

export interface StepPlan {
  name: string;
  parents: string[];
  timeoutMs: number;
  retries: number;
  backoff: BackoffPlan;
  scheduleTimeoutMs: number | undefined;
  /** It is undone when its run fails. */
  isUndone: boolean;
  limits: UsePlan[];
  slots: number;
  /** It needs a worker of zone `ZONE`. */
  isZoned: boolean;
  /** What it passes before it runs; undefined: nothing. */
  gate: GatePlan | undefined;
}

export interface BackoffPlan {
  initialMs: number;
  factor: number;
  jitter: number;
}

export interface WorkflowPlan {
  name: string;
  /** Keys of the events that start it. */
  events: string[];
  steps: StepPlan[];
  /** How long a run of it may take. */
  timeoutMs: number | undefined;
  hasOnFailure: boolean;
  /** Held by its runs. */
  limits: UsePlan[];
}

export interface WorkerPlan {
  name: string;
  atMs: number;
  slots: number;
  zone: string;
  /** Names of the workflows that it runs. */
  workflows: string[];
}

/** One wish of a client: a run, several, or an event that starts some. */
export interface StartPlan {
  label: string;
  input: KeyedInput;
  priority: number;
  atMs: number;
  by: "run" | "bulk" | "event";
  /** The workflow, or the event's key. */
  what: string;
  /** Clients that wish the same, with the same idempotency key. */
  clients: number;
  /** How long after it was promised its first client cancels it. */
  cancelAfterMs: number | undefined;
  /** How much later its runs begin. */
  delayMs: number | undefined;
}

export interface FaultPlan {
  atMs: number;
  kind: FaultKind;
  /** It befalls every shard at once. */
  isEverywhere: boolean;
}

export interface Scenario extends ShardPlan {
  seed: number;
  theme: ThemeName;
  workflows: WorkflowPlan[];
  workers: WorkerPlan[];
  starts: StartPlan[];
  storedLimits: StoredPlan[];
  limitChanges: ChangePlan[];
  faults: FaultPlan[];
  /** The weather until faults stop. */
  weather: Weather;
  /** How handlers behave until then. */
  behaviours: { [Kind in BehaviourKind]?: number };
  /** Bounds of the shard that are turned down. */
  knobs: Knobs;
  /** When faults stop. */
  calmAtMs: number;
}

/** What handlers spawn; its own handlers spawn nothing. */
export const CHILD_WORKFLOW = "child";

/** Of workers that may run what is zoned; the other zone may not. */
export const ZONE = "north";
const OTHER_ZONE = "south";

const RUN_TIMEOUT_MS: Span = [10_000, 60_000];
const SCHEDULE_TIMEOUT_MS: Span = [2_000, 20_000];
const INITIAL_BACKOFF_MS: Span = [10, 2_000];
const CANCEL_AFTER_MS: Span = [0, 15_000];
const DELAY_MS: Span = [1, 15_000];

/** How many starts are delayed, of those that can be. */
const DELAYED = 0.2;

/** In how many seeds steps have conditions and waits. */
const HAS_GATES = 0.3;

/** How many faults of a shard befall all of them. */
const EVERYWHERE = 0.15;

const EVENT_KEYS = ["parcel:sent", "parcel:lost"] as const;

/** The plan of a workflow's step; undefined for what undoes one, or sees to a failed run. */
export function stepPlan(
  workflows: readonly WorkflowPlan[],
  workflow: string,
  step: string,
): StepPlan | undefined {
  return workflows.find(({ name }) => name === workflow)?.steps.find(({ name }) => name === step);
}

/** What of a scenario is asked for, and not drawn. */
export interface Asked {
  theme?: ThemeName | undefined;
  shards?: AskedShards | undefined;
}

export function drawScenario(seed: number, { theme: asked, shards }: Asked = {}): Scenario {
  const random = new Random(`scenario ${seed}`);
  const weights = Object.fromEntries(
    Object.entries(THEMES).map(([name, { weight }]) => [name, weight]),
  ) as Record<ThemeName, number>;
  const drawn = random.weighted(weights);
  const name = asked ?? drawn;
  const theme: Theme = THEMES[name];
  const calmAtMs = random.between(...theme.lastsMs);
  const limits = random.stream("limits");
  const hasLimits = limits.chance(theme.limits);
  const drawnWorkflows = drawWorkflows(random.stream("workflows"), theme);
  const limitedWorkflows = hasLimits ? limitAll(drawnWorkflows, limits, theme) : drawnWorkflows;
  const gates = random.stream("gates");
  const workflows = gates.chance(HAS_GATES) ? gateAll(limitedWorkflows, gates) : limitedWorkflows;
  const sharding = drawShards(random.stream("shards"), theme.shards, calmAtMs, shards);
  return {
    seed,
    theme: name,
    ...sharding,
    workflows,
    workers: drawWorkers(random.stream("workers"), workflows, theme),
    starts: drawStarts(random.stream("starts"), workflows, theme, calmAtMs),
    storedLimits: drawStored(limits),
    limitChanges: hasLimits ? drawChanges(limits, calmAtMs) : [],
    faults: drawFaults(random.stream("faults"), theme, calmAtMs),
    weather: theme.weather(calmWeather(), random.stream("weather")),
    behaviours: theme.behaviours,
    knobs: drawKnobs(random.stream("knobs")),
    calmAtMs,
  };
}

function drawWorkflows(random: Random, theme: Theme): WorkflowPlan[] {
  const workflows = Array.from({ length: random.between(1, 2) }, (_, number) => {
    const events = EVENT_KEYS.filter(() => random.chance(0.5));
    return drawWorkflow(`w${number}`, events, random.between(1, 6), random, theme);
  });
  return [...workflows, drawWorkflow(CHILD_WORKFLOW, [], random.between(1, 2), random, theme)];
}

function limitAll(plans: WorkflowPlan[], random: Random, theme: Theme): WorkflowPlan[] {
  const workflows = plans.map((plan) => limited(plan, random, theme));
  const callers = workflows.filter(({ name }) => name !== CHILD_WORKFLOW);
  return workflows.map((plan) =>
    plan.name === CHILD_WORKFLOW && callers.some(takesPool) ? inOrder(plan) : plan,
  );
}

/** The workflow with limits, and with steps that not every worker can take. */
function limited(plan: WorkflowPlan, random: Random, { hasFailures }: Theme): WorkflowPlan {
  return {
    ...plan,
    limits: drawOfRun(random, hasFailures),
    steps: plan.steps.map((step) => ({
      ...step,
      limits: drawOfStep(random, hasFailures),
      slots: random.chance(0.15) ? 2 : 1,
      isZoned: random.chance(0.15),
    })),
  };
}

function drawWorkflow(
  name: string,
  events: string[],
  count: number,
  random: Random,
  theme: Theme,
): WorkflowPlan {
  const steps: StepPlan[] = [];
  const density = random.pick([0.2, 0.5, 0.9]);
  for (let step = 0; step < count; step++) {
    const parents = steps.filter(() => random.chance(density)).map((parent) => parent.name);
    steps.push({ name: `s${step}`, parents, ...drawPolicy(random, theme) });
  }
  const isLimited = random.chance(0.2) && theme.hasFailures;
  const timeoutMs = random.between(...RUN_TIMEOUT_MS);
  const hasOnFailure = random.chance(0.5) && theme.hasFailures;
  const runTimeoutMs = isLimited ? timeoutMs : undefined;
  return { name, events, steps, timeoutMs: runTimeoutMs, hasOnFailure, limits: [] };
}

function drawPolicy(random: Random, theme: Theme): Omit<StepPlan, "name" | "parents"> {
  const isExpiring = random.chance(0.08);
  const scheduleTimeoutMs = random.between(...SCHEDULE_TIMEOUT_MS);
  return {
    timeoutMs: random.between(...theme.timeoutMs),
    retries: theme.hasFailures ? random.between(0, 3) : 0,
    backoff: {
      initialMs: random.skewed(...INITIAL_BACKOFF_MS),
      factor: random.pick([1, 2]),
      jitter: random.pick([0, 0.5]),
    },
    scheduleTimeoutMs: isExpiring && theme.hasFailures ? scheduleTimeoutMs : undefined,
    isUndone: random.chance(0.4) && theme.hasFailures,
    limits: [],
    slots: 1,
    isZoned: false,
    gate: undefined,
  };
}

function gateAll(plans: WorkflowPlan[], random: Random): WorkflowPlan[] {
  return plans.map((plan) => ({
    ...plan,
    steps: plan.steps.map((step) => ({ ...step, gate: drawGate(random, EVENT_KEYS) })),
  }));
}

function drawWorkers(random: Random, workflows: WorkflowPlan[], theme: Theme): WorkerPlan[] {
  const names = startable(workflows);
  return Array.from({ length: random.between(...theme.workers) }, (_, number) => {
    const some = names.filter(() => theme.isEveryWorkerAble || random.chance(0.7));
    return {
      name: `worker${number}`,
      atMs: random.chance(0.5) ? 0 : random.skewed(0, 5_000),
      slots: random.between(...theme.slots),
      zone: number % 2 === 0 ? ZONE : OTHER_ZONE,
      workflows: [...(some.length > 0 ? some : names), CHILD_WORKFLOW],
    };
  });
}

function drawStarts(
  random: Random,
  workflows: WorkflowPlan[],
  theme: Theme,
  calmAtMs: number,
): StartPlan[] {
  const names = startable(workflows);
  return Array.from({ length: random.between(...theme.starts) }, (_, number) => {
    const by = random.weighted({ run: 6, bulk: 1, event: 2 });
    const what = by === "event" ? random.pick(EVENT_KEYS) : (random.pick(names) ?? "");
    const atMs = random.between(500, Math.floor(calmAtMs * theme.startsWithin));
    const clients = random.chance(0.2) ? 2 : 1;
    const isCancelled = random.chance(0.2) && theme.hasFailures;
    const afterMs = random.skewed(...CANCEL_AFTER_MS);
    const cancelAfterMs = isCancelled ? afterMs : undefined;
    const label = `start${number}`;
    const own = random.stream(label);
    const input = drawInput(own, label);
    const priority = own.between(1, 3);
    const isDelayed = own.chance(DELAYED) && by !== "event";
    const laterMs = own.skewed(...DELAY_MS);
    const delayMs = isDelayed ? laterMs : undefined;
    return { label, input, priority, atMs, by, what, clients, cancelAfterMs, delayMs };
  });
}

function startable(workflows: WorkflowPlan[]): string[] {
  return workflows.map(({ name }) => name).filter((name) => name !== CHILD_WORKFLOW);
}

function drawFaults(random: Random, theme: Theme, calmAtMs: number): FaultPlan[] {
  const kinds = Object.keys(theme.faults);
  if (kinds.length === 0) return [];
  const everywhere = random.stream("everywhere");
  return Array.from({ length: random.between(...theme.faultCount) }, () => ({
    atMs: random.between(500, Math.floor(calmAtMs * theme.faultsWithin) - 500),
    kind: random.weighted(theme.faults as Record<FaultKind, number>),
    isEverywhere: everywhere.chance(EVERYWHERE),
  }))
    .filter(({ kind }) => kind in FAULTS)
    .toSorted((a, b) => a.atMs - b.atMs);
}
