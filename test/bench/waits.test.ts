/**
 * What is made of the looks at Postgres's connections, by hand-counted examples. Starts nothing.
 */
import { describe, expect, test } from "vitest";
import { type Look, type Seen, waitsOf } from "../../bench/waits.ts";

describe("the bench's waits", () => {
  test("commits at once are counted of the looks that saw any", () => {
    const waits = waitsOf([[commit(3)], [], [commit(1), other(5)], [other(2)]]);
    expect(waits).toMatchObject({ looks: 4, commits: 4, meanAtOnce: 2, mostAtOnce: 3 });
  });

  test("what commits do is a share of the commits seen, the largest first, whatever others do", () => {
    const looks: Look[] = [
      [commit(1, "IO", "WALSync"), other(9, "IO", "WALSync")],
      [commit(2), commit(1, "LWLock", "WALWrite")],
      [commit(1)],
    ];
    expect([...waitsOf(looks).doing]).toEqual([
      ["work", 0.6],
      ["IO WALSync", 0.2],
      ["LWLock WALWrite", 0.2],
    ]);
  });

  test("who waits for a lock is counted by what it is, commits apart from others", () => {
    const waits = waitsOf([
      [commit(2, "Lock", "advisory", "advisory of shard 1"), commit(1)],
      [commit(1, "Lock", "advisory", "advisory of shard 1")],
      [other(1, "Lock", "relation", "relation v1.task"), commit(1, "LWLock", "LockManager")],
    ]);
    expect(waits).toMatchObject({ commits: 5, lockedCommits: 3, lockedOthers: 1 });
    expect(Object.fromEntries(waits.locks)).toEqual({
      "advisory of shard 1": 3,
      "relation v1.task": 1,
    });
  });

  test("extending a table is something that commits do, not a lock that somebody holds", () => {
    const waits = waitsOf([[commit(1, "Lock", "extend", "extend v1.task"), commit(1)]]);
    expect(waits).toMatchObject({ lockedCommits: 0, locks: new Map() });
    expect(waits.doing.get("Lock extend")).toBe(0.5);
  });

  test("a lock that was let go between the wait and the question is called by the wait", () => {
    expect([...waitsOf([[commit(1, "Lock", "tuple", null)]]).locks]).toEqual([["tuple", 1]]);
  });

  test("where nothing was seen there are no shares", () => {
    const nothing = { commits: 0, meanAtOnce: 0, mostAtOnce: 0, lockedCommits: 0 };
    expect(waitsOf([[], []])).toMatchObject({ ...nothing, doing: new Map() });
  });
});

function commit(count: number, type?: string, event?: string, lock: string | null = null): Seen {
  return { isCommit: true, type: type ?? null, event: event ?? null, lock, count };
}

function other(count: number, type?: string, event?: string, lock: string | null = null): Seen {
  return { ...commit(count, type, event, lock), isCommit: false };
}
