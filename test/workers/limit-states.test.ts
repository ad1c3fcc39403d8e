/** One state for each key of a limit, from what all shards say of it. */
import { expect, test } from "vitest";
import { newRunId } from "../../protocol/ids.ts";
import { mergeKeys } from "../../workers/api/limit-states.ts";

const [a, b] = [{ run: newRunId() }, { run: newRunId() }];
const owner = { key: "k", isOwn: true, held: 2, limit: 3, waiting: 1, holders: [a] };
const other = { key: "k", isOwn: false, held: 1, limit: 3, waiting: 4, holders: [b] };

test("what is held is the owner's count, holders and those who wait are everybody's", () => {
  const merged = { key: "k", held: 2, limit: 3, waiting: 5, holders: [a, b] };
  expect(mergeKeys([owner, other])).toEqual([merged]);
  expect(mergeKeys([other, owner])).toEqual([{ ...merged, holders: [b, a] }]);
});

test("a holder that two shards name is one, and no more than 20 are named", () => {
  expect(mergeKeys([owner, { ...other, holders: [a] }])).toMatchObject([{ holders: [a] }]);
  const many = Array.from({ length: 20 }, () => ({ run: newRunId() }));
  expect(mergeKeys([owner, { ...other, holders: many }])[0]?.holders).toHaveLength(20);
});

test("without a count of its owner, what each shard holds is added up", () => {
  expect(mergeKeys([other, { ...other, holders: [a] }])).toMatchObject([{ held: 2 }]);
});

test("what is left of a rate, and until when it is paused, is as its owner says", () => {
  const until = "2026-01-31T12:00:00.000Z";
  const own = { key: "k", isOwn: true, available: 1, pausedUntil: until, waiting: 0 };
  const merged = { key: "k", available: 1, pausedUntil: until, waiting: 2 };
  expect(mergeKeys([{ key: "k", isOwn: false, available: 9, waiting: 2 }, own])).toEqual([merged]);
});

test("keys with most waiting at all shards together come first", () => {
  const of = (key: string, waiting: number) => ({ ...other, key, waiting });
  const merged = mergeKeys([of("x", 3), of("y", 2), of("z", 0), of("y", 2)]);
  expect(merged.map(({ key, waiting }) => [key, waiting])).toEqual([
    ["y", 4],
    ["x", 3],
    ["z", 0],
  ]);
});
