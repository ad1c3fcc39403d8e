/** Token buckets: what is in them when, and which of them need not be remembered. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Buckets } from "../../durable-objects/dispatcher/buckets.ts";
import { MAX_UNPRUNED_BUCKETS } from "../../durable-objects/dispatcher/limits.ts";
import { countId } from "../../durable-objects/dispatcher/permits.ts";

const ID = countId("tokens", "");
const WINDOWS = [
  { units: 10, perMs: 1_000 },
  { units: 100, perMs: 60_000, burst: 30 },
];

test("no window ever gives more than its burst and what it has been given since", () => {
  const takes = fc.array(
    fc.record({ waitMs: fc.nat(900), units: fc.integer({ min: 1, max: 9 }) }),
    {
      maxLength: 60,
    },
  );
  fc.assert(
    fc.property(takes, (wanted) => {
      const buckets = new Buckets();
      let now = 0;
      let spent = 0;
      for (const { waitMs, units } of wanted) {
        now += waitMs;
        if (buckets.availableAt(ID, WINDOWS, units, now) > now) continue;
        buckets.take(ID, WINDOWS, units, now);
        spent += units;
        for (const { units: each, perMs, burst = each } of WINDOWS) {
          expect(spent).toBeLessThanOrEqual(burst + (each * now) / perMs + 1e-6);
        }
      }
    }),
  );
});

test("a settlement of nonsense closes a key for a day, and not for good", () => {
  const buckets = new Buckets();
  buckets.take(ID, WINDOWS, 1, 0);
  buckets.settle(ID, WINDOWS, { reserved: 1, used: 1e12 }, 0);
  expect(buckets.availableAt(ID, WINDOWS, 1, 0)).toBe(86_400_000 + 600);
  buckets.settle(ID, WINDOWS, { reserved: 1, used: 1e12 }, 0); // another's
  expect(buckets.availableAt(ID, WINDOWS, 1, 0)).toBe(86_400_000 + 600);
  buckets.settle(ID, WINDOWS, { reserved: 5, used: 1 }, 0);
  expect(buckets.availableAt(ID, WINDOWS, 1, 0)).toBeLessThan(86_400_000);
});

test("there is enough exactly when it was said that there would be", () => {
  const buckets = new Buckets();
  buckets.take(ID, WINDOWS, 10, 0);
  const at = buckets.availableAt(ID, WINDOWS, 7, 0);
  expect(at).toBe(700);
  expect(buckets.availableAt(ID, WINDOWS, 7, at - 1)).toBe(at);
  expect(buckets.availableAt(ID, WINDOWS, 7, at)).toBeLessThanOrEqual(at);
});

test("more than was reserved is owed, also by a bucket that was full again and forgotten", () => {
  const buckets = new Buckets();
  buckets.take(ID, WINDOWS, 1, 0);
  expect(buckets.prune(60_000)).toEqual([ID]);
  buckets.settle(ID, WINDOWS, { reserved: 1, used: 31 }, 60_000);
  expect(buckets.availableAt(ID, WINDOWS, 1, 60_000)).toBe(62_100);
});

test("a bucket that is paused or not full is not forgotten", () => {
  const buckets = new Buckets();
  buckets.pause(ID, WINDOWS, { until: 5_000, units: 30 }, 0);
  expect(buckets.prune(4_999)).toEqual([]);
  expect(buckets.prune(5_000)).toEqual([ID]);
});

test("says when the last of them will be full, and then it is", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }),
      fc.nat(5_000),
      (taken, until) => {
        const buckets = new Buckets();
        expect(buckets.fullAt).toBe(0);
        for (const [index, units] of taken.entries()) {
          buckets.take(countId("tokens", String(index)), WINDOWS, units, index);
        }
        buckets.freeze(countId("tokens", "0"), until, taken.length);
        const { fullAt } = buckets;
        const most = Math.max(...taken);
        if (most > 0) expect(fullAt).toBeGreaterThanOrEqual(Math.floor((most * 60_000) / 100));
        expect(fullAt).toBeLessThanOrEqual(until + taken.length + (most * 60_000) / 100 + 3);
        buckets.prune(Math.max(fullAt, until, taken.length));
        expect(buckets.size).toBe(0);
      },
    ),
  );
});

test("after a pause there is what was refused, and no more has gathered", () => {
  const buckets = new Buckets();
  buckets.pause(ID, WINDOWS, { until: 5_000, units: 3 }, 0);
  for (const now of [0, 4_999, 5_000]) {
    expect(buckets.availableAt(ID, WINDOWS, 3, now)).toBe(5_000);
    expect(buckets.availableAt(ID, WINDOWS, 4, now)).toBe(5_600);
  }
  buckets.settle(ID, WINDOWS, { reserved: 5, used: 1 }, 2_000); // by one that was let through before
  expect(buckets.availableAt(ID, WINDOWS, 7, 4_999)).toBe(5_000);
  buckets.pause(ID, WINDOWS, { until: 6_000, units: 2 }, 5_000);
  expect(buckets.availableAt(ID, WINDOWS, 2, 5_000)).toBe(6_000);
  expect(buckets.availableAt(ID, WINDOWS, 3, 6_500)).toBe(6_600);
});

test("a shorter pause does not end a longer one", () => {
  const buckets = new Buckets();
  buckets.pause(ID, WINDOWS, { until: 5_000, units: 3 }, 0);
  buckets.pause(ID, WINDOWS, { until: 1_000, units: 3 }, 0);
  expect(buckets.availableAt(ID, WINDOWS, 1, 2_000)).toBe(5_000);
});

test("buckets of keys that come once are looked for while there is work", () => {
  const buckets = new Buckets();
  for (let key = 0; key <= MAX_UNPRUNED_BUCKETS; key++) {
    expect(buckets.isOvergrown).toBe(false);
    buckets.take(countId("tokens", `${key}`), WINDOWS, 1, 0);
  }
  expect(buckets.isOvergrown).toBe(true);
  buckets.prune(0); // none is full yet
  expect(buckets.isOvergrown).toBe(false);
});

test("what is not known after a loss begins empty", () => {
  const buckets = new Buckets();
  buckets.forget(1_000);
  expect(buckets.availableAt(ID, WINDOWS, 1, 1_000)).toBe(1_600);
});

const ONE = [{ units: 10, perMs: 10_000 }];

test("a bucket has no room for units that are lent, and fills up for them once they are taken", () => {
  let out = 0;
  const buckets = new Buckets(() => out);
  buckets.take(ID, ONE, 6, 0);
  out = 6;
  expect(buckets.available(ID, ONE, 100_000)).toBe(4);
  buckets.refill(ID, 100_000); // they are taken now
  out = 0;
  expect(buckets.available(ID, ONE, 102_000)).toBe(6);
});

test("one whose key has another owner does not fill while what it has lent may be taken", () => {
  const before = new Buckets();
  const after = new Buckets();
  before.take(ID, ONE, 10, 0);
  before.freeze(ID, 60_000, 1_000);
  expect(before.available(ID, ONE, 50_000)).toBe(1);
  after.merge(ID, before.find(ID) ?? expect.fail(), 5_000); // it knows what others have
  expect(after.available(ID, ONE, 7_000)).toBe(3);
  expect(before.available(ID, ONE, 62_000)).toBe(3); // or nobody has asked
});

test("of two that are told of the same key the one counts that has less", () => {
  const [one, other] = [new Buckets(), new Buckets()];
  one.take(ID, ONE, 9, 0);
  other.take(ID, ONE, 2, 0);
  one.merge(ID, other.find(ID) ?? expect.fail(), 1_000);
  expect(one.available(ID, ONE, 1_000)).toBe(2);
});

test("the same owner goes on with its own once it knows what others have", () => {
  const buckets = new Buckets();
  buckets.take(ID, ONE, 10, 0);
  buckets.freeze(ID, 60_000, 1_000);
  buckets.thaw(() => true, 2_000);
  expect(buckets.available(ID, ONE, 4_000)).toBe(3);
});
