/** Keys are spread over shards evenly, and move as little as they can when there are more or fewer. */
import { expect, test } from "vitest";
import { MAX_SHARDS, shardNumbers, shardOfKey } from "../../protocol/shard-map.ts";

const KEYS = Array.from({ length: 20_000 }, (_, index) => `customer-${index}`);

test("every shard has its part of the keys, give or take a tenth", () => {
  for (const count of [2, 3, 8, 16]) {
    const byShard = Map.groupBy(KEYS, (key) => shardOfKey(key, count));
    expect(byShard.size).toBe(count);
    const fair = KEYS.length / count;
    for (const { length } of byShard.values()) {
      expect(Math.abs(length - fair) / fair).toBeLessThan(0.1);
    }
  }
});

test("one shard more takes keys from all, and no key moves between the others", () => {
  for (let count = 1; count < MAX_SHARDS; count *= 2) {
    const moved = KEYS.filter((key) => shardOfKey(key, count) !== shardOfKey(key, count + 1));
    for (const key of moved) expect(shardOfKey(key, count + 1)).toBe(count);
    const expected = KEYS.length / (count + 1);
    expect(Math.abs(moved.length - expected) / expected).toBeLessThan(0.2);
  }
});

test("keys that differ in little are spread like any others", () => {
  const keys = Array.from({ length: 4_000 }, (_, index) => `a ${index}`);
  const byShard = Map.groupBy(keys, (key) => shardOfKey(key, 4));
  expect(byShard.size).toBe(4);
  for (const { length } of byShard.values()) expect(length).toBeGreaterThan(800);
});

test("every shard is one of the map's numbers", () => {
  expect(shardNumbers({ version: 3, since: 2, count: 2, draining: [5, 7] })).toEqual([0, 1, 5, 7]);
});
