/**
 * The figures of a report, by hand-counted examples. Starts nothing.
 */
import { describe, expect, test } from "vitest";
import { median, quantile, split, spread } from "../../bench/statistics.ts";

describe("the bench's statistics", () => {
  test("the median is the middle value, or lies between the two middle ones", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 2, 9])).toBe(3);
  });

  test("a quantile counts from the smallest to the largest, in whatever order they came", () => {
    const values = Array.from({ length: 101 }, (_, value) => (value * 37) % 101);
    expect(quantile(values, 0)).toBe(0);
    expect(quantile(values, 0.99)).toBe(99);
    expect(quantile(values, 1)).toBe(100);
  });

  test("numbers are compared as numbers and the list stays as it was", () => {
    const values = [100, 20, 3];
    expect(median(values)).toBe(20);
    expect(values).toEqual([100, 20, 3]);
  });

  test("the spread is the widest difference as a share of the median", () => {
    expect(spread([90, 100, 120])).toBeCloseTo(0.3);
    expect(spread([7])).toBe(0);
  });

  test("a measurement without samples is refused, not read as zero", () => {
    expect(() => median([])).toThrow("no values");
  });

  test("a list is split into parts that keep its order and lose nothing", () => {
    const parts = split([1, 2, 3, 4, 5, 6, 7], 3);
    expect(parts.map(({ length }) => length)).toEqual([2, 2, 3]);
    expect(parts.flat()).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });
});
