/** A tenant's filters as an isolate has them: read once, then only what has changed. */
import { expect, test } from "vitest";
import type { FilterRow } from "../../database/definition-rows.ts";
import { valuesOfEvent } from "../../expressions/filter-condition.ts";
import { newId } from "../../protocol/ids.ts";
import { StoredFilters } from "../../workers/matching/stored-filters.ts";
import { filterRow } from "../support/filter-row.ts";

const ANY = valuesOfEvent({ id: newId(), key: "k", payload: null, metadata: {} });

const row = (workflow: string, expression = "true"): FilterRow => ({
  ...filterRow(expression),
  workflow,
});
const applied = (
  stored: StoredFilters,
  filters: FilterRow[],
  deletedFilters: string[] = [],
): void => stored.apply({ filters, deletedFilters });
const idsOf = (stored: StoredFilters, workflow: string): string[] =>
  stored
    .of(workflow)
    .candidates(ANY)
    .map(({ id }) => id);

test("filters are kept by workflow, and what has changed takes the place of what was", () => {
  const stored = new StoredFilters();
  const [a, b] = [row("w"), row("v")];
  applied(stored, [a, b]);
  expect([idsOf(stored, "w"), idsOf(stored, "v"), idsOf(stored, "u")]).toEqual([
    [a.id],
    [b.id],
    [],
  ]);
  const changed = { ...row("w", "input == null"), id: a.id };
  applied(stored, [changed]);
  expect(stored.of("w").candidates(ANY)).toMatchObject([{ expression: "input == null" }]);
  applied(stored, [], [a.id, newId()]);
  expect(idsOf(stored, "w")).toEqual([]);
  expect(idsOf(stored, "v")).toEqual([b.id]);
});

test("its weight is that of what is there", () => {
  const stored = new StoredFilters();
  const [a, b] = [row("w"), row("w", "input.n == 12345")];
  applied(stored, [a]);
  const alone = stored.bytes;
  expect(alone).toBeGreaterThan(0);
  applied(stored, [b]);
  applied(stored, [b, a]);
  applied(stored, [], [b.id]);
  expect(stored.bytes).toBe(alone);
});
