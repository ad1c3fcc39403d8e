/** Events whose waiting runs are looked at: a few together, each to its end, none forgotten. */
import { expect, test } from "vitest";
import type { CandidateRow, MatchPage } from "../../database/rows.ts";
import {
  MATCH_PAGE,
  MATCH_PAGE_BYTES,
  MAX_MATCHING,
} from "../../durable-objects/dispatcher/limits.ts";
import { judgePage, Matching } from "../../durable-objects/dispatcher/matching.ts";
import { ExpressionCache } from "../../expressions/cache.ts";
import { CANCEL_CONDITION } from "../../expressions/cancel-condition.ts";

const FIRST = { l: MATCH_PAGE, b: MATCH_PAGE_BYTES };

function candidate(r: string, c = "true", n = 1): CandidateRow {
  return { r, n, c, i: { id: r }, m: {} };
}

function page(e: string, runs: CandidateRow[], more = false): MatchPage {
  return { e, k: "key", p: { id: "a" }, m: {}, runs, more };
}

test("a few events are looked at together, the others when there is room", () => {
  const matching = new Matching();
  const events = Array.from({ length: MAX_MATCHING + 2 }, (_, index) => `${index}`);
  for (const event of [...events, ...events]) matching.add(event);
  expect(matching.begin()).toEqual(events.slice(0, MAX_MATCHING).map((e) => ({ e, ...FIRST })));
  expect(matching.begin()).toEqual([]);
  expect(matching.isFull).toBe(true);
  matching.end("0");
  matching.add("1"); // its timer has been read again
  expect(matching.begin()).toEqual([{ e: `${MAX_MATCHING}`, ...FIRST }]);
  matching.end("1");
  expect(matching.begin()).toEqual([{ e: `${MAX_MATCHING + 1}`, ...FIRST }]);
  expect(matching.isFull).toBe(false);
});

test("a page is turned when all that it cancels is durable, and never sooner", () => {
  const matching = new Matching();
  matching.add("event");
  matching.begin();
  const first = page("event", [candidate("a"), candidate("b", "true", 3)], true);
  expect(matching.turn("event", first, 2)).toBeUndefined();
  expect(matching.settle("event")).toBeUndefined();
  const next = { e: "event", ...FIRST, r: "b", n: 3 };
  expect(matching.settle("event")).toEqual({ kind: "match", row: next });
  expect(matching.turn("event", page("event", [candidate("c")]), 1)).toBeUndefined();
  expect(matching.settle("event")).toEqual({ kind: "matched", row: { e: "event" } });
});

test.each([undefined, page("event", []), page("event", [], true)])(
  "an event that concerns nobody has been seen to at once",
  (read) => {
    const matching = new Matching();
    matching.add("event");
    matching.begin();
    expect(matching.turn("event", read, 0)).toEqual({ kind: "matched", row: { e: "event" } });
  },
);

test("a run is cancelled once if any of its conditions is met; what fails is told once a condition", () => {
  const conditions = new ExpressionCache(CANCEL_CONDITION, 10);
  const failing = "input.none == event.payload.id";
  const runs = [
    candidate("a", "event.payload.id == input.id"),
    candidate("a", failing, 2),
    candidate("a", "true", 3),
    candidate("b", "event.payload.id == input.id"),
    candidate("b", failing, 2),
  ];
  const { cancelled, failed } = judgePage(page("event", runs), conditions);
  expect([...cancelled]).toEqual(["a"]);
  expect([...failed]).toEqual([
    [failing, { error: expect.objectContaining({ code: "no_such_key" }), run: "a", count: 2 }],
  ]);
});
