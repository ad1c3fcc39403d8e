/** Versions over the API: lists, differences, activation, rollback, promotion, and what is written down. */
import { beforeEach, expect, test } from "vitest";
import type { Page, RegisteredWorkflow, Workflow } from "../../protocol/http.ts";
import type { VersionSummary, WorkflowChange } from "../../protocol/version-bodies.ts";
import { pageOf } from "../../workers/api/fields.ts";
import {
  versionDiffSchema,
  versionSummarySchema,
  workflowChangeSchema,
} from "../../workers/api/version-schemas.ts";
import {
  definitionSchema,
  registeredWorkflowSchema,
  workflowSchema,
} from "../../workers/api/workflow-schemas.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

const READ = versionSummarySchema.extend({ definition: definitionSchema });
const SHAPES = [[{ name: "a" }], [{ name: "a", retries: 2 }], [{ name: "b" }]];

let world: World;

/** A workflow "w" with three versions, of which the third is active. */
beforeEach(async () => {
  world = await createWorld();
  for (const steps of SHAPES) await world.register({ name: "w", steps });
});

const activate = (version: number) =>
  ask<Workflow>(world, "POST", "/workflows/w/activate", { version });
const promote = (body: object) => ask<Workflow>(world, "PUT", "/workflows/w/promotion", body);
const changes = async () => {
  const asked = await ask<Page<WorkflowChange>>(world, "GET", "/workflows/w/changes");
  return expectAnswer(asked, 200, pageOf(workflowChangeSchema)).items;
};

test("versions are listed, the newest first, and read with their definitions", async () => {
  const first = await ask<Page<VersionSummary>>(world, "GET", "/workflows/w/versions?limit=2");
  const page = expectAnswer(first, 200, pageOf(versionSummarySchema));
  const shown = { checksum: expect.any(String), registeredBy: "test", percent: 0 };
  expect(page.items).toMatchObject([
    { ...shown, number: 3, isActive: true, percent: 100 },
    { ...shown, number: 2, isActive: false },
  ]);
  const rest = await ask(world, "GET", `/workflows/w/versions?limit=2&cursor=${page.nextCursor}`);
  expect(rest.body).toMatchObject({ items: [{ number: 1 }], nextCursor: null });
  const read = await ask(world, "GET", "/workflows/w/versions/2");
  const definition = { name: "w", steps: [{ name: "a", retries: 2 }] };
  expect(expectAnswer(read, 200, READ)).toMatchObject({ number: 2, definition });
});

test("a difference says what was added, removed and changed, up to the active version", async () => {
  const asked = await ask(world, "GET", "/workflows/w/diff?from=1&to=2");
  const backoff = { initialMs: 1_000, factor: 2, maxMs: 300_000, jitter: 0.5 };
  expect(expectAnswer(asked, 200, versionDiffSchema)).toEqual({
    from: 1,
    to: 2,
    isSame: false,
    workflow: [],
    steps: {
      added: [],
      removed: [],
      changed: [
        {
          name: "a",
          differences: [
            { path: "backoff", to: backoff },
            { path: "retries", from: 0, to: 2 },
          ],
        },
      ],
    },
  });
  const { body } = await ask(world, "GET", "/workflows/w/diff?from=2");
  expect(body).toMatchObject({ to: 3, steps: { added: ["b"], removed: ["a"], changed: [] } });
});

