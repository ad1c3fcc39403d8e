/**
 * A tenant's stored filters as an isolate has them, by workflow. They are read once; then only what has
 * changed. Pure.
 */
import type { DefinitionsRow, FilterRow } from "../../database/definition-rows.ts";
import { FilterSet } from "./filter-set.ts";

export class StoredFilters {
  #sets = new Map<string, FilterSet>();
  #filters = new Map<string, { set: FilterSet; bytes: number }>();
  /** About what they weigh in memory. */
  bytes = 0;

  /** The filters of a workflow, now and later. */
  of(workflow: string): FilterSet {
    let set = this.#sets.get(workflow);
    if (set === undefined) this.#sets.set(workflow, (set = new FilterSet()));
    return set;
  }

  apply({ filters, deletedFilters }: Pick<DefinitionsRow, "filters" | "deletedFilters">): void {
    for (const id of deletedFilters) this.#drop(id);
    for (const filter of filters) {
      this.#drop(filter.id);
      const { workflow, ...row } = filter;
      const bytes = bytesOf(filter);
      const set = this.of(workflow);
      set.put(row);
      this.#filters.set(filter.id, { set, bytes });
      this.bytes += bytes;
    }
  }

  #drop(id: string): void {
    const known = this.#filters.get(id);
    if (known === undefined) return;
    known.set.delete(id);
    this.#filters.delete(id);
    this.bytes -= known.bytes;
  }
}

function bytesOf({ expression, payload, equalities }: FilterRow): number {
  return expression.length + JSON.stringify(payload).length + JSON.stringify(equalities).length;
}
