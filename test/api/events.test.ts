/** Publishing events: what they start, once, and what is refused. */
import { beforeAll, describe, expect, test } from "vitest";
import type { ProblemCode } from "../../protocol/errors.ts";
import type { PublishedEvent } from "../../protocol/http.ts";
import { publishedEventSchema, publishedEventsSchema } from "../../workers/api/schemas.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
  const steps = [{ name: "only" }];
  await world.register({ name: "exact", events: ["order:placed"], steps });
  await world.register({ name: "prefix", events: ["user:*", "user:created"], steps });
  await world.register({ name: "also", events: ["user:created", "order:cancelled"], steps });
});

const publish = (event: object) => ask<PublishedEvent>(world, "POST", "/events", event);

async function workflowsOf(runs: string[]): Promise<string[]> {
  const found = await Promise.all(runs.map((id) => world.readRun(id)));
  return found.map(({ workflow }) => workflow).toSorted();
}

test("an event starts a run of the workflow that listens, with the payload as its input", async () => {
  const event = { key: "order:placed", payload: { total: 7 }, metadata: { customer: "acme" } };
  const { id, runs } = expectAnswer(await publish(event), 201, publishedEventSchema);
  expect(runs).toHaveLength(1);
  expect(await world.readRun(runs[0] ?? "")).toMatchObject({
    workflow: "exact",
    input: { total: 7 },
    metadata: { customer: "acme" },
    eventId: id,
  });
});

test.each([
  ["user:deleted", ["prefix"]],
  ["user:", ["prefix"]],
  ["user", []],
  ["User:created", []],
  ["order:placed:late", []],
  ["user:created", ["also", "prefix"]],
  ["order:cancelled", ["also"]],
])("the event %s starts one run each of %j", async (key, expected) => {
  const { runs } = expectAnswer(await publish({ key }), 201, publishedEventSchema);
  expect(await workflowsOf(runs)).toEqual(expected);
});

test("an event that nobody listens to is stored and starts nothing", async () => {
  const { id, runs } = expectAnswer(
    await publish({ key: "lonely", payload: 1 }),
    201,
    publishedEventSchema,
  );
  expect(runs).toEqual([]);
  const rows = await world.sql("select tenant_id, key, payload from v1.event where id = $1", [id]);
  expect(rows).toEqual([{ tenant_id: world.tenant, key: "lonely", payload: 1 }]);
});

test("events of one bulk call each start their own runs, in the order given", async () => {
  const events = [
    { key: "order:placed", payload: 1 },
    { key: "lonely" },
    { key: "user:created", payload: 3 },
  ];
  const asked = await ask(world, "POST", "/events/bulk", { events });
  const published = expectAnswer(asked, 201, publishedEventsSchema).events;
  expect(published.map(({ runs }) => runs.length)).toEqual([1, 0, 2]);
  expect(await world.readRun(published[0]?.runs[0] ?? "")).toMatchObject({ input: 1 });
  expect(await world.readRun(published[2]?.runs[0] ?? "")).toMatchObject({ input: 3 });
});

describe("an idempotency key", () => {
  test("makes two publications one event with one run", async () => {
    const event = { key: "order:placed", payload: 1, idempotencyKey: "twice" };
    const first = expectAnswer(await publish(event), 201, publishedEventSchema);
    const second = expectAnswer(await publish({ ...event, payload: 2 }), 200, publishedEventSchema);
    expect(second).toEqual({ ...first, created: false });
    expect(first.runs).toHaveLength(1);
    expect(await world.readRun(first.runs[0] ?? "")).toMatchObject({ input: 1 });
    const runs = await world.sql("select from v1.workflow_run where event_id = $1", [first.id]);
    expect(runs).toHaveLength(1);
  });

  test("makes one event of publications that come at the same moment", async () => {
    const event = { key: "order:placed", idempotencyKey: "race", metadata: { of: "race" } };
    const answers = await Promise.all(Array.from({ length: 10 }, () => publish(event)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(new Set(answers.map(({ body }) => body.runs.join())).size).toBe(1);
    const { body } = await world.call<{ items: unknown[] }>("GET", "/runs?metadata.of=race");
    expect(body.items).toHaveLength(1);
  });

  test("that comes twice in one bulk call is one event", async () => {
    const event = { key: "order:placed", idempotencyKey: "bulk", metadata: { of: "bulk" } };
    const asked = await ask(world, "POST", "/events/bulk", { events: [event, event] });
    const { events } = expectAnswer(asked, 201, publishedEventsSchema);
    expect(events[1]).toEqual({ ...events[0], created: false });
    const { body } = await world.call<{ items: unknown[] }>("GET", "/runs?metadata.of=bulk");
    expect(body.items).toHaveLength(1);
  });

  test("of an event is another than the same key of a run", async () => {
    const run = await world.startRun({ workflow: "exact", idempotencyKey: "shared" });
    const { body } = await publish({ key: "order:placed", idempotencyKey: "shared" });
    expect(body).toMatchObject({ created: true });
    expect(body.runs).not.toContain(run.id);
  });
});

const big = { key: "order:placed", payload: "x".repeat(1024 * 1024) };
type Refusal = [what: string, event: object, code: ProblemCode, path: string, detail: RegExp];
const REFUSED: Refusal[] = [
  [
    "without a key",
    { payload: 1 },
    "invalid_request",
    "key",
    /key is missing: it must be a string/,
  ],
  ["with an empty key", { key: "" }, "invalid_request", "key", /key must not be empty/],
  ["with a pattern for a key", { key: "user:*" }, "invalid_request", "key", /no spaces and no \*/],
  ["with a long key", { key: "k".repeat(201) }, "invalid_request", "key", /at most 200 characters/],
  [
    "with a payload over the limit",
    big,
    "payload_too_large",
    "payload",
    /larger than the 1048576 bytes/,
  ],
  [
    "with a misspelt field",
    { key: "order:placed", data: 1 },
    "invalid_request",
    "data",
    /data is not a field/,
  ],
  [
    "with metadata that is not text",
    { key: "order:placed", metadata: { a: null } },
    "invalid_request",
    "metadata.a",
    /must be a string, not null/,
  ],
];

describe("an event is refused, and starts nothing,", () => {
  test.each(REFUSED)("%s", async (_what, event, code, path, detail) => {
    await expectNoTrace(world, async () => {
      const { errors } = await expectProblem(await publish(event), code, detail);
      expect(errors?.[0]?.path).toBe(path);
    });
  });

  test.each(REFUSED)(
    "in a bulk call beside good ones, %s",
    async (_what, event, code, path, detail) => {
      await expectNoTrace(world, async () => {
        const events = [{ key: "order:placed" }, event];
        const asked = await ask(world, "POST", "/events/bulk", { events });
        const { errors } = await expectProblem(asked, code, detail);
        expect(errors?.[0]?.path).toBe(`events[1].${path}`);
      });
    },
  );

  test("in a bulk call of more than a thousand, or of none", async () => {
    await expectNoTrace(world, async () => {
      for (const [count, detail] of [
        [1_001, /at most 1000 items/],
        [0, /at least 1 items/],
      ] as const) {
        const events = Array.from({ length: count }, () => ({ key: "order:placed" }));
        const asked = await ask(world, "POST", "/events/bulk", { events });
        await expectProblem(asked, "invalid_request", detail);
      }
    });
  });
});
