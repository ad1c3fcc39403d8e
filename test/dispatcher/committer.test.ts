/** How transitions become batches, and batches flights. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Committer, type Flight } from "../../durable-objects/dispatcher/committer.ts";
import {
  COMMIT_RETRY_MAX_MS,
  COMMIT_RETRY_MS,
  COMMIT_TIMEOUT_MS,
  MAX_BATCH,
  MAX_BATCH_BYTES,
  MAX_PENDING_BYTES,
  SECOND_FLIGHT_AT,
} from "../../durable-objects/dispatcher/limits.ts";
import type { Transition } from "../../durable-objects/dispatcher/transitions.ts";
import { emptyCargo, requestOf, result, start } from "./transitions.ts";

function launch(committer: Committer, batch: Transition[] | undefined, now = 0): Flight {
  if (batch === undefined) throw new Error("No batch may fly");
  return committer.launch(batch, emptyCargo(), now, requestOf);
}

test("what comes while a commit is in flight is the next batch", () => {
  const committer = new Committer();
  committer.add(result("a"));
  const first = launch(committer, committer.takeBatch(false));
  for (const run of ["b", "c", "d"]) committer.add(result(run));
  expect(committer.takeBatch(false)).toBeUndefined(); // too few for a second flight
  committer.land(first);
  expect(committer.takeBatch(false)).toHaveLength(3);
});

test("a second commit flies when enough waits, and a third does not", () => {
  const committer = new Committer();
  committer.add(result("a"));
  launch(committer, committer.takeBatch(false));
  committer.add(start(Array.from({ length: SECOND_FLIGHT_AT }, (_, index) => `b${index}`)));
  launch(committer, committer.takeBatch(false));
  committer.add(start(Array.from({ length: SECOND_FLIGHT_AT }, (_, index) => `c${index}`)));
  expect(committer.takeBatch(true)).toBeUndefined();
});

test("an empty batch flies only when it is wanted, and only alone", () => {
  const committer = new Committer();
  expect(committer.takeBatch(false)).toBeUndefined();
  launch(committer, committer.takeBatch(true));
  expect(committer.takeBatch(true)).toBeUndefined();
});

test("a batch ends at its weight and at its bytes, but is never empty", () => {
  const committer = new Committer();
  for (let index = 0; index <= MAX_BATCH; index++) committer.add(result(`${index}`));
  expect(committer.takeBatch(false)).toHaveLength(MAX_BATCH);
  expect(committer.takeBatch(false)).toHaveLength(1);
  committer.add(result("large", 0, { bytes: 2 * MAX_BATCH_BYTES }));
  committer.add(result("small"));
  expect(committer.takeBatch(false)).toHaveLength(1);
});

test("a commit of unknown outcome goes again with the same bytes, at once and then ever later", () => {
  const committer = new Committer();
  committer.add(result("a"));
  const flight = launch(committer, committer.takeBatch(false), 1_000);
  const { text, seq } = flight;
  expect(committer.nextDue()).toBe(1_000 + COMMIT_TIMEOUT_MS);
  const waits: number[] = [];
  for (let tries = 1; tries < 12; tries++) {
    committer.delay(flight, 1_000);
    const due = committer.nextDue();
    expect(committer.takeDue(due - 1)).toEqual([]);
    expect(committer.takeDue(due)).toEqual([flight]);
    expect(committer.takeDue(due)).toEqual([]); // it is on its way
    waits.push(due - 1_000);
  }
  expect(waits.slice(0, 3)).toEqual([0, COMMIT_RETRY_MS, 2 * COMMIT_RETRY_MS]);
  expect(waits.at(-1)).toBe(COMMIT_RETRY_MAX_MS);
  expect(flight).toMatchObject({ text, seq });
});

test("a shard is overloaded by bytes that have not landed, and never when it has none", () => {
  const committer = new Committer();
  expect(committer.isOverloaded(2 * MAX_PENDING_BYTES)).toBe(false);
  committer.add(start(["a"], { bytes: MAX_PENDING_BYTES }));
  expect(committer.isOverloaded(0)).toBe(false);
  expect(committer.isOverloaded(1)).toBe(true);
  const flight = launch(committer, committer.takeBatch(false));
  expect(committer.isOverloaded(1)).toBe(true);
  committer.land(flight);
  expect(committer.isOverloaded(1)).toBe(false);
});

test("a request that can't be written as text is known before it flies", () => {
  const committer = new Committer();
  committer.add(result("a"));
  const batch = committer.takeBatch(false) ?? [];
  const flight = committer.launch(batch, emptyCargo(), 0, (seq) => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    return { ...requestOf(seq), ...circle };
  });
  expect(flight.unwritable).toBeInstanceOf(Error);
  expect(committer.refuse(flight)).toEqual(batch[0]);
  expect(committer.isEmpty).toBe(true);
});

test("of a batch that is refused exactly the culprits are found, and the others land once", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), (areCulprits) => {
      const committer = new Committer();
      for (const [index] of areCulprits.entries()) committer.add(result(`${index}`));
      const landed: string[] = [];
      const found: string[] = [];
      for (let turns = 0; !committer.isEmpty; turns++) {
        expect(turns).toBeLessThan(200);
        const flight = launch(committer, committer.takeBatch(false));
        if ([...flight.runs].some((run) => areCulprits[Number(run)])) {
          const culprit = committer.refuse(flight);
          if (culprit?.kind === "result") found.push(culprit.row.r);
        } else {
          landed.push(...flight.runs);
          committer.land(flight);
        }
      }
      const numbered = areCulprits.map((isCulprit, index) => ({ isCulprit, run: `${index}` }));
      const runsOf = (wanted: boolean) =>
        numbered.filter(({ isCulprit }) => isCulprit === wanted).map(({ run }) => run);
      expect(found.toSorted()).toEqual(runsOf(true).toSorted());
      expect(landed.toSorted()).toEqual(runsOf(false).toSorted());
      expect(committer.isOverloaded(MAX_PENDING_BYTES)).toBe(false);
    }),
  );
});

test("no two flights touch one run, a run's transitions keep their order, and none is lost", () => {
  const step = fc.oneof(
    fc.record({
      do: fc.constant("add" as const),
      run: fc.nat(6),
      count: fc.integer({ min: 1, max: 80 }),
    }),
    fc.record({
      do: fc.constantFrom("fly" as const, "land" as const, "refuse" as const, "retry" as const),
      pick: fc.nat(3),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const committer = new Committer();
      const added = new Map<string, number[]>();
      const done = new Map<string, number[]>();
      let number = 0;
      const fly = (): void => {
        const batch = committer.takeBatch(false);
        if (batch) launch(committer, batch);
        const runs = [...committer.flights].flatMap((flight) => [...flight.runs]);
        expect(new Set(runs).size).toBe(runs.length);
        expect(committer.flights.size).toBeLessThanOrEqual(2);
      };
      const finish = (flight: Flight, isRefused: boolean): void => {
        const ended = isRefused ? [committer.refuse(flight)] : flight.transitions;
        if (!isRefused) committer.land(flight);
        for (const transition of ended) {
          if (transition?.kind !== "result") continue;
          const { row, step: order } = transition;
          done.set(row.r, [...(done.get(row.r) ?? []), order]);
        }
      };
      for (const next of steps) {
        const flights = [...committer.flights];
        if (next.do === "add") {
          for (let count = 0; count < next.count; count++) {
            const run = `${(next.run + count) % 7}`;
            committer.add(result(run, number));
            added.set(run, [...(added.get(run) ?? []), number++]);
          }
        } else if (next.do === "fly") {
          fly();
        } else {
          const flight = flights[next.pick % Math.max(1, flights.length)];
          if (flight === undefined) continue;
          if (next.do === "retry") {
            committer.delay(flight, 0);
            committer.takeDue(Number.POSITIVE_INFINITY);
          } else finish(flight, next.do === "refuse");
        }
      }
      while (!committer.isEmpty) {
        fly();
        const [flight] = committer.flights;
        if (flight) finish(flight, false);
      }
      expect(new Map([...done].toSorted())).toEqual(new Map([...added].toSorted()));
    }),
  );
});
