/** Keys are spread over shards evenly, and move as little as they can when there are more or fewer. */
import { expect, test } from "vitest";
import { MAX_SHARDS, shardNumbers, shardOfKey } from "../../protocol/shard-map.ts";

const KEYS = Array.from({ length: 20_000 }, (_, index) => `customer-${index}`);

test("every shard has its part of the keys, give or take a tenth", () => {
  for (const count of [2, 3, 8, 16]) {
    const counts = Array.from({ length: count }, () => 0);
    for (const key of KEYS) counts[shardOfKey(key, count)]! += 1;
    const fair = KEYS.length / count;
    for (const had of counts) expect(Math.abs(had - fair) / fair).toBeLessThan(0.1);
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
  const counts = [0, 0, 0, 0];
  for (let index = 0; index < 4_000; index++) counts[shardOfKey(`a ${index}`, 4)]! += 1;
  for (const had of counts) expect(had).toBeGreaterThan(800);
});

test("every shard is one of the map's numbers", () => {
  expect(shardNumbers({ version: 3, since: 2, count: 2, draining: [5, 7] })).toEqual([0, 1, 5, 7]);
});
