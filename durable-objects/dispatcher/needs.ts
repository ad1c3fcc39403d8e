/**
 * What a task needs before it may start: permits and units, each counted by a key, and slots on a worker
 * that fits. Worked out from the task's own data when it comes into the window. Pure: the expressions'
 * evaluation is given.
 */
import type { ReadyRow } from "../../database/rows.ts";
import type { StepRow, VersionRow } from "../../database/definition-rows.ts";
import type { Bound, LabelRequest, LimitUse, PutLimit } from "../../protocol/limit-bodies.ts";
import type { Evaluated } from "../../expressions/limit-expressions.ts";
import type { Json } from "../../protocol/json.ts";
import { DEFAULT_PRIORITY, MAX_WEIGHT, MIN_WEIGHT } from "../../protocol/limits.ts";
import type { LimitStrategy, Stickiness } from "../../protocol/states.ts";
import type { LimitBook } from "./limit-book.ts";
import { type CountId, countId } from "./permits.ts";

/** What a task's expressions may name. */
export type TaskData = Readonly<Record<"input" | "metadata" | "parents", Json>>;

/** How the expressions of limits are evaluated. */
export interface LimitExpressions {
  key(source: string, data: TaskData): Evaluated<string>;
  amount(source: string, data: TaskData): Evaluated<number>;
}

/** One limit that a task is under. */
export interface Need {
  limit: string;
  key: string;
  id: CountId;
  /** Whether the run holds it, from its first task's dispatch to its end; else the attempt does. */
  isOfRun: boolean;
  /** Of a rate. */
  units: number;
  strategy: LimitStrategy;
  /** What the workflow itself says; undefined: it is a stored limit's, as that is now. */
  own: Bound | undefined;
}

/** Which workers may have a task, and which are preferred. */
export interface Placing {
  slots: number;
  labels: { [label: string]: LabelRequest } | undefined;
  sticky: Exclude<Stickiness, "none"> | undefined;
  /** The version that the worker must have been built with, and what people call it; undefined: any will do. */
  pinnedTo: { version: string; title: string } | undefined;
  /** The worker of the run's last finished task, if the run is sticky and has one. */
  worker: string | undefined;
}

export interface TaskNeeds {
  needs: readonly Need[];
  placing: Placing;
  priority: number;
  /** Its key's share beside others. */
  weight: number;
  /** In which lane of its action it waits; 0: it needs nothing but a slot. */
  lane: number;
}

/** A task that needs one slot, of anybody who has the action. */
export const PLAIN: TaskNeeds = {
  needs: [],
  placing: {
    slots: 1,
    labels: undefined,
    sticky: undefined,
    pinnedTo: undefined,
    worker: undefined,
  },
  priority: DEFAULT_PRIORITY,
  weight: 1,
  lane: 0,
};

/** What is needed, or why that can't be said. */
export type NeedsOf = { ok: true; needs: TaskNeeds } | { ok: false; message: string };

type NeedyTask = Pick<ReadyRow, "priority" | "worker" | "input" | "metadata" | "parents">;

/** @param holds What the task's run has already: its tasks don't wait for it. */
export function needsOf(
  task: NeedyTask,
  version: VersionRow,
  step: StepRow,
  book: LimitBook,
  expressions: LimitExpressions,
  holds: (id: CountId) => boolean = () => false,
): NeedsOf {
  const applying = book.applyingTo(step.action);
  const { dispatch: ofRun } = version;
  const { dispatch: ofStep } = step;
  const priority = task.priority ?? ofRun?.priority ?? DEFAULT_PRIORITY;
  const isPlain = ofRun === undefined && ofStep === undefined && applying.length === 0;
  if (isPlain && priority === DEFAULT_PRIORITY) return { ok: true, needs: PLAIN };

  const data = { input: task.input, metadata: task.metadata, parents: task.parents };
  const needs: Need[] = [];
  let weight = 1;
  const add = (use: LimitUse, name: string, isOfRun: boolean): string | undefined => {
    const need = readUse(use, name, isOfRun, book, expressions, data);
    if (!need.ok) return need.message;
    if (needs.some(({ id }) => id === need.value.need.id)) return undefined;
    needs.push(need.value.need);
    weight *= need.value.weight;
    return undefined;
  };
  // What undoes a step, and what sees to a failure, is not bounded by its run's own limits: it must come.
  for (const [index, use] of step.kind === "step" ? (ofRun?.limits ?? []).entries() : []) {
    const failure = add(use, inlineName(version.workflow, index), true);
    if (failure !== undefined) return { ok: false, message: failure };
  }
  for (const [index, use] of ofStep?.limits?.entries() ?? []) {
    const failure = add(use, inlineName(`${version.workflow}:${step.name}`, index), false);
    if (failure !== undefined) return { ok: false, message: failure };
  }
  for (const { name } of applying) {
    const failure = add({ limit: name }, name, false);
    if (failure !== undefined) return { ok: false, message: failure };
  }
  const placing: Placing = {
    slots: ofStep?.slots ?? 1,
    labels: ofStep?.labels,
    sticky: ofStep?.sticky,
    pinnedTo:
      ofRun?.isPinned === true
        ? { version: version.id, title: `version ${version.number} of "${version.workflow}"` }
        : undefined,
    worker: task.worker ?? undefined,
  };
  const found = {
    needs,
    placing,
    priority,
    weight: Math.min(MAX_WEIGHT, Math.max(MIN_WEIGHT, weight)), // whatever data and products make of it
  };
  return { ok: true, needs: { ...found, lane: laneOf(found, holds) } };
}

