/** Starting runs, one and many, reading them, their results and their logs. */
import { beforeAll, describe, expect, test } from "vitest";
import type { ProblemCode } from "../../protocol/errors.ts";
import type { StartedRun } from "../../protocol/http.ts";
import { runSchema, startedRunSchema, startedRunsSchema } from "../../workers/api/run-schemas.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "only" }] });
});

const start = (run: object) => ask<StartedRun>(world, "POST", "/runs", run);

test("a run is started, its address is told, and it can be read", async () => {
  const input = { list: [1, "two", null], nested: { yes: true } };
  const asked = await start({ workflow: "job", input, metadata: { customer: "acme" } });
  const { id, created } = expectAnswer(asked, 201, startedRunSchema);
  expect(created).toBe(true);
  expect(asked.headers.get("location")).toBe(`/api/v1/runs/${id}`);
  const run = expectAnswer(await ask(world, "GET", `/runs/${id}`), 200, runSchema);
  expect(run).toMatchObject({ workflow: "job", version: 1, input, metadata: { customer: "acme" } });
  expect(run).toMatchObject({ state: "queued", eventId: null, startedAt: null, finishedAt: null });
  expect(run.tasks).toMatchObject([
    { step: "only", action: "job:only", state: "queued", attempts: [] },
  ]);
});

test("a finished run shows its attempts, its outputs and its errors", async () => {
  const own = await createWorld();
  await own.register({
    name: "pair",
    steps: [{ name: "good" }, { name: "bad" }, { name: "below", parents: ["bad"] }],
  });
  const worker = await own.connectWorker({ actions: ["pair:good", "pair:bad", "pair:below"] });
  const { id } = await own.startRun({ workflow: "pair" });
  for (const task of [await worker.receiveTask(), await worker.receiveTask()]) {
    if (task.step === "good") worker.complete(task, { fine: true });
    else worker.fail(task, "no luck");
    await worker.receive("recorded");
  }
  const run = expectAnswer(await ask(own, "GET", `/runs/${id}`), 200, runSchema);
  const error = { code: "handler_error", name: "Error", message: "no luck" };
  expect(run).toMatchObject({
    state: "failed",
    tasks: [
      {
        step: "good",
        state: "completed",
        output: { fine: true },
        attempts: [{ attempt: 1, outcome: "completed", worker: "test-worker" }],
      },
      {
        step: "bad",
        state: "failed",
        output: null,
        error,
        attempts: [{ attempt: 1, outcome: "failed", error }],
      },
      { step: "below", state: "cancelled", parents: ["bad"], attempts: [] },
    ],
  });
});

test("a start without input has the input null", async () => {
  const { body } = await start({ workflow: "job" });
  expect(await world.readRun(body.id)).toMatchObject({ input: null, metadata: {} });
});

describe("an idempotency key", () => {
  test("makes two starts one run", async () => {
    const first = await start({ workflow: "job", idempotencyKey: "twice", input: 1 });
    const second = await start({ workflow: "job", idempotencyKey: "twice", input: 2 });
    const { id } = expectAnswer(first, 201, startedRunSchema);
    expect(expectAnswer(second, 200, startedRunSchema)).toEqual({ id, created: false });
    expect(await world.readRun(id)).toMatchObject({ input: 1 });
  });

  test("makes one run of starts that come at the same moment", async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => start({ workflow: "job", idempotencyKey: "race" })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(9);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
  });

  test("that comes twice in one bulk call makes one run", async () => {
    const run = { workflow: "job", idempotencyKey: "bulk" };
    const asked = await ask(world, "POST", "/runs/bulk", { runs: [run, { workflow: "job" }, run] });
    const { runs } = expectAnswer(asked, 201, startedRunsSchema);
    expect(runs.map(({ created }) => created)).toEqual([true, true, false]);
    expect(runs[2]?.id).toBe(runs[0]?.id);
  });

  test("of one tenant means nothing to another", async () => {
    const other = await createWorld();
    await other.register({ name: "job", steps: [{ name: "only" }] });
    const mine = await start({ workflow: "job", idempotencyKey: "shared" });
    const theirs = await other.startRun({ workflow: "job", idempotencyKey: "shared" });
    expect(theirs.created).toBe(true);
    expect(theirs.id).not.toBe(mine.body.id);
  });
});

test("a thousand runs are started in one call, in the order given", async () => {
  const own = await createWorld();
  await own.register({ name: "many", steps: [{ name: "only" }] });
  const runs = Array.from({ length: 1_000 }, (_, n) => ({ workflow: "many", input: n }));
  const asked = await ask(own, "POST", "/runs/bulk", { runs });
  const started = expectAnswer(asked, 201, startedRunsSchema).runs.map(({ id }) => id);
  const rows = await own.sql(
    "select id, input from v1.workflow_run where tenant_id = $1 order by input::integer",
    [own.tenant],
  );
  expect(rows.map(({ id }) => id)).toEqual(started);
});

