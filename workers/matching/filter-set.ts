/**
 * The filters of one workflow, found by the equalities without which they are not met: ten thousand on one
 * key must not cost ten thousand evaluations an event. Pure.
 */
import type { DeclaredFilterRow } from "../../database/definition-rows.ts";
import { equalityKey, valueAt } from "../../expressions/equality-clauses.ts";
import type { EventValues } from "../../expressions/filter-condition.ts";

/** A filter, and the equality that it is found by. */
type Equality = DeclaredFilterRow["equalities"][number];

/** Filters that ask for a value at one place of the event, by that value. */
interface Place {
  path: readonly string[];
  byValue: Map<string, DeclaredFilterRow[]>;
}

interface Index {
  places: Place[];
  /** Those that can be met by any event. */
  others: DeclaredFilterRow[];
}

const SCOPE = ["event", "scope"];

export class FilterSet {
  #filters = new Map<string, DeclaredFilterRow>();
  #index: Index | undefined;

  constructor(filters: Iterable<DeclaredFilterRow> = []) {
    for (const filter of filters) this.#filters.set(filter.id, filter);
  }

  get size(): number {
    return this.#filters.size;
  }

  put(filter: DeclaredFilterRow): void {
    this.#filters.set(filter.id, filter);
    this.#index = undefined;
  }

  delete(id: string): boolean {
    this.#index = undefined;
    return this.#filters.delete(id);
  }

  /** Those that such an event could meet, the oldest first. */
  candidates(event: EventValues): DeclaredFilterRow[] {
    this.#index ??= indexOf([...this.#filters.values()]);
    const { places, others } = this.#index;
    const found: DeclaredFilterRow[] = [];
    for (const { path, byValue } of places) {
      const value = equalityKey(valueAt(event, path));
      const filters = value === undefined ? undefined : byValue.get(value);
      if (filters) found.push(...filters);
    }
    if (found.length === 0) return others;
    return [...found, ...others].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }
}

/** Each filter under the equality that fewest others share. */
function indexOf(filters: readonly DeclaredFilterRow[]): Index {
  const counts = new Map<string, number>();
  for (const filter of filters) {
    for (const equality of equalitiesOf(filter)) {
      for (const name of namesOf(equality)) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  const places = new Map<string, Place>();
  const others: DeclaredFilterRow[] = [];
  for (const filter of filters) {
    const equality = rarestOf(equalitiesOf(filter), counts);
    if (equality === undefined) {
      others.push(filter);
      continue;
    }
    const { path } = equality;
    const name = JSON.stringify(path);
    let place = places.get(name);
    if (place === undefined) places.set(name, (place = { path, byValue: new Map() }));
    for (const key of new Set(equality.keys)) {
      const same = place.byValue.get(key);
      if (same) same.push(filter);
      else place.byValue.set(key, [filter]);
    }
  }
  return { places: [...places.values()], others };
}

/** What the event itself must have; a scope is an equality like any other. */
function equalitiesOf({ scope, equalities }: DeclaredFilterRow): Equality[] {
  const ofEvent = equalities.filter(({ path: [variable] }) => variable !== "payload");
  if (scope === undefined) return ofEvent;
  return [...ofEvent, { path: SCOPE, keys: [equalityKey(scope) ?? ""] }];
}

function namesOf({ path, keys }: Equality): string[] {
  return keys.map((key) => JSON.stringify([path, key]));
}

function rarestOf(
  equalities: Equality[],
  counts: ReadonlyMap<string, number>,
): Equality | undefined {
  const shares = (equality: Equality): number =>
    namesOf(equality).reduce((sum, name) => sum + (counts.get(name) ?? 0), 0);
  let rarest: { equality: Equality; shared: number } | undefined;
  for (const equality of equalities) {
    const shared = shares(equality);
    if (rarest === undefined || shared < rarest.shared) rarest = { equality, shared };
  }
  return rarest?.equality;
}
