/** Limits, labels and priorities that are refused: what is said, where, and that nothing is stored. */
import { beforeAll, describe, expect, test } from "vitest";
import type { ProblemCode } from "../../protocol/errors.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const rate = [{ units: 10, perMs: 1_000 }];
const six = Array.from({ length: 6 }, () => ({ concurrency: 1 }));

/** `at` reads on from the use's place. */
type Refusal = [use: object, code: ProblemCode, at: string, message: RegExp];

const USES: Refusal[] = [
  [{ concurrency: 0 }, "invalid_request", ".concurrency", /must be at least 1, not 0/],
  [{ concurrency: -3 }, "invalid_request", ".concurrency", /must be at least 1, not -3/],
  [{ concurrency: 2.5 }, "invalid_request", ".concurrency", /must be a whole number, not 2.5/],
  [{ concurrency: 1_000_001 }, "invalid_request", ".concurrency", /at most 1000000/],
  [{ rate: [] }, "invalid_request", ".rate", /at least 1 items/],
  [{ rate: [{ units: 0, perMs: 1 }] }, "invalid_request", ".rate[0].units", /more than 0/],
  [{ rate: [{ units: 1, perMs: 0 }] }, "invalid_request", ".rate[0].perMs", /at least 1, not 0/],
  [{ rate: [...rate, ...rate] }, "invalid_request", ".rate[1].perMs", /that of window 0 too/],
  [{}, "invalid_request", "", /bounds nothing/],
  [{ limit: "x", concurrency: 1 }, "invalid_request", ".concurrency", /together with limit/],
  [{ concurrency: 1, rate }, "invalid_request", ".rate", /make it two limits/],
  [{ rate, strategy: "queue" }, "invalid_request", ".strategy", /always waits/],
  [{ concurrency: 1, units: 2 }, "invalid_request", ".units", /there is no rate/],
  [{ rate, units: 0 }, "invalid_request", ".units", /more than 0/],
  [{ rate, units: true }, "invalid_request", ".units", /a number, or a text with an expression/],
  [{ concurrency: 1, weight: 0 }, "invalid_request", ".weight", /at least 0.001, not 0/],
  [{ concurrency: 1, weight: 1_001 }, "invalid_request", ".weight", /at most 1000, not 1001/],
  [{ concurrency: 1, strategy: "drop" }, "invalid_request", ".strategy", /one of queue, cancel/],
  [{ concurrency: 1, kye: "input.a" }, "invalid_request", ".kye", /is not a field/],
  [{ limit: "nobody" }, "invalid_workflow", ".limit", /there is no limit "nobody"/],
  [{ concurrency: 1, key: "input.a &&" }, "invalid_workflow", ".key", /line 1, column 11/],
  [{ concurrency: 1, key: "input.a == 1" }, "invalid_workflow", ".key", /string or number/],
  [{ rate, units: '"many"' }, "invalid_workflow", ".units", /must answer a number/],
  [{ concurrency: 1, weight: "plan" }, "invalid_workflow", ".weight", /plan/],
];

describe.each([
  ["workflow", "limits[0]", (use: object) => ({ limits: [use], steps: [{ name: "a" }] })],
  ["step", "steps[0].limits[0]", (use: object) => ({ steps: [{ name: "a", limits: [use] }] })],
])("a limit of a %s", (_level, place, definitionOf) => {
  test.each(USES)("%j is refused with %s", async (use, code, at, message) => {
    await expectNoTrace(world, async () => {
      const definition = { name: "flow", ...definitionOf(use) };
      const problem = await expectProblem(
        await ask(world, "PUT", "/workflows/flow", definition),
        code,
        message,
      );
      expect(problem.errors?.map(({ path }) => path)).toEqual([`${place}${at}`]);
    });
  });
});

