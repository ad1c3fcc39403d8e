/** Events that were published: lists, one with what it started, and again. */
import { beforeEach, describe, expect, test } from "vitest";
import type { EventSummary, ReplayedEvents } from "../../protocol/event-bodies.ts";
import type { PublishedEvent } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { pageOf } from "../../workers/api/fields.ts";
import {
  eventSchema,
  eventSummarySchema,
  replayedEventsSchema,
} from "../../workers/api/filter-schemas.ts";
import { publishedEventSchema } from "../../workers/api/schemas.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectProblem } from "./answers.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "order", events: ["order:*"], steps: [{ name: "only" }] });
});

async function publish(key: string, rest: object = {}): Promise<PublishedEvent> {
  const { status, body } = await world.call<PublishedEvent>("POST", "/events", { key, ...rest });
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

async function list(query = ""): Promise<EventSummary[]> {
  const asked = await ask(world, "GET", `/events${query}`);
  return expectAnswer(asked, 200, pageOf(eventSummarySchema)).items;
}

const idsOf = (events: { id: string }[]): string[] => events.map(({ id }) => id);

describe("events", () => {
  test("are listed, the newest first, by key, scope and time, a page at a time", async () => {
    const first = await publish("order:placed", { scope: "acme" });
    await world.advance(1_000);
    const between = new Date().toISOString();
    await world.advance(1_000);
    const second = await publish("order:paid");
    const third = await publish("order:placed");
    expect(idsOf(await list())).toEqual(idsOf([third, second, first]));
    expect(idsOf(await list("?key=order:placed"))).toEqual(idsOf([third, first]));
    expect(idsOf(await list("?scope=acme"))).toEqual([first.id]);
    expect(idsOf(await list(`?since=${between}`))).toEqual(idsOf([third, second]));
    expect(idsOf(await list(`?until=${between}`))).toEqual([first.id]);
    const { body } = await world.call<{ nextCursor: string }>("GET", "/events?limit=2");
    expect(idsOf(await list(`?cursor=${body.nextCursor}`))).toEqual([first.id]);
    expect((await list())[2]).toMatchObject({
      key: "order:placed",
      scope: "acme",
      runs: first.runs,
    });
  });

  test("are read with what they started", async () => {
    const { id, runs } = await publish("order:placed", {
      scope: "acme",
      payload: { n: 1 },
      metadata: { of: "me" },
    });
    const event = expectAnswer(await ask(world, "GET", `/events/${id}`), 200, eventSchema);
    expect(event).toEqual({
      id,
      key: "order:placed",
      scope: "acme",
      payload: { n: 1 },
      metadata: { of: "me" },
      publishedAt: event.publishedAt,
      replayOf: null,
      runs: [{ id: runs[0], workflow: "order", filter: null }],
      failures: [],
    });
    await expectProblem(
      await ask(world, "GET", `/events/${newId()}`),
      "event_not_found",
      /no event/,
    );
    const other = await createWorld();
    await expectProblem(await ask(other, "GET", `/events/${id}`), "event_not_found", /no event/);
    expect((await other.call<{ items: unknown[] }>("GET", "/events")).body.items).toEqual([]);
  });
});

describe("an event's replay", () => {
  test("is a new event with all that the old one had, for the workflows that there are now", async () => {
    const old = await publish("order:placed", {
      scope: "acme",
      payload: 7,
      metadata: { of: "me" },
    });
    await world.register({ name: "later", events: ["order:placed"], steps: [{ name: "only" }] });
    const asked = await ask(world, "POST", `/events/${old.id}/replay`);
    const { id, runs } = expectAnswer(asked, 201, publishedEventSchema);
    expect(id).not.toBe(old.id);
    expect(runs).toHaveLength(2);
    const read = expectAnswer(await ask(world, "GET", `/events/${id}`), 200, eventSchema);
    expect(read).toMatchObject({
      replayOf: old.id,
      scope: "acme",
      payload: 7,
      metadata: { of: "me" },
    });
    const missing = await ask(world, "POST", `/events/${newId()}/replay`);
    await expectProblem(missing, "event_not_found", /no event/);
  });

  test("is one by its idempotency key", async () => {
    const old = await publish("order:placed");
    const body = { idempotencyKey: "again" };
    const first = await ask(world, "POST", `/events/${old.id}/replay`, body);
    const second = await ask(world, "POST", `/events/${old.id}/replay`, body);
    const { id, runs } = expectAnswer(first, 201, publishedEventSchema);
    expect(expectAnswer(second, 200, publishedEventSchema)).toEqual({ id, runs, created: false });
  });
});

describe("a replay of events that fit", () => {
  async function replay(body: object): Promise<ReplayedEvents> {
    const asked = await ask(world, "POST", "/events/replay", body);
    return expectAnswer(asked, 201, replayedEventsSchema);
  }

  test("publishes each once, the oldest first, and none that a replay has published", async () => {
    const [first, , third] = [
      await publish("order:placed", { payload: 1 }),
      await publish("order:paid"),
      await publish("order:placed", { payload: 3 }),
    ];
    const filter = { key: "order:placed" };
    const { events, nextCursor } = await replay({ filter });
    expect(events.map(({ replayOf }) => replayOf)).toEqual([first?.id, third?.id]);
    expect(events.map(({ runs }) => runs.length)).toEqual([1, 1]);
    expect(nextCursor).toBeNull();
    expect((await world.readRun(events[1]?.runs[0] ?? "")).input).toBe(3);
  });

  test("is the same events again by its idempotency key", async () => {
    await publish("order:placed", { metadata: { of: "me" } });
    await publish("order:placed");
    const body = { filter: { metadata: { of: "me" } }, idempotencyKey: "again" };
    const first = await replay(body);
    expect(first.events).toHaveLength(1);
    expect(await replay(body)).toEqual(first);
    expect(await list()).toHaveLength(3);
  });

  test("goes on after what one call has taken", async () => {
    const large = "x".repeat(1_000_000);
    const published: PublishedEvent[] = [];
    for (let n = 0; n < 18; n++) published.push(await publish("order:placed", { payload: large }));
    const filter = { key: "order:placed" };
    const first = await replay({ filter });
    expect(first.events.length).toBeLessThan(18);
    const rest = await replay({ filter, cursor: first.nextCursor });
    expect(rest.nextCursor).toBeNull();
    const replayed = [...first.events, ...rest.events].map(({ replayOf }) => replayOf);
    expect(replayed).toEqual(idsOf(published));
  });

  test("must say which events are meant", async () => {
    const asked = await ask(world, "POST", "/events/replay", { filter: {} });
    await expectProblem(asked, "invalid_request", /say which events are meant/);
    const cursor = await ask(world, "POST", "/events/replay", {
      filter: { key: "a" },
      cursor: "x",
    });
    await expectProblem(cursor, "invalid_request", /not a cursor/);
  });
});
