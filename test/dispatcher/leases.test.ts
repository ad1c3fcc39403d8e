/** Attempts in workers' hands: what is due of them, and that an attempt that is over hides no newer one. */
import { expect, test } from "vitest";
import { leaseKey, Leases } from "../../durable-objects/dispatcher/leases.ts";
import { START_RECORD_MS } from "../../durable-objects/dispatcher/limits.ts";
import { RECEIPT_LIMIT_MS } from "../../protocol/session.ts";
import { lease } from "./transitions.ts";

test("a cancelled attempt keeps its slot while the task's next attempt runs", () => {
  const leases = new Leases();
  const first = lease();
  const second = lease({ attempt: 2, session: "other" });
  leases.hold(first);
  leases.cancel(first);
  leases.hold(second);
  expect(leases.ofTask("task")).toBe(second);
  expect(leases.find("task", 1)).toBe(first);
  expect([...leases.current()]).toEqual([second]);
  leases.end(first);
  expect(leases.find("task", 1)).toBeUndefined();
  expect(leases.find("task", 2)).toBe(second);
});

test("a worker is at a run also while it has not let go of a cancelled attempt of it", () => {
  const leases = new Leases();
  const cancelled = lease({ task: "one", run: "cancelled" });
  leases.hold(cancelled);
  leases.cancel(cancelled);
  leases.hold(lease({ task: "two", run: "held" }));
  leases.hold(lease({ task: "three", run: "other" }));
  const runs = new Set(["cancelled", "held", "over"]);
  expect(leases.stillAt(runs)).toEqual(new Set(["cancelled", "held"]));
  leases.end(cancelled);
  expect(leases.stillAt(runs)).toEqual(new Set(["held"]));
});

test("ending an old attempt never ends the new one", () => {
  const leases = new Leases();
  const first = lease();
  leases.hold(first);
  leases.hold(lease({ attempt: 2 }));
  leases.end(first);
  expect(leases.find("task", 2)).toBeDefined();
});

test("each deadline is due at its moment, and only then", () => {
  const leases = new Leases();
  const fresh = lease({ isReceived: false, isStartRecorded: false });
  leases.hold(fresh);
  expect(leases.nextDue()).toBe(START_RECORD_MS);
  expect(leases.unrecorded(START_RECORD_MS - 1)).toEqual([]);
  expect(leases.unrecorded(START_RECORD_MS)).toEqual([fresh]);
  fresh.isStartRecorded = true;
  expect(leases.nextDue()).toBe(RECEIPT_LIMIT_MS);
  expect(leases.unreceived(RECEIPT_LIMIT_MS - 1)).toEqual([]);
  expect(leases.unreceived(RECEIPT_LIMIT_MS)).toEqual([fresh]);
  fresh.isReceived = true;
  expect(leases.nextDue()).toBe(60_000);
  expect(leases.overdue(60_000)).toEqual([fresh]);
});

test("an attempt whose result is on its way is no longer late", () => {
  const leases = new Leases();
  leases.hold(lease({ state: "ending", isReceived: false, isStartRecorded: false }));
  expect(leases.nextDue()).toBe(Number.POSITIVE_INFINITY);
  expect(leases.overdue(100_000)).toEqual([]);
  expect(leases.unreceived(100_000)).toEqual([]);
});

test("a cancelled attempt's slot is due when its grace is over", () => {
  const leases = new Leases();
  const over = lease({ releaseBy: 500 });
  leases.hold(over);
  leases.cancel(over);
  expect(leases.nextDue()).toBe(500);
  expect(leases.unreleased(499)).toEqual([]);
  expect(leases.unreleased(500)).toEqual([over]);
});

test("leases are found by run and by session", () => {
  const leases = new Leases();
  const mine = lease({ task: "a", run: "r1" });
  const other = lease({ task: "b", run: "r2", session: "other" });
  leases.hold(mine);
  leases.hold(other);
  expect(leases.ofRuns(new Set(["r1", "r3"]))).toEqual(new Map([["r1", [mine]]]));
  expect(leases.ofSession("other")).toEqual([other]);
  expect(leaseKey(mine)).toBe("a/1");
});
