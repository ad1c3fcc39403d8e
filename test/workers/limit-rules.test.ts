/** What the fields of a limit may say together, and what is said of those that may not. */
import { describe, expect, test } from "vitest";
import type { LimitUse, PutLimit } from "../../protocol/limit-bodies.ts";
import {
  type Broken,
  brokenInLabel,
  brokenInStored,
  brokenInUse,
  brokenInWindows,
} from "../../workers/api/limit-rules.ts";

const rate = [{ units: 10, perMs: 1_000 }];

/** `path: message` of each. */
function told(broken: Broken[]): string[] {
  return broken.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

describe("a use", () => {
  const GOOD: LimitUse[] = [
    { limit: "llm" },
    { limit: "llm", key: "input.a", fallbackKey: "x", units: 3, weight: 2, strategy: "queue" },
    { concurrency: 1 },
    { concurrency: 5, key: "input.a", strategy: "cancel-newest", weight: "input.w" },
    { rate, units: "input.tokens" },
    { key: "input.a", weight: 10, fallbackKey: "x" },
  ];
  test.each(GOOD)("may be %j", (use) => {
    expect(told(brokenInUse(use))).toEqual([]);
  });

  const BAD: [LimitUse, string[]][] = [
    [{}, [expect.stringMatching(/^: bounds nothing: give concurrency, rate or limit/)]],
    [{ weight: 2 }, [expect.stringMatching(/^: bounds nothing/)]],
    [
      { limit: "llm", concurrency: 3, rate },
      [
        expect.stringMatching(/^concurrency: can't be given together with limit.*"llm"/),
        expect.stringMatching(/^rate: can't be given together with limit/),
      ],
    ],
    [{ concurrency: 3, rate }, [expect.stringMatching(/^rate: .*make it two limits/)]],
    [{ concurrency: 3, units: 2 }, [expect.stringMatching(/^units: .*there is no rate/)]],
    [{ key: "input.a", units: 2 }, [expect.stringMatching(/^units: /)]],
    [{ rate, strategy: "queue" }, [expect.stringMatching(/^strategy: /)]],
    [
      { key: "input.a", strategy: "cancel-newest" },
      [expect.stringMatching(/^strategy: .*there is none/)],
    ],
    [{ concurrency: 1, fallbackKey: "x" }, ["fallbackKey: does nothing without key"]],
  ];
  test.each(BAD)("may not be %j", (use, expected) => {
    expect(told(brokenInUse(use))).toEqual(expected);
  });
});

describe("a stored limit", () => {
  const GOOD: PutLimit[] = [
    { concurrency: 1 },
    { rate, units: 3 },
    { concurrency: 5, fallbackKey: "x", appliesTo: { tenant: true }, strategy: "queue" },
    {
      concurrency: 5,
      overrides: [
        { key: "big-1", concurrency: 1 },
        { key: "big-*", concurrency: 100, weight: 3 },
        { key: "*", weight: 2 },
      ],
    },
  ];
  test.each(GOOD)("may be %j", (limit) => {
    expect(told(brokenInStored(limit))).toEqual([]);
  });

  const BAD: [PutLimit, string[]][] = [
    [{}, [": bounds nothing: it must have concurrency or rate"]],
    [{ key: "input.a" }, [": bounds nothing: it must have concurrency or rate"]],
    [{ concurrency: 3, rate }, [expect.stringMatching(/^rate: /)]],
    [{ concurrency: 3, units: 2 }, [expect.stringMatching(/^units: /)]],
    [{ rate, strategy: "queue" }, [expect.stringMatching(/^strategy: /)]],
    [
      { concurrency: 3, overrides: [{ key: "a" }, { key: "b", rate }] },
      [
        expect.stringMatching(/^overrides\.0: changes nothing/),
        expect.stringMatching(/^overrides\.1\.rate: is no bound of a concurrency/),
      ],
    ],
    [
      { rate, overrides: [{ key: "b", concurrency: 2 }] },
      [expect.stringMatching(/^overrides\.0\.concurrency: is no bound of a rate/)],
    ],
    [
      {
        concurrency: 3,
        overrides: [
          { key: "big-*", concurrency: 9 },
          { key: "small", concurrency: 1 },
          { key: "big-1", concurrency: 1 },
          { key: "big-1*", concurrency: 2 },
          { key: "small", concurrency: 2 },
        ],
      },
      [
        expect.stringMatching(/^overrides\.2\.key: never counts: overrides\[0\]/),
        expect.stringMatching(/^overrides\.3\.key: never counts: overrides\[0\]/),
        expect.stringMatching(/^overrides\.4\.key: never counts: overrides\[1\]/),
      ],
    ],
  ];
  test.each(BAD)("may not be %j", (limit, expected) => {
    expect(told(brokenInStored(limit))).toEqual(expected);
  });
});

test("a rate has one window of each length", () => {
  const window = { units: 1, perMs: 1_000 };
  expect(brokenInWindows([window, { units: 60, perMs: 60_000 }])).toEqual([]);
  expect(
    told(brokenInWindows([window, { units: 5, perMs: 9 }, { units: 2, perMs: 1_000 }])),
  ).toEqual(["2.perMs: is that of window 0 too: keep one of them"]);
});

test("a required label has no weight", () => {
  expect(brokenInLabel({ value: 1, weight: 5 })).toEqual([]);
  expect(brokenInLabel({ value: 1, isRequired: true })).toEqual([]);
  expect(told(brokenInLabel({ value: 1, isRequired: true, weight: 5 }))).toEqual([
    expect.stringMatching(/^weight: is of a preference/),
  ]);
});
