/** Registering and reading workflows, and every definition that is refused. */
import { beforeAll, describe, expect, test } from "vitest";
import type { ProblemCode } from "../../protocol/errors.ts";
import type { RegisteredWorkflow, WorkflowDefinition } from "../../protocol/http.ts";
import { pageOf } from "../../workers/api/fields.ts";
import { registeredWorkflowSchema, workflowSchema } from "../../workers/api/workflow-schemas.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const register = (definition: WorkflowDefinition) =>
  ask<RegisteredWorkflow>(world, "PUT", `/workflows/${definition.name}`, definition);

test("a definition is registered as version 1, and the answer shows it", async () => {
  const definition: WorkflowDefinition = {
    name: "full",
    description: "Everything a definition may have",
    events: ["order:placed", "user:*"],
    steps: [
      { name: "first", action: "shared.fetch", timeoutMs: 5_000 },
      { name: "second", parents: ["first"] },
    ],
  };
  const workflow = expectAnswer(await register(definition), 201, registeredWorkflowSchema);
  expect(workflow).toMatchObject({
    name: "full",
    created: true,
    definition,
    version: { number: 1 },
  });
  const { created: _, activeVersion, ...shown } = workflow;
  expect(activeVersion).toBe(1);
  const read = await ask(world, "GET", "/workflows/full");
  expect(expectAnswer(read, 200, workflowSchema)).toEqual(shown);
});

test("the same definition again makes no version, in whatever order its fields are", async () => {
  const first = await register({
    name: "same",
    events: ["a"],
    steps: [{ name: "x", timeoutMs: 5 }],
  });
  const before = await world.sql("select definitions_version from v1.tenant where id = $1", [
    world.tenant,
  ]);
  const again = await register({
    steps: [{ timeoutMs: 5, name: "x" }],
    events: ["a"],
    name: "same",
  });
  const repeated = expectAnswer(again, 200, registeredWorkflowSchema);
  expect(repeated).toMatchObject({ created: false, version: first.body.version });
  expect(
    await world.sql("select definitions_version from v1.tenant where id = $1", [world.tenant]),
  ).toEqual(before);
});

test("a changed definition is the next version, and an earlier one becomes active again only if it is to", async () => {
  const original: WorkflowDefinition = { name: "changes", steps: [{ name: "x" }] };
  const one = await register(original);
  const two = await register({ ...original, description: "changed" });
  expect(expectAnswer(two, 201, registeredWorkflowSchema).version.number).toBe(2);
  expect(two.body.id).toBe(one.body.id);
  const again = expectAnswer(await register(original), 200, registeredWorkflowSchema);
  expect(again).toMatchObject({ created: false, version: one.body.version, activeVersion: 2 });
  const path = "/workflows/changes?activate=always";
  const asked = await ask<RegisteredWorkflow>(world, "PUT", path, original);
  const back = expectAnswer(asked, 200, registeredWorkflowSchema);
  expect(back).toMatchObject({ created: false, version: one.body.version, activeVersion: 1 });
  const read = await ask<RegisteredWorkflow>(world, "GET", "/workflows/changes");
  expect(read.body).toMatchObject({ version: { number: 1 }, definition: original });
});

test("the same definition registered by many at once is one version", async () => {
  const definition: WorkflowDefinition = { name: "at-once", steps: [{ name: "x" }] };
  const answers = await Promise.all(Array.from({ length: 8 }, () => register(definition)));
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  expect(new Set(answers.map(({ body }) => body.version.id)).size).toBe(1);
});

test("workflows are listed by name, page by page", async () => {
  const own = await createWorld();
  for (const name of ["b", "a", "c"]) await own.register({ name, steps: [{ name: "x" }] });
  const page = pageOf(workflowSchema);
  const first = expectAnswer(await ask(own, "GET", "/workflows?limit=2"), 200, page);
  expect(first.items.map(({ name }) => name)).toEqual(["a", "b"]);
  const rest = await ask(own, "GET", `/workflows?limit=2&cursor=${first.nextCursor}`);
  const last = expectAnswer(rest, 200, page);
  expect(last.items.map(({ name }) => name)).toEqual(["c"]);
  expect(last.nextCursor).toBeNull();
});

const steps = (count: number) => Array.from({ length: count }, (_, n) => ({ name: `s${n}` }));
const long = "n".repeat(201);