/** The name that an inline limit is counted and shown by. */
export function inlineName(of: string, index: number): string {
  return `${of}#${index + 1}`;
}

/** The bound that is in force for a need; undefined: there is none, and the key is for fairness alone. */
export function boundOf(
  { own, limit, key }: Pick<Need, "own" | "limit" | "key">,
  book: LimitBook,
): Bound | undefined {
  return own ?? book.boundOf(limit, key);
}

/** What a use of a limit is counted by. */
export function readCounted(
  use: Pick<LimitUse, "limit" | "key" | "fallbackKey">,
  inline: string,
  stored: Pick<PutLimit, "key" | "fallbackKey"> | undefined,
  expressions: Pick<LimitExpressions, "key">,
  data: TaskData,
): Evaluated<Pick<Need, "limit" | "key" | "id">> {
  const limit = use.limit ?? inline;
  const source = use.key ?? stored?.key;
  let key = "";
  if (source !== undefined) {
    const evaluated = expressions.key(source, data);
    const fallback = use.fallbackKey ?? stored?.fallbackKey;
    if (evaluated.ok) key = evaluated.value;
    else if (fallback !== undefined) key = fallback;
    else return { ok: false, message: `The key of limit ${limit}: ${evaluated.message}` };
  }
  return { ok: true, value: { limit, key, id: countId(limit, key) } };
}

function readUse(
  use: LimitUse,
  inline: string,
  isOfRun: boolean,
  book: LimitBook,
  expressions: LimitExpressions,
  data: TaskData,
): Evaluated<{ need: Need; weight: number }> {
  const stored = use.limit === undefined ? undefined : book.find(use.limit);
  const counted = readCounted(use, inline, stored, expressions, data);
  if (!counted.ok) return counted;
  const { limit: name, key, id } = counted.value;
  const units = amountOf(use.units ?? stored?.units ?? 1, expressions, data);
  if (!units.ok) return { ok: false, message: `The units of limit ${name}: ${units.message}` };
  const weight = amountOf(use.weight ?? 1, expressions, data);
  if (!weight.ok) return { ok: false, message: `The weight of limit ${name}: ${weight.message}` };
  const { concurrency, rate } = use;
  const own: Bound | undefined =
    use.limit === undefined
      ? { ...(concurrency !== undefined && { concurrency }), ...(rate !== undefined && { rate }) }
      : undefined;
  return {
    ok: true,
    value: {
      need: {
        limit: name,
        key,
        id,
        isOfRun,
        units: units.value,
        strategy: use.strategy ?? stored?.strategy ?? "queue",
        own,
      },
      weight: weight.value * (stored === undefined ? 1 : (book.boundOf(name, key)?.weight ?? 1)),
    },
  };
}

function amountOf(
  amount: number | string,
  expressions: LimitExpressions,
  data: TaskData,
): Evaluated<number> {
  return typeof amount === "number"
    ? { ok: true, value: amount }
    : expressions.amount(amount, data);
}

/**
 * A number of 53 bits for everything that tasks of one action may have to wait for. What their run holds is
 * no part of it: they would stand behind runs that wait for theirs to end.
 */
export function laneOf(
  { needs, placing, priority }: Omit<TaskNeeds, "lane">,
  holds: (id: CountId) => boolean,
): number {
  const { slots, labels, sticky, pinnedTo, worker } = placing;
  const parts: unknown[] = [priority, slots];
  if (labels !== undefined) parts.push(labels);
  if (sticky === "hard" && worker !== undefined) parts.push(worker);
  if (pinnedTo !== undefined) parts.push(pinnedTo.version);
  for (const { isOfRun, id } of needs) if (!isOfRun || !holds(id)) parts.push(id);
  return hash53(JSON.stringify(parts)) || 1;
}

/** Two different texts with one number only share their turns: nothing is counted by it. */
function hash53(text: string): number {
  let high = 0x811c9dc5;
  let low = 0x01000193;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    high = Math.imul(high ^ unit, 0x85ebca6b);
    low = Math.imul(low ^ unit, 0xc2b2ae35);
    high ^= high >>> 15;
    low ^= low >>> 13;
  }
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
}
