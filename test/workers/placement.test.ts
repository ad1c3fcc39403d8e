/** Which shard a run goes to: the one of the key that its first limit counts it by, else the one of its call. */
import { expect, test } from "vitest";
import type { DefinitionsRow, PlacingRow, VersionRow } from "../../database/definition-rows.ts";
import type { StartRow } from "../../database/rows.ts";
import { LimitBook } from "../../durable-objects/dispatcher/limit-book.ts";
import { createLimitExpressions } from "../../durable-objects/dispatcher/limit-expressions.ts";
import { needsOf } from "../../durable-objects/dispatcher/needs.ts";
import { newRunId } from "../../protocol/ids.ts";
import type { Json } from "../../protocol/json.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import { placeCall, type Places, placingOf } from "../../workers/definitions/placement.ts";

const SHARDS = 5;
const BY_CUSTOMER: PlacingRow = { index: 0, use: { key: "input.customer" } };

type Workflow = DefinitionsRow["workflows"][number];

/** A workflow `job` of version `v1`. */
function placesOf(more: Partial<Workflow>, shards = SHARDS): Places {
  const job = { id: "w", name: "job", version: "v1", steps: 1, events: [], ...more };
  return { shards, placing: placingOf([job]) };
}

function run(i: Json, v = "v1"): StartRow {
  return { id: newRunId(), w: "w", v, d: 1, n: 1, i, m: {} };
}

/** The shard of each run, in a call of its own. */
function shardsOf(runs: StartRow[], places: Places): number[] {
  return runs.map((each) => placeCall({ events: [], runs: [each], bytes: 0 }, places).home);
}

/** The home of a call, and the shard of each of its runs. */
function placed(runs: StartRow[], places: Places): { home: number; shards: number[] } {
  const { home, call } = placeCall({ events: [], runs, bytes: 0 }, places);
  return { home, shards: call.runs.map(({ sh }) => sh ?? home) };
}

const CUSTOMERS = Array.from({ length: 40 }, (_, n) => ({ customer: `c${n}` }));

test("runs of one key go to the shard of that key, whatever their ids", () => {
  const places = placesOf({ placing: BY_CUSTOMER });
  for (const customer of CUSTOMERS) {
    const owner = shardOfKey(`job#1 ${customer.customer}`, SHARDS);
    expect(shardsOf([run(customer), run(customer), run(customer)], places)).toEqual(
      Array.from({ length: 3 }, () => owner),
    );
  }
  expect(
    new Set(
      shardsOf(
        CUSTOMERS.map((input) => run(input)),
        places,
      ),
    ).size,
  ).toBe(SHARDS);
});

test("a run is placed by exactly what its shard will count it by", () => {
  const use = { concurrency: 1, limit: "bank", fallbackKey: "none" };
  const stored = { name: "bank", concurrency: 1, key: "input.customer" };
  const book = new LimitBook();
  book.replace({ version: 1, limits: [stored] });
  const versionOf = (limits: object[]) =>
    ({ id: "v1", workflow: "job", number: 1, dispatch: { limits } }) as unknown as VersionRow;
  const step = { name: "only", action: "job:only", kind: "step" } as VersionRow["steps"][number];
  const cases = [
    { limits: [{ concurrency: 1, key: "input.customer" }], placing: BY_CUSTOMER },
    { limits: [use], placing: { index: 0, use: { limit: "bank", fallbackKey: "none" }, stored } },
    { limits: [{ concurrency: 1 }], placing: { index: 0, use: {} } },
  ];
  for (const { limits, placing } of cases) {
    for (const input of [...CUSTOMERS, ...(placing.use.fallbackKey === undefined ? [] : [{}])]) {
      const task = { priority: null, worker: null, input, metadata: {}, parents: {} };
      const found = needsOf(task, versionOf(limits), step, book, createLimitExpressions());
      const id = found.ok ? found.needs.needs[0]?.id : undefined;
      expect(id).toBeDefined();
      expect(shardsOf([run(input)], placesOf({ placing }))).toEqual([shardOfKey(id ?? "", SHARDS)]);
    }
  }
});

test("a run without a key, or whose key can't be told, is placed by its id", () => {
  const runs = Array.from({ length: 60 }, () => run({}));
  const byId = runs.map(({ id }) => shardOfKey(id, SHARDS));
  expect(shardsOf(runs, placesOf({}))).toEqual(byId);
  expect(shardsOf(runs, placesOf({ placing: BY_CUSTOMER }))).toEqual(byId);
  expect(new Set(byId).size).toBe(SHARDS);
});

test("runs of one call without keys stay together, with its first", () => {
  const runs = Array.from({ length: 20 }, () => run({}));
  const home = shardOfKey(runs[0]?.id ?? "", SHARDS);
  expect(placed(runs, placesOf({}))).toEqual({ home, shards: runs.map(() => home) });
});

test("a call's home is where most of its runs belong that have a key, and those without go with it", () => {
  const places = placesOf({ placing: BY_CUSTOMER });
  const ownerOf = (customer: string): number => shardOfKey(`job#1 ${customer}`, SHARDS);
  const [few, many] = ["c0", CUSTOMERS.find(({ customer }) => ownerOf(customer) !== ownerOf("c0"))];
  if (many === undefined) throw new Error("All customers have one owner");
  const runs = [{}, { customer: few }, many, many, {}, {}].map((input) => run(input));
  const [here, there] = [ownerOf(many.customer), ownerOf(few)];
  expect(placed(runs, places)).toEqual({
    home: here,
    shards: [here, there, here, here, here, here],
  });
});

test("an event that starts nothing is made durable by the shard of its id", () => {
  const homes = Array.from({ length: 60 }, () => {
    const id = newRunId();
    const events = [{ id, k: "e", p: null, m: {}, d: 1, r: [] }];
    const { home } = placeCall({ events, runs: [], bytes: 0 }, placesOf({}));
    expect(home).toBe(shardOfKey(id, SHARDS));
    return home;
  });
  expect(new Set(homes).size).toBe(SHARDS);
});

test("a run is placed as its own version says; one of an older version as the workflow's active one", () => {
  const promoted = { version: "v2", share: 1, steps: 1, placing: BY_CUSTOMER };
  const [old, active, next] = [
    run({ customer: "c1" }, "v0"),
    run({ customer: "c1" }),
    run({ customer: "c1" }, "v2"),
  ];
  const ofKey = shardOfKey("job#1 c1", SHARDS);
  const byId = [old, active].map(({ id }) => shardOfKey(id, SHARDS));
  expect(shardsOf([old, active, next], placesOf({ promoted }))).toEqual([...byId, ofKey]);
  expect(shardsOf([old], placesOf({ placing: BY_CUSTOMER }))).toEqual([ofKey]);
});

test("with one shard nothing is evaluated", () => {
  const placing = new Map<string, never>();
  placing.get = () => {
    throw new Error("It was looked at");
  };
  const call = { events: [], runs: [run({})], bytes: 0 };
  expect(placeCall(call, { shards: 1, placing })).toEqual({ home: 0, call });
});
