/** The outside world of the chaos does what a user's own store would, and can be waited for. */
import { describe, expect, test } from "vitest";
import { type AttemptRef, Ledger } from "./ledger.ts";

function attempt(number: number, worker = "first"): AttemptRef {
  return { run: "r", step: "charge", attempt: number, worker };
}

describe("an effect", () => {
  test("lands once, and later attempts find it", () => {
    const ledger = new Ledger();
    ledger.begin(attempt(1));
    const effect = ledger.apply(attempt(1), [7]);
    expect(effect).toEqual({ number: 1, after: [7] });
    ledger.begin(attempt(2));
    expect(ledger.apply(attempt(2), [7])).toBe(effect);
    expect(ledger.entries.map(({ kind }) => kind)).toEqual(["begun", "applied", "begun", "found"]);
    expect(ledger.applied).toBe(1);
  });

  test("of an attempt that was overtaken is refused, and so is its beginning", () => {
    const ledger = new Ledger();
    ledger.begin(attempt(1));
    ledger.begin(attempt(2, "second"));
    expect(ledger.apply(attempt(1), [])).toBeUndefined();
    expect(ledger.begin(attempt(1))).toBe(false);
    expect(ledger.apply(attempt(2, "second"), [])).toEqual({ number: 1, after: [] });
  });

  test("that begins twice under one token is written down twice: it is not for the store to judge", () => {
    const ledger = new Ledger();
    ledger.begin(attempt(1));
    ledger.begin(attempt(1, "second"));
    expect(ledger.entries.map(({ kind, worker }) => `${worker} ${kind}`)).toEqual([
      "first begun",
      "second begun",
    ]);
  });
});

describe("who waits for the ledger", () => {
  test("goes on as soon as an entry or a note makes it true", async () => {
    const ledger = new Ledger();
    const { signal } = new AbortController();
    const begun = ledger.until(() => ledger.entries.length === 1, signal);
    ledger.begin(attempt(1));
    await begun;
    const noted = ledger.until(() => ledger.notes.length === 1, signal);
    ledger.note({ kind: "welcomed", worker: "first", count: 1 });
    await noted;
  });

  test("stops waiting with the signal's reason", async () => {
    const stopping = new AbortController();
    const waiting = new Ledger().until(() => false, stopping.signal);
    stopping.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});
