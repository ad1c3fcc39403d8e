/**
 * What the fields of a limit may say together: rules that no field can be held to alone. Pure.
 */
import type {
  Bound,
  LabelRequest,
  LimitUse,
  PutLimit,
  RateWindow,
} from "../../protocol/limit-bodies.ts";

/** What is wrong, and with which field; the message reads on from its path. */
export interface Broken {
  path: (string | number)[];
  message: string;
}

export function brokenInUse(use: LimitUse): Broken[] {
  const { limit, key, fallbackKey, units, strategy, concurrency, rate } = use;
  if (limit !== undefined) {
    return (["concurrency", "rate"] as const)
      .filter((field) => use[field] !== undefined)
      .map((field) => ({
        path: [field],
        message: `can't be given together with limit: the bound is the one that is stored as "${limit}"`,
      }));
  }
  const broken: Broken[] = [];
  const add = (path: string, message: string) => broken.push({ path: [path], message });
  if (concurrency !== undefined && rate !== undefined) add("rate", TWO_BOUNDS);
  if (concurrency === undefined && rate === undefined && key === undefined) {
    broken.push({
      path: [],
      message: "bounds nothing: give concurrency, rate or limit; or a key, to share among its keys",
    });
  }
  if (fallbackKey !== undefined && key === undefined)
    add("fallbackKey", "does nothing without key");
  if (units !== undefined && rate === undefined) add("units", UNITS_WITHOUT_RATE);
  if (strategy !== undefined && concurrency === undefined) add("strategy", STRATEGY_ALONE);
  return broken;
}

export function brokenInStored({ units, strategy, overrides = [], ...bound }: PutLimit): Broken[] {
  const { concurrency, rate } = bound;
  const broken: Broken[] = [];
  if (concurrency === undefined && rate === undefined) {
    broken.push({ path: [], message: "bounds nothing: it must have concurrency or rate" });
  }
  if (concurrency !== undefined && rate !== undefined) {
    broken.push({ path: ["rate"], message: TWO_BOUNDS });
  }
  if (units !== undefined && rate === undefined) {
    broken.push({ path: ["units"], message: UNITS_WITHOUT_RATE });
  }
  if (strategy !== undefined && concurrency === undefined) {
    broken.push({ path: ["strategy"], message: STRATEGY_ALONE });
  }
  const keys = overrides.map(({ key }) => key);
  for (const [index, override] of overrides.entries()) {
    const found = [...brokenInOverride(override, bound), ...hiddenBy(keys, index)];
    broken.push(
      ...found.map(({ path, message }) => ({ path: ["overrides", index, ...path], message })),
    );
  }
  return broken;
}

/** Windows of one length are one window: the bucket is found by it. */
export function brokenInWindows(windows: readonly RateWindow[]): Broken[] {
  return windows.flatMap(({ perMs }, index) => {
    const first = windows.findIndex((window) => window.perMs === perMs);
    return first === index
      ? []
      : [{ path: [index, "perMs"], message: `is that of window ${first} too: keep one of them` }];
  });
}

/** A required label is met or not: it has no weight beside others. */
export function brokenInLabel({ isRequired, weight }: LabelRequest): Broken[] {
  if (weight === undefined || isRequired !== true) return [];
  const message = "is of a preference, and this label is required: leave one of them out";
  return [{ path: ["weight"], message }];
}

const TWO_BOUNDS = "can't be given together with concurrency: make it two limits";
const UNITS_WITHOUT_RATE = "is what a task takes of a rate, and there is no rate";
const STRATEGY_ALONE =
  "is what happens when a concurrency is full, and there is none: what waits for a rate always waits";

function brokenInOverride(
  { concurrency, rate, weight }: NonNullable<PutLimit["overrides"]>[number],
  bound: Bound,
): Broken[] {
  if (concurrency === undefined && rate === undefined && weight === undefined) {
    return [{ path: [], message: "changes nothing: give another bound or a weight" }];
  }
  if (concurrency !== undefined && bound.concurrency === undefined) {
    return [{ path: ["concurrency"], message: "is no bound of a rate: give rate" }];
  }
  if (rate !== undefined && bound.rate === undefined) {
    return [{ path: ["rate"], message: "is no bound of a concurrency: give concurrency" }];
  }
  return [];
}

/** The first override that fits a key counts, so one behind a wider one never would. */
function hiddenBy(keys: readonly string[], index: number): Broken[] {
  const key = keys[index] ?? "";
  const wider = keys.slice(0, index).findIndex((earlier) => covers(earlier, key));
  if (wider === -1) return [];
  const message = `never counts: overrides[${wider}] fits all of it, and the first that fits counts`;
  return [{ path: ["key"], message }];
}

function covers(pattern: string, key: string): boolean {
  return pattern.endsWith("*") ? key.startsWith(pattern.slice(0, -1)) : pattern === key;
}