type Refusal = [what: string, definition: object, code: ProblemCode, path: string, detail: RegExp];
const REFUSED: Refusal[] = [
  ["without steps", { steps: [] }, "invalid_request", "steps", /must have at least one step/],
  ["with steps left out", {}, "invalid_request", "steps", /steps is missing: it must be an array/],
  [
    "with too many steps",
    { steps: steps(501) },
    "invalid_request",
    "steps",
    /at most 500 items, and has 501/,
  ],
  [
    "with steps that form a cycle",
    {
      steps: [
        { name: "start", parents: ["c"] },
        { name: "a", parents: ["c"] },
        { name: "b", parents: ["a"] },
        { name: "c", parents: ["b"] },
      ],
    },
    "invalid_workflow",
    "steps[3].parents",
    /cycle: "c" → "a" → "b" → "c"/,
  ],
  [
    "with a step that is its own parent",
    { steps: [{ name: "a", parents: ["a"] }] },
    "invalid_workflow",
    "steps[0].parents",
    /cycle: "a" → "a"/,
  ],
  [
    "with an unknown parent",
    { steps: [{ name: "a", parents: ["nobody"] }] },
    "invalid_workflow",
    "steps[0].parents[0]",
    /there is no step "nobody"/,
  ],
  [
    "with a parent named twice",
    { steps: [{ name: "a" }, { name: "b", parents: ["a", "a"] }] },
    "invalid_workflow",
    "steps[1].parents[1]",
    /"a" is named twice/,
  ],
  [
    "with two steps of one name",
    { steps: [{ name: "a" }, { name: "b" }, { name: "a" }] },
    "invalid_workflow",
    "steps[2].name",
    /"a" is also the name of steps\[0\]/,
  ],
  [
    "with an action longer than a worker may offer",
    { steps: [{ name: "n".repeat(196) }] },
    "invalid_workflow",
    "steps[0].action",
    /has 204 characters: shorten a name/,
  ],
  [
    "with an unknown field in a step",
    { steps: [{ name: "a", retires: 3 }] },
    "invalid_request",
    "steps[0].retires",
    /steps\[0\]\.retires is not a field/,
  ],
  [
    "with a bad step name",
    { steps: [{ name: "a b" }] },
    "invalid_request",
    "steps[0].name",
    /letter or digit/,
  ],
  [
    "with an empty step name",
    { steps: [{ name: "" }] },
    "invalid_request",
    "steps[0].name",
    /not be empty/,
  ],
  [
    "with a long step name",
    { steps: [{ name: long }] },
    "invalid_request",
    "steps[0].name",
    /at most 200 characters, and has 201/,
  ],
  [
    "with a step name that is no string",
    { steps: [{ name: 7 }] },
    "invalid_request",
    "steps[0].name",
    /must be a string, not 7/,
  ],
  [
    "with steps that are no list",
    { steps: { name: "a" } },
    "invalid_request",
    "steps",
    /must be an array, not an object/,
  ],
  [
    "with a timeout of nothing",
    { steps: [{ name: "a", timeoutMs: 0 }] },
    "invalid_request",
    "steps[0].timeoutMs",
    /at least 1, not 0/,
  ],
  [
    "with a timeout over a day",
    { steps: [{ name: "a", timeoutMs: 86_400_001 }] },
    "invalid_request",
    "steps[0].timeoutMs",
    /at most 86400000/,
  ],
  [
    "with half a millisecond",
    { steps: [{ name: "a", timeoutMs: 1.5 }] },
    "invalid_request",
    "steps[0].timeoutMs",
    /whole number, not 1.5/,
  ],
  [
    "with an event key with a star inside",
    { events: ["a*b"], steps: steps(1) },
    "invalid_request",
    "events[0]",
    /\* only as its last/,
  ],
  [
    "with an empty event key",
    { events: [""], steps: steps(1) },
    "invalid_request",
    "events[0]",
    /must not be empty/,
  ],
  [
    "with too many event keys",
    { events: steps(101).map(({ name }) => name), steps: steps(1) },
    "invalid_request",
    "events",
    /at most 100 items/,
  ],
];

describe("a definition is refused, and nothing of it kept,", () => {
  test.each(REFUSED)("%s", async (_what, definition, code, path, detail) => {
    await expectNoTrace(world, async () => {
      const body = { name: "refused", ...definition };
      const asked = await ask(world, "PUT", "/workflows/refused", body);
      const { errors } = await expectProblem(asked, code, detail);
      expect(errors?.[0]?.path).toBe(path);
    });
  });

  test("when the address and the definition name different workflows", async () => {
    await expectNoTrace(world, async () => {
      const asked = await ask(world, "PUT", "/workflows/one", { name: "two", steps: steps(1) });
      await expectProblem(asked, "invalid_request", /address names "one", the definition "two"/);
    });
  });
});

test("a name that no workflow can have is refused in the address", async () => {
  const asked = await ask(world, "GET", "/workflows/a%20b");
  await expectProblem(asked, "invalid_request", /In the address, name must start/);
});

test("every fault of a DAG is listed, not only the first", async () => {
  const asked = await ask(world, "PUT", "/workflows/many", {
    name: "many",
    steps: [{ name: "a", parents: ["x", "y"] }],
  });
  const { errors } = await expectProblem(asked, "invalid_workflow", /there is no step "x"/);
  expect(errors?.map(({ path }) => path)).toEqual(["steps[0].parents[0]", "steps[0].parents[1]"]);
});

test("the largest DAG that is allowed is taken", async () => {
  const chain = steps(500).map((step, n) => (n === 0 ? step : { ...step, parents: [`s${n - 1}`] }));
  expectAnswer(await register({ name: "chain", steps: chain }), 201, registeredWorkflowSchema);
});

test("a workflow that is not registered is not found", async () => {
  const asked = await ask(world, "GET", "/workflows/nobody");
  await expectProblem(asked, "workflow_not_found", /No workflow "nobody"/);
});

test.each([
  ["limit=0", /limit must be at least 1, not "0"/],
  ["limit=201", /limit must be at most 200, not "201"/],
  ["limit=many", /limit must be a number, not "many"/],
  ["cursor=a%20b", /cursor is not a cursor of this list/],
  ["cursor=%00", /cursor is not a cursor/],
  ["page=2", /page is not a parameter/],
])("a list of workflows is refused with ?%s", async (query, detail) => {
  await expectProblem(await ask(world, "GET", `/workflows?${query}`), "invalid_request", detail);
});