const big = { workflow: "job", input: "x".repeat(1024 * 1024) };
type Refusal = [
  what: string,
  run: object,
  code: ProblemCode,
  path: string | undefined,
  detail: RegExp,
];
const REFUSED: Refusal[] = [
  [
    "of an unknown workflow",
    { workflow: "nobody" },
    "workflow_not_found",
    undefined,
    /[Nn]o workflow "nobody" is registered.*PUT \/api\/v1\/workflows\/nobody/,
  ],
  [
    "without a workflow",
    { input: 1 },
    "invalid_request",
    "workflow",
    /workflow is missing: it must be a string/,
  ],
  [
    "with a workflow that is no name",
    { workflow: "../x" },
    "invalid_request",
    "workflow",
    /letter or digit/,
  ],
  [
    "with an input over the limit",
    big,
    "payload_too_large",
    "input",
    /larger than the 1048576 bytes/,
  ],
  [
    "with a misspelt field",
    { workflow: "job", inputs: 1 },
    "invalid_request",
    "inputs",
    /inputs is not a field/,
  ],
  [
    "with metadata that is not text",
    { workflow: "job", metadata: { n: 1 } },
    "invalid_request",
    "metadata.n",
    /must be a string, not 1/,
  ],
  [
    "with metadata that is a list",
    { workflow: "job", metadata: [] },
    "invalid_request",
    "metadata",
    /must be an object, not an array/,
  ],
  [
    "with a metadata key that is empty",
    { workflow: "job", metadata: { "": "x" } },
    "invalid_request",
    "metadata.",
    /at least 1 characters/,
  ],
  [
    "with too much metadata",
    { workflow: "job", metadata: { a: "x".repeat(17_000) } },
    "invalid_request",
    "metadata",
    /16384 bytes/,
  ],
  [
    "with an empty idempotency key",
    { workflow: "job", idempotencyKey: "" },
    "invalid_request",
    "idempotencyKey",
    /not be empty/,
  ],
  [
    "with a long idempotency key",
    { workflow: "job", idempotencyKey: "k".repeat(256) },
    "invalid_request",
    "idempotencyKey",
    /at most 255 characters/,
  ],
];

describe("a start is refused, and starts nothing,", () => {
  test.each(REFUSED)("%s", async (_what, run, code, path, detail) => {
    await expectNoTrace(world, async () => {
      const { errors } = await expectProblem(await start(run), code, detail);
      expect(errors?.[0]?.path).toBe(path);
    });
  });

  test.each(REFUSED)(
    "in a bulk call beside good ones, %s",
    async (_what, run, code, path, detail) => {
      await expectNoTrace(world, async () => {
        const runs = [{ workflow: "job" }, { workflow: "job", idempotencyKey: "unused" }, run];
        const asked = await ask(world, "POST", "/runs/bulk", { runs });
        const problem = await expectProblem(asked, code, detail);
        expect(problem.detail).toContain("runs[2]");
        if (path !== undefined) expect(problem.errors?.[0]?.path).toBe(`runs[2].${path}`);
      });
    },
  );

  test("in a bulk call of more than a thousand", async () => {
    await expectNoTrace(world, async () => {
      const runs = Array.from({ length: 1_001 }, () => ({ workflow: "job" }));
      const asked = await ask(world, "POST", "/runs/bulk", { runs });
      await expectProblem(
        asked,
        "invalid_request",
        /runs must have at most 1000 items, and has 1001/,
      );
    });
  });

  test("in a bulk call of none", async () => {
    const asked = await ask(world, "POST", "/runs/bulk", { runs: [] });
    await expectProblem(asked, "invalid_request", /runs must have at least 1 items/);
  });
});

describe("a run that is not there", () => {
  const unknown = "0199f3a2-7c1e-7000-8a4b-5d6e7f800000";
  test.each(["", "/result", "/logs"])("is not found at /runs/:id%s", async (rest) => {
    const asked = await ask(world, "GET", `/runs/${unknown}${rest}`);
    await expectProblem(asked, "run_not_found", RegExp(`There is no run ${unknown}`));
  });

  test.each(["", "/result", "/logs"])(
    "nor looked for under what is no run's id at /runs/:id%s",
    async (rest) => {
      for (const id of ["7", unknown.replace(/0000$/, "0001"), unknown.toUpperCase(), "%00"]) {
        const asked = await ask(world, "GET", `/runs/${id}${rest}`);
        await expectProblem(asked, "invalid_request", /In the address, id is not a run's id/);
      }
    },
  );
});
