/** Conditions of steps over the API: what a definition may say of them, and what is refused. */
import { beforeAll, describe, expect, test } from "vitest";
import type { RegisteredWorkflow, StepDefinition } from "../../protocol/http.ts";
import type { WaitFor } from "../../protocol/wait-bodies.ts";
import { registeredWorkflowSchema } from "../../workers/api/workflow-schemas.ts";
import { buildWait } from "../../workers/definitions/waits.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const register = (step: object) =>
  ask<RegisteredWorkflow>(world, "PUT", "/workflows/order", {
    name: "order",
    steps: [{ name: "check" }, { name: "my-ship", parents: ["check"], ...step }],
  });

test("a definition may say all of them, and is shown as it was given", async () => {
  const conditions: Partial<StepDefinition> = {
    skipIf: 'parents["check"].amount < 10',
    runIf: "has(parents.check) && 'check' in parents",
    cancelIf: "size(parents) == 0 || metadata.stop == input.stop",
  };
  const { definition } = expectAnswer(await register(conditions), 201, registeredWorkflowSchema);
  expect(definition.steps[1]).toEqual({ name: "my-ship", parents: ["check"], ...conditions });
});

describe("a definition is refused, and nothing of it kept, with", () => {
  test.each([
    ["no CEL", "input.a = 1", "syntax_error", 9],
    ["a variable that is not there", "output.ok", "unknown_variable", 1],
    [
      "a step that is no parent of it",
      "parents.check.ok && parents.chekc.ok",
      "unknown_variable",
      29,
    ],
    ["an answer that is no yes or no", "size(parents.check)", "wrong_result", 1],
    ["a comparison that can't be", "1 == 'a'", "type_error", 1],
  ])("%s as a condition", async (_what, condition, code, column) => {
    for (const name of ["skipIf", "runIf", "cancelIf"]) {
      await expectNoTrace(world, async () => {
        const where = new RegExp(`steps\\[1\\]\\.${name}: line 1, column ${column}: `);
        const asked = await register({ [name]: condition });
        const { errors } = await expectProblem(asked, "invalid_workflow", where);
        expect(errors).toMatchObject([
          {
            path: `steps[1].${name}`,
            code,
            position: { line: 1, column },
            excerpt: `${condition}\n${" ".repeat(column - 1)}^`,
          },
        ]);
      });
    }
  });

  test("a name of no parent says which there are", async () => {
    const asked = await register({ runIf: "parents.ship.ok" });
    await expectProblem(
      asked,
      "invalid_workflow",
      /There is no field ship here\. Parents of the step: "check"/,
    );
    const alone = await register({ parents: [], runIf: "parents.ship.ok" });
    await expectProblem(alone, "invalid_workflow", /Parents of the step: none/);
  });

  test("a condition that is no text, or an empty one", async () => {
    for (const condition of [true, "", 5]) {
      const { errors } = await expectProblem(
        await register({ runIf: condition }),
        "invalid_request",
        /runIf/,
      );
      expect(errors?.[0]?.path).toBe("steps[1].runIf");
    }
  });
});

test("a definition may say what a step waits for, and is shown as it was given", async () => {
  const waitFor: WaitFor = {
    any: [
      { event: "order:paid", if: "event.payload.id == parents.check.id", withinMs: 60_000 },
      { all: [{ event: "shop:open" }, { sleepMs: 365 * 86_400_000 }] },
    ],
    timeoutMs: 1,
    onTimeout: "continue",
  };
  const { definition } = expectAnswer(await register({ waitFor }), 201, registeredWorkflowSchema);
  expect(definition.steps[1]?.waitFor).toEqual(waitFor);
});

describe("a wait is refused, and nothing of it kept, with", () => {
  const TEN = Array.from({ length: 10 }, () => ({ sleepMs: 1 }));
  test.each([
    ["nothing to wait for", {}, "", /must have one of event, sleepMs, any, all, and has none/],
    ["two things", { event: "a", sleepMs: 1 }, "", /and has event and sleepMs/],
    ["a pattern of events", { event: "order:*" }, ".event", /must be the key of an event/],
    ["a condition of no event", { sleepMs: 1, if: "true" }, ".if", /does nothing without event/],
    ["a look back of a group", { any: [{ event: "a" }], withinMs: 5 }, ".withinMs", /does nothing/],
    [
      "a look back too far",
      { event: "a", withinMs: 8 * 86_400_000 },
      ".withinMs",
      /at most 604800000/,
    ],
    ["a sleep of a year and more", { sleepMs: 366 * 86_400_000 }, ".sleepMs", /must be at most/],
    ["an empty group", { any: [] }, ".any", /at least 1 items/],
    ["a bad part", { any: [{ sleepMs: 1 }, { all: [{}] }] }, ".any[1].all[0]", /and has none/],
    [
      "groups too deep",
      { any: [{ any: [{ any: [{ sleepMs: 1 }] }] }] },
      ".any[0].any[0].any",
      /is not a field/,
    ],
    [
      "too many",
      { all: [{ any: TEN }, { sleepMs: 1 }] },
      "",
      /waits for 11 events and sleeps: at most 10/,
    ],
    [
      "a choice without a timeout",
      { event: "a", onTimeout: "skip" },
      ".onTimeout",
      /does nothing without timeoutMs/,
    ],
    [
      "a choice that is none",
      { event: "a", timeoutMs: 1, onTimeout: "go" },
      ".onTimeout",
      /must be one of fail, skip, continue/,
    ],
  ])("%s", async (_what, waitFor, path, detail) => {
    await expectNoTrace(world, async () => {
      const { errors } = await expectProblem(
        await register({ waitFor }),
        "invalid_request",
        detail,
      );
      expect(errors?.[0]?.path).toBe(`steps[1].waitFor${path}`);
    });
  });

  test.each([
    ["no CEL", "event.payload.id = 1", "syntax_error"],
    ["a variable that is not there", "run.id == event.payload.id", "unknown_variable"],
    ["a step that is no parent of it", "event.payload.id == parents.chekc.id", "unknown_variable"],
    ["an answer that is no yes or no", "size(event.key)", "wrong_result"],
  ])("%s as a condition, wherever it stands", async (_what, condition, code) => {
    await expectNoTrace(world, async () => {
      const asked = await register({
        waitFor: { any: [{ all: [{ event: "a", if: condition }] }] },
      });
      const where = /steps\[1\]\.waitFor\.any\[0\]\.all\[0\]\.if: line 1, column/;
      const { errors } = await expectProblem(asked, "invalid_workflow", where);
      expect(errors).toMatchObject([{ code, excerpt: expect.stringContaining("^") }]);
    });
  });
});

test("ways to combine conditions are written out, no more than there can be", () => {
  const groups = (sizes: number[]): WaitFor => ({
    all: sizes.map((size) => ({ any: Array.from({ length: size }, () => ({ sleepMs: 1 })) })),
  });
  const setsOf = (waitFor: WaitFor) => buildWait(waitFor, "", []).row.sets;
  expect(setsOf({ sleepMs: 1 })).toEqual([0b1]);
  expect(setsOf({ any: [{ all: [{ sleepMs: 1 }, { sleepMs: 1 }] }, { sleepMs: 1 }] })).toEqual([
    0b11, 0b100,
  ]);
  expect(setsOf(groups([2, 1]))).toEqual([0b101, 0b110]);
  expect(setsOf(groups([3, 3, 4]))).toHaveLength(36);
});