const DEFINITIONS: [what: string, definition: object, path: string, message: RegExp][] = [
  ["six limits", { limits: six }, "limits", /at most 5 items, and has 6/],
  ["a priority of 4", { priority: 4 }, "priority", /at most 3, not 4/],
  ["a stickiness that is not there", { sticky: "yes" }, "sticky", /one of none, soft, hard/],
  ["no slots", { steps: [{ name: "a", slots: 0 }] }, "steps[0].slots", /at least 1, not 0/],
  [
    "a label without a value",
    { steps: [{ name: "a", labels: { gpu: {} } }] },
    "steps[0].labels.gpu.value",
    /must be a text or a number/,
  ],
  [
    "a comparator that is not there",
    { steps: [{ name: "a", labels: { gpu: { value: 1, comparator: "=" } } }] },
    "steps[0].labels.gpu.comparator",
    /one of ==, !=/,
  ],
  [
    "a required label with a weight",
    { steps: [{ name: "a", labels: { gpu: { value: 1, isRequired: true, weight: 2 } } }] },
    "steps[0].labels.gpu.weight",
    /is of a preference/,
  ],
];

test.each(DEFINITIONS)(
  "a workflow with %s is refused",
  async (_what, definition, path, message) => {
    await expectNoTrace(world, async () => {
      const body = { name: "flow", steps: [{ name: "a" }], ...definition };
      const asked = await ask(world, "PUT", "/workflows/flow", body);
      const problem = await expectProblem(asked, "invalid_request", message);
      expect(problem.errors?.map((error) => error.path)).toEqual([path]);
    });
  },
);

test("a workflow's key can't name outputs of parents, a step's can", async () => {
  const key = "parents.a.id";
  const definition = { name: "flow", limits: [{ concurrency: 1, key }], steps: [{ name: "a" }] };
  const asked = await ask(world, "PUT", "/workflows/flow", definition);
  const { errors } = await expectProblem(asked, "invalid_workflow", /parents/);
  expect(errors).toMatchObject([
    {
      path: "limits[0].key",
      code: "unknown_variable",
      position: { line: 1, column: 1 },
      excerpt: `${key}\n^`,
    },
  ]);
  const ofStep = {
    name: "below",
    steps: [{ name: "a" }, { name: "b", parents: ["a"], limits: [{ concurrency: 1, key }] }],
  };
  expect((await ask(world, "PUT", "/workflows/below", ofStep)).status).toBe(201);
});

test("everything that is wrong is told at once", async () => {
  const definition = {
    name: "flow",
    limits: [{ concurrency: 1, key: "inptu.a" }],
    steps: [{ name: "a", parents: ["b"], limits: [{ rate, units: "input." }] }],
  };
  const asked = await ask(world, "PUT", "/workflows/flow", definition);
  const { errors } = await expectProblem(asked, "invalid_workflow", /and 2 more/);
  expect(errors?.map(({ path }) => path)).toEqual([
    "steps[0].parents[0]",
    "limits[0].key",
    "steps[0].limits[0].units",
  ]);
});

const STORED: [limit: object, path: string, message: RegExp][] = [
  [{}, "", /must have concurrency or rate/],
  [{ concurrency: 0 }, "concurrency", /at least 1, not 0/],
  [{ concurrency: 1, rate }, "rate", /make it two limits/],
  [{ concurrency: 1, weight: 2 }, "weight", /is not a field/],
  [{ concurrency: 1, key: "input.a ++" }, "key", /line 1, column/],
  [{ concurrency: 1, key: "true" }, "key", /string or number/],
  [{ rate, units: "input.a > 3" }, "units", /must answer a number/],
  [{ concurrency: 1, appliesTo: { step: "a" } }, "appliesTo", /"tenant": true/],
  [
    { concurrency: 1, overrides: [{ key: "a*b", concurrency: 2 }] },
    "overrides[0].key",
    /only as its last/,
  ],
  [{ concurrency: 1, overrides: [{ key: "a", rate }] }, "overrides[0].rate", /no bound of a conc/],
  [
    {
      concurrency: 1,
      overrides: [
        { key: "*", concurrency: 2 },
        { key: "a", concurrency: 3 },
      ],
    },
    "overrides[1].key",
    /never counts/,
  ],
];

test.each(STORED)("a stored limit %j is refused", async (limit, path, message) => {
  await expectNoTrace(world, async () => {
    const asked = await ask(world, "PUT", "/limits/some", limit);
    const problem = await expectProblem(asked, "invalid_request", message);
    expect(problem.errors?.map((error) => error.path)).toEqual([path]);
  });
});

test("a run's priority is one of three", async () => {
  await world.register({ name: "job", steps: [{ name: "a" }] });
  const asked = await ask(world, "POST", "/runs", { workflow: "job", priority: 0 });
  await expectProblem(asked, "invalid_request", /priority must be at least 1, not 0/);
});
