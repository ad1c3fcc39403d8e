/** How steps may be executed: timeouts, retries, compensation and onFailure, as definitions say it. */
import { beforeAll, describe, expect, test } from "vitest";
import type { ProblemCode } from "../../protocol/errors.ts";
import type { RegisteredWorkflow, WorkflowDefinition } from "../../protocol/http.ts";
import { registeredWorkflowSchema } from "../../workers/api/workflow-schemas.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const register = (definition: WorkflowDefinition) =>
  ask<RegisteredWorkflow>(world, "PUT", `/workflows/${definition.name}`, definition);

const FULL: WorkflowDefinition = {
  name: "full",
  timeoutMs: 30 * 86_400_000,
  onFailure: { timeoutMs: 1_000, retries: 2 },
  steps: [
    {
      name: "charge",
      timeoutMs: 86_400_000,
      scheduleTimeoutMs: 30 * 86_400_000,
      retries: 100,
      backoff: { initialMs: 1, factor: 1.5, maxMs: 86_400_000, jitter: 0 },
      retryIf: 'error.code != "payload_too_large" && attempt < 3',
      compensate: { retries: 5, backoff: { factor: 1 } },
    },
    { name: "ship", parents: ["charge"] },
  ],
};

test("a definition may say all of it, and is shown as it was given", async () => {
  const workflow = expectAnswer(await register(FULL), 201, registeredWorkflowSchema);
  expect(workflow.definition).toEqual(FULL);
  expect(workflow.paused).toBeNull();
});

test("steps that undo others and see to a failure are rows beside the graph", async () => {
  await register(FULL);
  const rows = await world.sql(
    `select d.name, d.kind, d.action, d.parents, d.compensates, d.timeout_ms, d.schedule_timeout_ms::float8,
            (d.retry->>'retries')::integer as retries
       from v1.dag d join v1.workflow_version v on v.id = d.version_id
       join v1.workflow w on w.id = v.workflow_id
       where w.tenant_id = $1 and w.name = 'full' order by d.step`,
    [world.tenant],
  );
  const minute = { timeout_ms: 60_000, schedule_timeout_ms: null, compensates: null };
  expect(rows).toMatchObject([
    {
      name: "charge",
      kind: "step",
      timeout_ms: 86_400_000,
      schedule_timeout_ms: 2_592_000_000,
      retries: 100,
    },
    { name: "ship", kind: "step", parents: [0], ...minute, retries: null },
    {
      name: "charge:compensate",
      kind: "compensate",
      action: "full:charge:compensate",
      compensates: 0,
      parents: [0],
      retries: 5,
    },
    {
      name: "on-failure",
      kind: "on_failure",
      action: "full:on-failure",
      parents: [],
      timeout_ms: 1_000,
      retries: 2,
    },
  ]);
});

test("another policy is another version, and the same is not", async () => {
  const steps = [{ name: "x", retries: 1 }];
  await register({ name: "policies", steps });
  expect((await register({ name: "policies", steps })).body.version.number).toBe(1);
  const more = await register({ name: "policies", steps: [{ name: "x", retries: 2 }] });
  expect(more.body.version.number).toBe(2);
});

const of = (step: object) => ({ steps: [{ name: "a", ...step }] });

