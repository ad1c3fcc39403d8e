/** Events that cancel runs, over the API: what a definition may say of them, and what they do. */
import { beforeEach, describe, expect, test } from "vitest";
import type { CancelOn, PublishedEvent, RegisteredWorkflow } from "../../protocol/http.ts";
import { MAX_CANCEL_ON } from "../../protocol/limits.ts";
import { registeredWorkflowSchema } from "../../workers/api/workflow-schemas.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
});

const STEPS = [{ name: "only" }];
const BY_ID: CancelOn = { event: "order:cancelled", if: "event.payload.id == input.id" };

const register = (cancelOn: unknown) =>
  ask<RegisteredWorkflow>(world, "PUT", "/workflows/order", {
    name: "order",
    steps: STEPS,
    cancelOn,
  });

async function publish(key: string, payload: unknown): Promise<PublishedEvent> {
  const { status, body } = await ask<PublishedEvent>(world, "POST", "/events", { key, payload });
  expect(status).toBe(201);
  await world.settled();
  return body;
}

test("a definition says which events cancel, under which condition, and is shown as it was given", async () => {
  const cancelOn = [BY_ID, { event: "shop:closed" }];
  const workflow = expectAnswer(await register(cancelOn), 201, registeredWorkflowSchema);
  expect(workflow.definition).toEqual({ name: "order", steps: STEPS, cancelOn });
  expect(expectAnswer(await register(cancelOn), 200, registeredWorkflowSchema).created).toBe(false);
  expect((await register([BY_ID])).status).toBe(201);
});

test("an event cancels the runs it means, and they say so", async () => {
  await register([BY_ID, { event: "shop:closed" }]);
  const [one = "", two = ""] = await world.startRuns("order", [{ id: 1 }, { id: 2 }]);
  const event = await publish("order:cancelled", { id: 1 });
  const { body } = await ask(world, "GET", `/runs/${one}/result`);
  expect(body).toMatchObject({
    state: "cancelled",
    error: {
      code: "cancelled",
      step: null,
      message: `The run was cancelled by the event order:cancelled (${event.id}).`,
    },
  });
  expect((await world.readRun(two)).state).toBe("queued");
  await publish("shop:closed", null);
  expect((await world.readRun(two)).state).toBe("cancelled");
});

test("a version that another isolate has registered cancels from its first run on", async () => {
  await register(undefined);
  await publish("order:cancelled", { id: 1 }); // this isolate has read the definitions
  await register([BY_ID]);
  const { id } = await world.startRun({ workflow: "order", input: { id: 1 } });
  await publish("order:cancelled", { id: 1 });
  expect((await world.readRun(id)).state).toBe("cancelled");
});

test("a replay is cancelled as its own version says, that of the original or the active one", async () => {
  await register([BY_ID]);
  const { id } = await world.startRun({ workflow: "order", input: { id: 1 } });
  await ask(world, "POST", `/runs/${id}/cancel`);
  await register(undefined);
  const replay = async (version: string): Promise<string> =>
    (await ask<{ id: string }>(world, "POST", `/runs/${id}/replay`, { version })).body.id;
  const [original, active] = [await replay("original"), await replay("active")];
  await publish("order:cancelled", { id: 1 });
  expect((await world.readRun(original)).state).toBe("cancelled");
  expect((await world.readRun(active)).state).toBe("queued");
});

describe("a definition is refused, and nothing of it kept, with", () => {
  test.each([
    ["a pattern of events", [{ event: "order:*" }], "[0].event", /must be the key of an event/],
    ["a key with a space", [{ event: "a b" }], "[0].event", /must be the key of an event/],
    ["an empty key", [{ event: "" }], "[0].event", /must not be empty/],
    ["no key", [{ if: "true" }], "[0].event", /is missing/],
    ["a field that is not there", [BY_ID, { event: "a", when: "b" }], "[1].when", /is not a field/],
    ["an empty condition", [{ event: "a", if: "" }], "[0].if", /must not be empty/],
    [
      "too many",
      Array.from({ length: MAX_CANCEL_ON + 1 }, () => BY_ID),
      "",
      /at most 5 items, and has 6/,
    ],
    ["an event alone", { event: "a" }, "", /must be an array/],
  ])("%s", async (_what, cancelOn, path, detail) => {
    await expectNoTrace(world, async () => {
      const { errors } = await expectProblem(await register(cancelOn), "invalid_request", detail);
      expect(errors?.[0]?.path).toBe(`cancelOn${path}`);
    });
  });

  test.each([
    ["no CEL", "event.payload.id = input.id", "syntax_error"],
    ["a variable that is not there", "run.id == event.payload.id", "unknown_variable"],
    ["a field no event has", "event.name == 'x'", "unknown_variable"],
    ["an answer that is no yes or no", "size(event.key)", "wrong_result"],
    ["a comparison that can't be", "event.key == 3", "type_error"],
  ])("%s as a condition", async (_what, condition, code) => {
    await expectNoTrace(world, async () => {
      const asked = await register([BY_ID, { event: "a", if: condition }]);
      const { errors } = await expectProblem(
        asked,
        "invalid_workflow",
        /cancelOn\[1\]\.if: line 1/,
      );
      expect(errors).toMatchObject([{ path: "cancelOn[1].if", code }]);
    });
  });

  test("a condition, whose place is told", async () => {
    const condition = "event.payload.id ==\n  inptu.id";
    const asked = await register([{ event: "a", if: condition }]);
    const { errors } = await expectProblem(asked, "invalid_workflow", /line 2, column 3/);
    expect(errors).toEqual([
      {
        path: "cancelOn[0].if",
        message: expect.stringContaining("inptu"),
        code: "unknown_variable",
        position: { start: 22, end: 27, line: 2, column: 3 },
        excerpt: "  inptu.id\n  ^",
      },
    ]);
  });
});
