/** Conditions of steps over the API: what a definition may say of them, and what is refused. */
import { beforeAll, describe, expect, test } from "vitest";
import type { RegisteredWorkflow, StepDefinition } from "../../protocol/http.ts";
import { registeredWorkflowSchema } from "../../workers/api/workflow-schemas.ts";
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
