/**
 * What an event starts: a run of each workflow that listens to its key, or to a prefix of it ending in `*`;
 * of one that has filters, a run for each that the event meets. Pure.
 */
import type { DeclaredFilterRow } from "../../database/definition-rows.ts";
import { ExpressionCache } from "../../expressions/cache.ts";
import type { ExpressionError } from "../../expressions/errors.ts";
import {
  FILTER_CONDITION,
  type FilteredEvent,
  valuesOfEvent,
} from "../../expressions/filter-condition.ts";
import { MAX_FILTER_FAILURES } from "../../protocol/limits.ts";
import type { FilterSet } from "./filter-set.ts";

/** Compiled filters that an isolate keeps, and characters of them: 35 MB at most of its 128. */
const MAX_COMPILED = 5_000;
const MAX_CHARACTERS = 1_000_000;

const conditions = new ExpressionCache(FILTER_CONDITION, MAX_COMPILED, {
  characters: MAX_CHARACTERS,
  admission: 16,
});

export interface Listener {
  events: string[];
  /** Empty: every event of its keys starts a run. */
  filterSets: FilterSet[];
}

/** Listeners by exact key and by prefix, for one look-up an event. */
export interface Triggers<Workflow extends Listener> {
  exact: Map<string, Workflow[]>;
  prefixes: { prefix: string; listener: Workflow }[];
}

export interface Matched<Workflow extends Listener> {
  /** Runs to be started, and the filter that each is started by. */
  starts: { listener: Workflow; filter?: DeclaredFilterRow }[];
  /** Filters that could not be evaluated, the first few. */
  failures: { filter: string; error: ExpressionError }[];
}

export function compileTriggers<Workflow extends Listener>(
  listeners: Workflow[],
): Triggers<Workflow> {
  const triggers: Triggers<Workflow> = { exact: new Map(), prefixes: [] };
  for (const listener of listeners) {
    for (const key of listener.events) {
      if (key.endsWith("*")) triggers.prefixes.push({ prefix: key.slice(0, -1), listener });
      else triggers.exact.set(key, [...(triggers.exact.get(key) ?? []), listener]);
    }
  }
  return triggers;
}

/** Each listener once, however many of its keys match; each of its filters once. */
export function matchEvent<Workflow extends Listener>(
  event: FilteredEvent,
  triggers: Triggers<Workflow>,
): Matched<Workflow> {
  const matched: Matched<Workflow> = { starts: [], failures: [] };
  const values = valuesOfEvent(event);
  for (const listener of listenersOf(event.key, triggers)) {
    if (listener.filterSets.every(({ size }) => size === 0)) {
      matched.starts.push({ listener });
      continue;
    }
    for (const filter of listener.filterSets.flatMap((set) => set.candidates(values))) {
      if (filter.scope !== undefined && filter.scope !== event.scope) continue;
      const { isMatch, error } = judge(filter, values);
      if (isMatch) matched.starts.push({ listener, filter });
      if (error && matched.failures.length < MAX_FILTER_FAILURES) {
        matched.failures.push({ filter: filter.id, error });
      }
    }
  }
  return matched;
}

function listenersOf<Workflow extends Listener>(
  key: string,
  { exact, prefixes }: Triggers<Workflow>,
): Set<Workflow> {
  const listeners = new Set(exact.get(key));
  for (const { prefix, listener } of prefixes) if (key.startsWith(prefix)) listeners.add(listener);
  return listeners;
}

/** Whether an event meets a filter. One that can't be evaluated is not met, and says why. */
export function judge(
  { expression, payload }: Pick<DeclaredFilterRow, "expression" | "payload">,
  values: ReturnType<typeof valuesOfEvent>,
): { isMatch: boolean; error?: ExpressionError } {
  const compiled = conditions.compile(expression);
  if (!compiled.ok) return { isMatch: false, error: compiled.error };
  return compiled.expression.matches({ ...values, payload });
}