test("a version is activated, rolled back, and nothing is said twice", async () => {
  const activated = expectAnswer(await activate(1), 200, workflowSchema);
  expect(activated).toMatchObject({ version: { number: 1 }, definition: { steps: SHAPES[0] } });
  await activate(1);
  await activate(3);
  const reason = "it is broken";
  const body = { from: 3, reason };
  for (const _ of [1, 2]) {
    const back = await ask(world, "POST", "/workflows/w/rollback", body);
    expect(expectAnswer(back, 200, workflowSchema).version.number).toBe(2);
  }
  const named = await ask(world, "POST", "/workflows/w/rollback", { version: 1 });
  expect(expectAnswer(named, 200, workflowSchema).version.number).toBe(1);
  expect(await changes()).toMatchObject([
    { kind: "rolled_back", version: 1, previousVersion: 2, isActive: true, by: "test" },
    { kind: "rolled_back", version: 2, previousVersion: 3, reason },
    { kind: "activated", version: 3, previousVersion: 1 },
    { kind: "activated", version: 1, previousVersion: 3, reason: null, details: null },
    { kind: "registered", version: 3, previousVersion: 2, by: "test" },
    { kind: "registered", version: 2, previousVersion: 1 },
    { kind: "registered", version: 1, previousVersion: null },
  ]);
  await expectProblem(
    await ask(world, "POST", "/workflows/w/rollback"),
    "nothing_to_roll_back",
    /No older version of "w" has been active/,
  );
});

test("changes come page by page", async () => {
  const { body } = await ask<Page<WorkflowChange>>(world, "GET", "/workflows/w/changes?limit=2");
  expect(body.items.map(({ version }) => version)).toEqual([3, 2]);
  const next = `/workflows/w/changes?limit=2&cursor=${body.nextCursor}`;
  const rest = await ask(world, "GET", next);
  expect(rest.body).toMatchObject({ items: [{ version: 1 }], nextCursor: null });
});

test("a worker that registers an older version again doesn't undo a rollback, a new one is active at once", async () => {
  await ask(world, "POST", "/workflows/w/rollback");
  const again = await ask<RegisteredWorkflow>(world, "PUT", "/workflows/w", {
    name: "w",
    steps: SHAPES[2],
  });
  const registered = expectAnswer(again, 200, registeredWorkflowSchema);
  expect(registered).toMatchObject({ version: { number: 3 }, activeVersion: 2, created: false });
  const mended = { name: "w", steps: [{ name: "c" }] };
  const { body } = await ask<RegisteredWorkflow>(world, "PUT", "/workflows/w", mended);
  expect(body).toMatchObject({ version: { number: 4 }, activeVersion: 4, created: true });
});

test("runs go to the promoted version by their share, and all to the active one afterwards", async () => {
  const rollbackWhen = { failureRate: 0.1 };
  const asked = { version: 1, percent: 40, key: "input.customer", rollbackWhen };
  const promoted = expectAnswer(await promote(asked), 200, workflowSchema);
  expect(promoted).toMatchObject({
    version: { number: 3 },
    promotion: {
      version: 1,
      percent: 40,
      key: "input.customer",
      rollbackWhen: { failureRate: 0.1, windowMs: 600_000, minimumRuns: 20 },
    },
  });
  const customers = Array.from({ length: 60 }, (_, n) => ({ customer: `c${n}` }));
  const at = async (percent: number): Promise<Set<string>> => {
    await promote({ ...asked, percent });
    const runs = await world.startRuns("w", customers);
    const bound = await Promise.all(
      runs.map(async (run, index) => ({
        index,
        version: (await world.readRun(run)).version,
      })),
    );
    return new Set(bound.filter(({ version }) => version === 1).map(({ index }) => `c${index}`));
  };
  const [few, more, all, none] = [await at(40), await at(80), await at(100), await at(0)];
  expect(few.size).toBeGreaterThan(5);
  expect(more.size).toBeGreaterThan(few.size);
  // Who was there is still there, and comes again each time.
  expect([...few].filter((customer) => !more.has(customer))).toEqual([]);
  expect(await at(40)).toEqual(few);
  expect([all.size, none.size]).toEqual([60, 0]);

  const listed = await ask<Page<VersionSummary>>(world, "GET", "/workflows/w/versions");
  expect(listed.body.items.map(({ percent }) => percent)).toEqual([60, 0, 40]);
  const ended = await ask(world, "DELETE", "/workflows/w/promotion?reason=enough");
  expect(expectAnswer(ended, 200, workflowSchema).promotion).toBeNull();
  const runs = await world.startRuns("w", customers);
  expect((await world.readRun(runs[0] ?? "")).version).toBe(3);
  expect((await changes())[0]).toMatchObject({ kind: "promotion_ended", reason: "enough" });
});

