/** Lists of runs: what they filter by, and that their pages hold every run once while runs are added. */
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Page, PublishedEvent, RunSummary } from "../../protocol/http.ts";
import { pageOf } from "../../workers/api/fields.ts";
import { runSummarySchema } from "../../workers/api/run-schemas.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectProblem } from "./answers.ts";

const page = pageOf(runSummarySchema);

let world: World;
beforeAll(async () => {
  world = await createWorld();
  for (const name of ["first", "second"]) await world.register({ name, steps: [{ name: "only" }] });
});

useVirtualTime();

async function list(of: World, query: string): Promise<Page<RunSummary>> {
  return expectAnswer(await ask(of, "GET", `/runs?${query}`), 200, page) as Page<RunSummary>;
}

const idsOf = ({ items }: Page<RunSummary>): string[] => items.map(({ id }) => id);

describe("a list of runs", () => {
  let own: World;
  let started: string[];
  let clock = 0; // ids never go back in time, so neither may the tests that compare them by it
  beforeEach(async () => {
    vi.setSystemTime(Math.max(Date.now(), clock));
    own = await createWorld();
    for (const name of ["first", "second"]) await own.register({ name, steps: [{ name: "only" }] });
    started = [];
    for (const [workflow, metadata] of [
      ["first", { customer: "acme", plan: "pro" }],
      ["second", { customer: "acme" }],
      ["first", { customer: "other", "with space": "50% & more" }],
    ] as const) {
      started.push((await own.startRun({ workflow, metadata })).id);
      clock = Date.now() + 1_000;
      vi.setSystemTime(clock);
    }
  });

  test("is newest first", async () => {
    expect(idsOf(await list(own, ""))).toEqual(started.toReversed());
  });

  test("shows the runs of one workflow", async () => {
    expect(idsOf(await list(own, "workflow=first"))).toEqual([started[2], started[0]]);
    expect(idsOf(await list(own, "workflow=nobody"))).toEqual([]);
  });

  test("shows the runs in one state", async () => {
    const worker = await own.connectWorker({ actions: ["second:only"] });
    worker.complete(await worker.receiveTask());
    await worker.receive("recorded");
    expect(idsOf(await list(own, "state=completed"))).toEqual([started[1]]);
    expect(idsOf(await list(own, "state=queued&workflow=first"))).toEqual([started[2], started[0]]);
    expect(idsOf(await list(own, "state=failed"))).toEqual([]);
  });

  test("shows the runs with all the metadata asked for", async () => {
    expect(idsOf(await list(own, "metadata.customer=acme"))).toEqual([started[1], started[0]]);
    expect(idsOf(await list(own, "metadata.customer=acme&metadata.plan=pro"))).toEqual([
      started[0],
    ]);
    expect(idsOf(await list(own, "metadata.with%20space=50%25%20%26%20more"))).toEqual([
      started[2],
    ]);
    expect(idsOf(await list(own, "metadata.customer=acm"))).toEqual([]);
  });

  test("shows the runs that an event started", async () => {
    await own.register({ name: "first", events: ["thing:*"], steps: [{ name: "only" }] });
    await own.register({ name: "second", events: ["thing:done"], steps: [{ name: "only" }] });
    const publish = async (key: string): Promise<PublishedEvent> =>
      (await own.call<PublishedEvent>("POST", "/events", { key })).body;
    const done = await publish("thing:done");
    await publish("thing:begun");
    const listed = await list(own, `eventId=${done.id}`);
    expect(idsOf(listed).toSorted()).toEqual(done.runs.toSorted());
    expect(listed.items.map(({ eventId }) => eventId)).toEqual([done.id, done.id]);
    expect(idsOf(await list(own, `eventId=${done.id}&workflow=second`))).toHaveLength(1);
    expect(idsOf(await list(own, `eventId=${started[0]}`))).toEqual([]);
  });

  test("shows the runs created since a time and until another, the second excluded", async () => {
    const { items } = await list(own, "");
    const [third, second, first] = items.map(({ createdAt }) => createdAt);
    expect(idsOf(await list(own, `since=${second}`))).toEqual([started[2], started[1]]);
    expect(idsOf(await list(own, `until=${second}`))).toEqual([started[0]]);
    expect(idsOf(await list(own, `since=${first}&until=${third}`))).toEqual([
      started[1],
      started[0],
    ]);
    const paris = new Date(Date.parse(second ?? "") + 3_600_000)
      .toISOString()
      .replace("Z", "%2B01:00");
    expect(idsOf(await list(own, `until=${paris}`))).toEqual([started[0]]);
  });
});

test("pages hold every run once while runs are added between them", async () => {
  const own = await createWorld();
  await own.register({ name: "first", steps: [{ name: "only" }] });
  const bulk = async (count: number): Promise<void> => {
    const runs = Array.from({ length: count }, () => ({ workflow: "first" }));
    expect((await own.call("POST", "/runs/bulk", { runs })).status).toBe(201);
  };
  await bulk(25);
  const all = idsOf(await list(own, "limit=200"));
  expect(all).toHaveLength(25);
  const seen: string[] = [];
  let query = "limit=10";
  for (;;) {
    const { items, nextCursor } = await list(own, query);
    seen.push(...items.map(({ id }) => id));
    if (nextCursor === null) break;
    await bulk(5);
    query = `limit=10&cursor=${nextCursor}`;
  }
  expect(seen).toEqual(all);
});

test("a page as long as the list is its last", async () => {
  const own = await createWorld();
  await own.register({ name: "first", steps: [{ name: "only" }] });
  await own.startRun({ workflow: "first" });
  expect((await list(own, "limit=1")).nextCursor).toBeNull();
});

describe("a list of runs is refused", () => {
  test.each([
    ["limit=0", /limit must be at least 1/],
    ["limit=201", /limit must be at most 200/],
    ["limit=1.5", /limit must be a whole number, not "1.5"/],
    ["limit=", /limit must be at least 1, not ""/],
    ["cursor=abc", /cursor is not a cursor of this list/],
    ["cursor=0199f3a2-7c1e-7000-8a4b-5d6e7f800001", /cursor is not a cursor/],
    [
      "state=done",
      /state must be one of queued, running, completed, failed, cancelled, not "done"/,
    ],
    ["state=queued&state=failed", /state must be one of .*, not an array/],
    ["since=yesterday", /since is not an ISO 8601 time such as/],
    ["until=2026-01-31", /until is not an ISO 8601 time/],
    ["workflow=a%20b", /workflow must start with a letter or digit/],
    ["eventId=7", /eventId is not an id: expected a UUID/],
    ["customer=acme", /customer is not a parameter of this call; known: workflow, .*metadata\.KEY/],
    ["metadata.a=1&metadata.a=2", /metadata\.a is given more than once/],
    ["metadata.a=%00", /holds the character U\+0000/],
  ])("with ?%s", async (query, detail) => {
    await expectProblem(await ask(world, "GET", `/runs?${query}`), "invalid_request", detail);
  });
});