type Refusal = [what: string, definition: object, code: ProblemCode, path: string, detail: RegExp];
const REFUSED: Refusal[] = [
  ["too many retries", of({ retries: 101 }), "invalid_request", "steps[0].retries", /at most 100/],
  ["retries below none", of({ retries: -1 }), "invalid_request", "steps[0].retries", /at least 0/],
  ["half a retry", of({ retries: 0.5 }), "invalid_request", "steps[0].retries", /whole number/],
  [
    "a wait of nothing",
    of({ retries: 1, backoff: { initialMs: 0 } }),
    "invalid_request",
    "steps[0].backoff.initialMs",
    /at least 1/,
  ],
  [
    "waits over a day",
    of({ retries: 1, backoff: { maxMs: 86_400_001 } }),
    "invalid_request",
    "steps[0].backoff.maxMs",
    /at most 86400000/,
  ],
  [
    "waits that shrink",
    of({ retries: 1, backoff: { factor: 0.5 } }),
    "invalid_request",
    "steps[0].backoff.factor",
    /at least 1/,
  ],
  [
    "waits that explode",
    of({ retries: 1, backoff: { factor: 101 } }),
    "invalid_request",
    "steps[0].backoff.factor",
    /at most 100/,
  ],
  [
    "more jitter than the whole wait",
    of({ retries: 1, backoff: { jitter: 1.1 } }),
    "invalid_request",
    "steps[0].backoff.jitter",
    /at most 1/,
  ],
  [
    "a first wait longer than the longest",
    of({ retries: 1, backoff: { initialMs: 9, maxMs: 8 } }),
    "invalid_request",
    "steps[0].backoff.initialMs",
    /must not be more than maxMs/,
  ],
  [
    "a first wait longer than the longest is by default",
    of({ retries: 1, backoff: { initialMs: 300_001 } }),
    "invalid_request",
    "steps[0].backoff.initialMs",
    /maxMs, which is 300000 unless/,
  ],
  [
    "an unknown field of a backoff",
    of({ retries: 1, backoff: { min: 1 } }),
    "invalid_request",
    "steps[0].backoff.min",
    /is not a field/,
  ],
  [
    "a backoff without retries",
    of({ backoff: { factor: 1 } }),
    "invalid_request",
    "steps[0].retries",
    /without it there are no retries/,
  ],
  [
    "a condition without retries",
    of({ retryIf: "true" }),
    "invalid_request",
    "steps[0].retries",
    /without it there are no retries/,
  ],
  [
    "an empty condition",
    of({ retries: 1, retryIf: "" }),
    "invalid_request",
    "steps[0].retryIf",
    /must not be empty/,
  ],
  [
    "a long condition",
    of({ retries: 1, retryIf: `"${"x".repeat(4_096)}" != ""` }),
    "invalid_request",
    "steps[0].retryIf",
    /at most 4096 characters/,
  ],
  [
    "a queueing time of nothing",
    of({ scheduleTimeoutMs: 0 }),
    "invalid_request",
    "steps[0].scheduleTimeoutMs",
    /at least 1/,
  ],
  [
    "a queueing time over thirty days",
    of({ scheduleTimeoutMs: 2_592_000_001 }),
    "invalid_request",
    "steps[0].scheduleTimeoutMs",
    /at most 2592000000/,
  ],
  [
    "a run of more than thirty days",
    { ...of({}), timeoutMs: 2_592_000_001 },
    "invalid_request",
    "timeoutMs",
    /at most 2592000000/,
  ],
  ["a run of no time", { ...of({}), timeoutMs: 0 }, "invalid_request", "timeoutMs", /at least 1/],
  [
    "a compensation that has parents",
    of({ compensate: { parents: [] } }),
    "invalid_request",
    "steps[0].compensate.parents",
    /is not a field/,
  ],
  [
    "a compensation that is only named",
    of({ compensate: true }),
    "invalid_request",
    "steps[0].compensate",
    /must be an object, not true/,
  ],
  [
    "an onFailure with a name",
    { ...of({}), onFailure: { name: "b" } },
    "invalid_request",
    "onFailure.name",
    /is not a field/,
  ],
  [
    "an onFailure beside a step of its name",
    { steps: [{ name: "on-failure" }], onFailure: {} },
    "invalid_workflow",
    "steps[0].name",
    /is the name of the workflow's onFailure/,
  ],
  [
    "a compensation whose action would be too long",
    { steps: [{ name: "n".repeat(190), action: "a", compensate: {} }] },
    "invalid_workflow",
    "steps[0].compensate",
    /shorten a name, to at most 200 together/,
  ],
];

const retryIf = (condition: string) => ({ retries: 1, retryIf: condition });

describe("a condition for a retry that can't be is refused when it is registered:", () => {
  test("what is wrong is told with its place in the expression", async () => {
    await expectNoTrace(world, async () => {
      const body = { name: "refused", ...of(retryIf('error.code == "x" &&\n  eror.name != ""')) };
      const { errors } = await expectProblem(
        await ask(world, "PUT", "/workflows/refused", body),
        "invalid_workflow",
        /steps\[0\]\.retryIf: line 2, column 3: .*error, attempt\.$/,
      );
      expect(errors).toEqual([
        {
          path: "steps[0].retryIf",
          message: expect.stringContaining("eror"),
          code: "unknown_variable",
          position: { start: 23, end: 27, line: 2, column: 3 },
          excerpt: '  eror.name != ""\n  ^',
        },
      ]);
    });
  });

  test.each([
    ["that is no CEL", "error.code ===", "syntax_error"],
    ["that answers no yes or no", "error.code", "wrong_result"],
    ["that asks for a field no error has", "error.stack != ''", "unknown_variable"],
    ["that compares what can't be", "attempt == 'x'", "type_error"],
  ])("%s", async (_what, condition, code) => {
    const body = { name: "refused", ...of(retryIf(condition)) };
    const asked = await ask(world, "PUT", "/workflows/refused", body);
    const { errors } = await expectProblem(
      asked,
      "invalid_workflow",
      /steps\[0\]\.retryIf: line 1/,
    );
    expect(errors).toMatchObject([{ path: "steps[0].retryIf", code }]);
  });

  test("each of them, beside what is wrong with the DAG", async () => {
    const bad = retryIf("nothing");
    const body = {
      name: "refused",
      steps: [
        { name: "a", ...bad },
        { name: "b", parents: ["x"], compensate: bad },
      ],
      onFailure: bad,
    };
    const asked = await ask(world, "PUT", "/workflows/refused", body);
    const { errors } = await expectProblem(asked, "invalid_workflow", /\(and 3 more\)/);
    expect(errors?.map(({ path }) => path)).toEqual([
      "steps[1].parents[0]",
      "steps[0].retryIf",
      "steps[1].compensate.retryIf",
      "onFailure.retryIf",
    ]);
  });
});

describe("a definition is refused, and nothing of it kept, with", () => {
  test.each(REFUSED)("%s", async (_what, definition, code, path, detail) => {
    await expectNoTrace(world, async () => {
      const body = { name: "refused", ...definition };
      const asked = await ask(world, "PUT", "/workflows/refused", body);
      const { errors } = await expectProblem(asked, code, detail);
      expect(errors?.[0]?.path).toBe(path);
    });
  });
});