test("an event's runs are bound as any other, and a replay as it says", async () => {
  const definition = { name: "heard", events: ["a"], steps: [{ name: "x" }] };
  await world.register(definition);
  await world.call("PUT", "/workflows/heard?activate=never", { ...definition, description: "2" });
  await world.call("PUT", "/workflows/heard/promotion", { version: 2, percent: 100 });
  const { body } = await world.call<{ runs: string[] }>("POST", "/events", { key: "a" });
  const [run = ""] = body.runs;
  expect((await world.readRun(run)).version).toBe(2);
  await world.call("POST", `/runs/${run}/cancel`);
  const replay = async (version: string): Promise<number> => {
    const again = await world.call<{ id: string }>("POST", `/runs/${run}/replay`, { version });
    return (await world.readRun(again.body.id)).version;
  };
  expect([await replay("active"), await replay("original")]).toEqual([1, 2]);
});

test.each([
  ["POST", "/workflows/w/activate", { version: 9 }, "version_not_found", /has no version 9/],
  ["POST", "/workflows/w/rollback", { version: 9 }, "version_not_found", /has no version 9/],
  ["POST", "/workflows/w/activate", { version: 0 }, "invalid_request", /version/],
  ["POST", "/workflows/w/activate", {}, "invalid_request", /version is missing/],
  ["POST", "/workflows/w/activate", { version: 1, reason: "" }, "invalid_request", /reason/],
  [
    "PUT",
    "/workflows/w/promotion",
    { version: 9, percent: 1 },
    "version_not_found",
    /no version 9/,
  ],
  ["PUT", "/workflows/w/promotion", { version: 3, percent: 1 }, "version_active", /Version 3/],
  ["PUT", "/workflows/w/promotion", { version: 1, percent: 101 }, "invalid_request", /percent/],
  ["PUT", "/workflows/w/promotion", { version: 1, percent: -1 }, "invalid_request", /percent/],
  ["PUT", "/workflows/w/promotion", { version: 1, percent: 0.001 }, "invalid_request", /decimals/],
  [
    "PUT",
    "/workflows/w/promotion",
    { version: 1, percent: 1, key: "customer" },
    "invalid_request",
    /must be a path such as input.customer/,
  ],
  [
    "PUT",
    "/workflows/w/promotion",
    { version: 1, percent: 1, rollbackWhen: { failureRate: 2 } },
    "invalid_request",
    /failureRate/,
  ],
  [
    "PUT",
    "/workflows/w/promotion",
    { version: 1, percent: 1, rollbackWhen: { failureRate: 0.5, windowMs: 1 } },
    "invalid_request",
    /windowMs/,
  ],
  ["GET", "/workflows/w/versions/9", undefined, "version_not_found", /has no version 9/],
  ["GET", "/workflows/w/versions/x", undefined, "invalid_request", /number/],
  ["GET", "/workflows/w/diff?from=1&to=9", undefined, "version_not_found", /has no version 9/],
  ["GET", "/workflows/w/diff", undefined, "invalid_request", /from/],
  ["GET", "/workflows/w/versions?cursor=x", undefined, "invalid_request", /cursor/],
] as const)("%s %s %j is refused: %s", async (method, path, body, code, detail) => {
  await expectNoTrace(world, async () => {
    await expectProblem(await ask(world, method, path, body), code, detail);
  });
});

test("a version that names a deleted limit is refused", async () => {
  await world.call("PUT", "/limits/pool", { concurrency: 1 });
  const steps = [{ name: "a", limits: [{ limit: "pool" }] }];
  await world.register({ name: "limited", steps });
  await world.register({ name: "limited", steps: [{ name: "a" }] });
  await world.call("DELETE", "/limits/pool");
  await expectProblem(
    await ask(world, "POST", "/workflows/limited/rollback"),
    "version_unusable",
    /limits "pool", which have been deleted/,
  );
});
