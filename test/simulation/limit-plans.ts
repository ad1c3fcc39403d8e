/**
 * The limits of a scenario, as they are drawn and as a check reads them: of each task, what it counts
 * by, worked out anew from the plans and the run's input, and not by the product.
 */
import type { LimitOptions, RateOptions } from "../../sdk/limits.ts";
import type { Random } from "./random.ts";

/** What a limit allows of each key. */
export interface Bound {
  concurrency?: number;
  rate?: RatePlan;
}

export interface RatePlan {
  units: number;
  perMs: number;
}

/** A limit that is stored, with what it allows at first. */
export interface StoredPlan extends Bound {
  name: string;
  /** Whether it counts by the run's key, or all together. */
  isByKey: boolean;
}

/** Another bound of a stored limit, put at a moment. */
export interface ChangePlan extends Bound {
  atMs: number;
  name: string;
}

/** One limit of a workflow or a step. Stored, when it has a name. */
export interface UsePlan extends Bound {
  stored?: string;
  isByKey: boolean;
  strategy?: LimitOptions["strategy"];
}

/** A limit that a task is under. */
export interface NeedPlan extends Bound {
  limit: string;
  key: string;
  isOfRun: boolean;
  /** Its bound is what is stored at the time. */
  isStored: boolean;
  /** What an attempt takes of a rate. */
  units: number;
}

/** What runs are started with. */
export interface KeyedInput {
  label: string;
  key: string;
  units: number;
}

export const KEYS = ["a", "b"] as const;

/** Of an input that has none. */
const NO_KEY = "none";
const NO_UNITS = 1;

const MAX_CONCURRENCY = 3;
/** The least that a bucket holds: no task takes more. */
const MAX_UNITS = 3;
const MIN_RATE = 3;
const MAX_RATE = 8;
const WINDOWS_MS = [200, 1_000, 3_000] as const;

export const STORED_CONCURRENCY = "pool";
export const STORED_RATE = "tokens";

export function drawStored(random: Random): StoredPlan[] {
  return [
    { name: STORED_CONCURRENCY, isByKey: random.chance(0.5), ...drawConcurrency(random) },
    { name: STORED_RATE, isByKey: random.chance(0.5), ...drawRate(random) },
  ];
}

export function drawChanges(random: Random, calmAtMs: number): ChangePlan[] {
  return Array.from({ length: random.between(0, 3) }, () => {
    const atMs = random.between(500, calmAtMs);
    return random.chance(0.6)
      ? { atMs, name: STORED_CONCURRENCY, ...drawConcurrency(random) }
      : { atMs, name: STORED_RATE, ...drawRate(random) };
  });
}

export function drawOfRun(random: Random, hasStrategies: boolean): UsePlan[] {
  if (!random.chance(0.5)) return [];
  if (random.chance(0.3)) return [{ stored: STORED_CONCURRENCY, isByKey: true }];
  return [drawOwn(random, hasStrategies)];
}

export function drawOfStep(random: Random, hasStrategies: boolean): UsePlan[] {
  const uses: UsePlan[] = [];
  if (random.chance(0.4)) uses.push(drawOwn(random, hasStrategies));
  if (random.chance(0.3)) uses.push({ stored: STORED_CONCURRENCY, isByKey: true });
  if (random.chance(0.2)) uses.push({ isByKey: true, ...drawRate(random) });
  if (random.chance(0.25)) uses.push({ stored: STORED_RATE, isByKey: true });
  return uses;
}

/** Whether its runs hold the stored limit to their end, or the step's attempts theirs. */
export function takesPool({ limits }: { limits: UsePlan[] }): boolean {
  return limits.some(({ stored }) => stored === STORED_CONCURRENCY);
}

/**
 * A child of runs that hold the stored limit and wait for it. Did it hold a limit of its own and wait for
 * theirs, then two of them could wait for each other for ever, as any two that take locks in two orders.
 */
export function inOrder<Plan extends { limits: UsePlan[]; steps: { limits: UsePlan[] }[] }>(
  child: Plan,
): Plan {
  const waits = !takesPool(child) && child.steps.some(takesPool);
  return waits ? { ...child, limits: [] } : child;
}

function drawOwn(random: Random, hasStrategies: boolean): UsePlan {
  const strategy = random.weighted({ queue: 6, "cancel-newest": 1, "cancel-in-progress": 1 });
  return {
    isByKey: random.chance(0.8),
    ...drawConcurrency(random),
    ...(hasStrategies && { strategy }),
  };
}

function drawConcurrency(random: Random): Bound {
  return { concurrency: random.between(1, MAX_CONCURRENCY) };
}

function drawRate(random: Random): Bound {
  const units = random.between(MIN_RATE, MAX_RATE);
  return { rate: { units, perMs: random.pick(WINDOWS_MS) ?? 1_000 } };
}

/** Key and units for a run, drawn for its wish. */
export function drawInput(random: Random, label: string): KeyedInput {
  return { label, key: random.pick(KEYS) ?? "a", units: random.between(1, MAX_UNITS) };
}

/** As a workflow or a step says it. */
export function optionsOf({ stored, isByKey, concurrency, rate, strategy }: UsePlan): LimitOptions {
  return {
    ...(stored !== undefined && { limit: stored }),
    ...(stored === undefined && isByKey && { key: "input.key", fallbackKey: NO_KEY }),
    ...(concurrency !== undefined && { concurrency }),
    ...(rate !== undefined && { rate: rateOptions(rate), units: unitsExpression }),
    ...(strategy !== undefined && { strategy }),
  };
}

/** As it is put. */
export function storedOptions({ isByKey, concurrency, rate }: Omit<StoredPlan, "name">): {
  key?: string;
  fallbackKey?: string;
  concurrency?: number;
  rate?: RateOptions;
  units?: string;
} {
  return {
    ...(isByKey && { key: "input.key", fallbackKey: NO_KEY }),
    ...(concurrency !== undefined && { concurrency }),
    ...(rate !== undefined && { rate: rateOptions(rate), units: unitsExpression }),
  };
}

const unitsExpression = "has(input.units) ? input.units : 1";

function rateOptions({ units, perMs }: RatePlan): RateOptions {
  return { units, per: perMs };
}

/** The name of a limit that a workflow or a step writes itself. */
function nameOf(use: UsePlan, of: string, index: number): string {
  return use.stored ?? `${of}#${index + 1}`;
}

/** What a task of a step is under. */
export function needsOf(
  workflow: { name: string; limits: UsePlan[] },
  step: { name: string; limits: UsePlan[] },
  stored: readonly StoredPlan[],
  input: unknown,
): NeedPlan[] {
  const { key = NO_KEY, units = NO_UNITS } = (input ?? {}) as Partial<KeyedInput>;
  const needs: NeedPlan[] = [];
  const add = (use: UsePlan, limit: string, isOfRun: boolean): void => {
    const isByKey = stored.find(({ name }) => name === use.stored)?.isByKey ?? use.isByKey;
    const counted = isByKey ? key : "";
    if (needs.some((other) => other.limit === limit && other.key === counted)) return;
    const { concurrency, rate } = use;
    needs.push({
      limit,
      key: counted,
      isOfRun,
      isStored: use.stored !== undefined,
      units,
      ...(concurrency !== undefined && { concurrency }),
      ...(rate !== undefined && { rate }),
    });
  };
  for (const [index, use] of workflow.limits.entries()) {
    add(use, nameOf(use, workflow.name, index), true);
  }
  for (const [index, use] of step.limits.entries()) {
    add(use, nameOf(use, `${workflow.name}:${step.name}`, index), false);
  }
  return needs;
}
