/** What an event means for those that wait for it, and what follows each page of them. */
import { expect, test } from "vitest";
import type { CandidateRow, MatchPage, PastPage } from "../../database/match-rows.ts";
import {
  firstLook,
  firstMatches,
  judgePage,
  judgePast,
  nextLook,
  nextMatches,
} from "../../durable-objects/dispatcher/matching.ts";
import { ExpressionCache } from "../../expressions/cache.ts";
import { CANCEL_CONDITION } from "../../expressions/cancel-condition.ts";
import { WAIT_CONDITION } from "../../expressions/wait-condition.ts";
import { newRunId, taskId } from "../../protocol/ids.ts";

const CONDITIONS = {
  cancel: new ExpressionCache(CANCEL_CONDITION, 10),
  wait: new ExpressionCache(WAIT_CONDITION, 10),
};
const RUN = newRunId();

function candidate(r: string, c = "true", n = 1): CandidateRow {
  return { r, n, c, i: { id: r }, m: {} };
}

function page(e: string, runs: CandidateRow[], more = false): MatchPage {
  return { e, k: "key", p: { id: "a" }, m: {}, runs, more };
}

test("a run is cancelled once if any of its conditions is met; what fails is told once a condition", () => {
  const failing = "input.none == event.payload.id";
  const runs = [
    candidate("a", "event.payload.id == input.id"),
    candidate("a", failing, 2),
    candidate("a", "true", 3),
    candidate("b", "event.payload.id == input.id"),
    candidate("b", failing, 2),
  ];
  const { cancelled, failed } = judgePage(page("event", runs), CONDITIONS);
  expect([...cancelled]).toEqual(["a"]);
  expect([...failed]).toEqual([
    [failing, { error: expect.objectContaining({ code: "no_such_key" }), run: "a", count: 2 }],
  ]);
});

test("a task's condition is judged with its parents' outputs, and is told by step and number", () => {
  const of = (number: number, p: CandidateRow["p"]): CandidateRow => ({
    ...candidate(RUN, "event.payload.id == parents.pay.id", number),
    ...(p && { p }),
  });
  const runs = [
    of(16, { pay: { id: "a" } }),
    of(35, { pay: { id: "a" } }),
    of(36, { pay: { id: "b" } }),
  ];
  const { met, cancelled, failed } = judgePage(page("event", runs), CONDITIONS);
  expect(met).toEqual([
    { t: taskId(RUN, 0), r: RUN, n: 0, e: "event" },
    { t: taskId(RUN, 1), r: RUN, n: 3, e: "event" },
  ]);
  expect([cancelled.size, failed.size]).toEqual([0, 0]);
});

test("pages of an event end when there are no more, or when there is no such event", () => {
  const runs = [candidate("a"), candidate("b", "true", 3)];
  const next = { ...firstMatches("event"), r: "b", n: 3 };
  expect(nextMatches("event", page("event", runs, true))).toEqual(next);
  expect(nextMatches("event", page("event", runs))).toBeUndefined();
  expect(nextMatches("event", page("event", [], true))).toBeUndefined();
  expect(nextMatches("event", undefined)).toBeUndefined();
});

function past(parts: Partial<PastPage>): PastPage {
  const t = taskId(RUN, 1);
  return {
    t,
    n: 2,
    c: "true",
    i: null,
    m: {},
    p: {},
    events: [],
    next: null,
    more: false,
    ...parts,
  };
}

test("of events from before a wait the latest that meets the condition counts", () => {
  const events = ["5", "3", "2"].map((e) => ({ e, k: "key", p: Number(e), m: {} }));
  const { met, failed } = judgePast(
    past({ events, c: "event.payload < 4 && input.none" }),
    CONDITIONS,
  );
  expect(met).toBeUndefined();
  expect([...failed.values()]).toMatchObject([{ run: RUN, count: 2 }]);
  const found = judgePast(past({ events, c: "event.payload < 4" }), CONDITIONS);
  expect(found.met).toEqual({ t: taskId(RUN, 1), r: RUN, n: 2, e: "3" });
});

test("a wait looks back condition by condition, and page by page until one is met", () => {
  const task = taskId(RUN, 1);
  const first = firstLook(task);
  expect(first).toMatchObject({ t: task, r: RUN, n: 0 });
  expect(nextLook(task, past({ next: "e", more: true }), false)).toEqual({
    ...first,
    n: 2,
    e: "e",
  });
  expect(nextLook(task, past({ next: "e", more: true }), true)).toEqual({ ...first, n: 3 });
  expect(nextLook(task, past({ more: true }), false)).toEqual({ ...first, n: 3 });
  expect(nextLook(task, past({ next: "e" }), true)).toBeUndefined();
  expect(nextLook(task, undefined, false)).toBeUndefined();
});
