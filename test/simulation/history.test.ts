/** What the simulation remembers of statements: of commits over a connection and over HTTP alike. */
import { expect, test } from "vitest";
import { COMMIT_STATEMENT } from "../../database/functions.ts";
import { History } from "./history.ts";
import type { Postgres } from "./postgres.ts";
import { Trace } from "./trace.ts";

const REPLY = {
  ready: [],
  told: { limits: { version: 2, limits: [{ name: "pool", concurrency: 2 }] } },
};

test.each([
  ["a connection", "commit", { reply: JSON.stringify(REPLY) }],
  ["HTTP", "", [JSON.stringify(REPLY)]],
])("limits that a commit tells of are known, over %s", async (_, name, row) => {
  const clock = { now: 5 };
  const history = new History(new Trace(clock), clock);
  const statement = {
    name,
    text: COMMIT_STATEMENT,
    values: ['{"shard": 3}'],
    rowMode: "object" as const,
  };
  const rows = { rows: [row as Record<string, unknown>] };
  await history.executed(statement, rows, {} as Postgres);
  expect(history.limitsTold).toEqual([
    { shard: 3, at: 5, bounds: new Map([["pool", { concurrency: 2 }]]) },
  ]);
});
