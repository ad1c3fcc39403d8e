/** Filters over the API: stored, changed, in force at the next event, and tried out. */
import { beforeEach, describe, expect, test } from "vitest";
import type { CreatedFilter, Filter, TriedFilter } from "../../protocol/event-bodies.ts";
import type { PublishedEvent } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { MAX_FILTERS, MAX_RUNS_OF_EVENT } from "../../protocol/limits.ts";
import { pageOf } from "../../workers/api/fields.ts";
import {
  createdFilterSchema,
  createdFiltersSchema,
  filterFailureSchema,
  filterSchema,
  triedFilterSchema,
} from "../../workers/api/filter-schemas.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "order", events: ["order:*"], steps: [{ name: "only" }] });
});

async function create(filter: object): Promise<CreatedFilter> {
  const asked = await ask(world, "POST", "/filters", { workflow: "order", ...filter });
  return expectAnswer(asked, 201, createdFilterSchema);
}

async function publish(payload: unknown, scope?: string): Promise<PublishedEvent> {
  const event = { key: "order:placed", payload, ...(scope !== undefined && { scope }) };
  const { status, body } = await world.call<PublishedEvent>("POST", "/events", event);
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

async function list(query = ""): Promise<Filter[]> {
  const asked = await ask(world, "GET", `/filters${query}`);
  return expectAnswer(asked, 200, pageOf(filterSchema)).items;
}

describe("a filter", () => {
  test("starts a run of its workflow for each event that meets it, and tells it why", async () => {
    const large = await create({
      expression: "input.amount > payload.least",
      payload: { least: 100 },
    });
    await create({ expression: 'input.state == "paid"' });
    expect((await publish({ amount: 1, state: "open" })).runs).toEqual([]);
    const { id, runs } = await publish({ amount: 120, state: "paid" });
    expect(runs).toHaveLength(2);
    const run = await world.readRun(runs[0] ?? "");
    expect(run).toMatchObject({ eventId: id, filterId: large.id, input: { amount: 120 } });
    const worker = await world.connectWorker({ actions: ["order:only"], slots: 5 });
    const task = await worker.receiveTask({ run: runs[0] });
    expect(task.filter).toEqual({ id: large.id, payload: { least: 100 } });
  });

  test("is told to a worker also of a task that was in the queue, and of a replay", async () => {
    const { id: filter } = await create({ expression: "true", payload: "why" });
    const { runs } = await publish(null);
    await world.crashShard(); // what it had in memory comes from Postgres now
    const worker = await world.connectWorker({ actions: ["order:only"] });
    const task = await worker.receiveTask({ run: runs[0] });
    expect(task.filter).toEqual({ id: filter, payload: "why" });
    worker.complete(task);
    await worker.receive("recorded");
    await world.call("DELETE", `/filters/${filter}`);
    await world.call("POST", `/runs/${runs[0]}/replay`);
    expect((await worker.receiveTask()).filter).toEqual({ id: filter, payload: "why" });
  });

  test("of a scope is asked for events of that scope only, one without for all", async () => {
    const acme = await create({ expression: "true", scope: "acme" });
    const any = await create({ expression: "input == 1" });
    const started = async (payload: number, scope?: string) => {
      const { runs } = await publish(payload, scope);
      return (await Promise.all(runs.map((run) => world.readRun(run)))).map(
        ({ filterId }) => filterId,
      );
    };
    expect(await started(1, "acme")).toEqual([acme.id, any.id]);
    expect(await started(1, "other")).toEqual([any.id]);
    expect(await started(0, "acme")).toEqual([acme.id]);
    expect(await started(0)).toEqual([]);
  });

  test("is read, listed by workflow and scope, changed in part, and deleted", async () => {
    await world.register({ name: "other", steps: [{ name: "only" }] });
    const first = await create({ expression: "true", scope: "acme", payload: [1] });
    const { created, ...filter } = first;
    expect(created).toBe(true);
    const second = await create({ workflow: "other", expression: "false" });
    expect(
      expectAnswer(await ask(world, "GET", `/filters/${first.id}`), 200, filterSchema),
    ).toEqual(filter);
    expect((await list()).map(({ id }) => id)).toEqual([first.id, second.id]);
    expect((await list("?workflow=other")).map(({ id }) => id)).toEqual([second.id]);
    expect((await list("?scope=acme")).map(({ id }) => id)).toEqual([first.id]);
    expect((await list(`?cursor=${first.id}`)).map(({ id }) => id)).toEqual([second.id]);

    const change = await ask(world, "PATCH", `/filters/${first.id}`, { scope: null });
    const changed = expectAnswer(change, 200, filterSchema);
    expect(changed).toMatchObject({ scope: null, expression: "true", payload: [1] });
    expect(changed.updatedAt >= first.updatedAt).toBe(true);
    expect((await world.call("DELETE", `/filters/${first.id}`)).status).toBe(200);
    expect(await list()).toHaveLength(1);
  });

  test("that a workflow has already is not stored again", async () => {
    const { id } = await create({ expression: "true", payload: { a: 1, b: 2 } });
    const again = { workflow: "order", expression: "true", payload: { b: 2, a: 1 } };
    const same = expectAnswer(
      await ask(world, "POST", "/filters", again),
      200,
      createdFilterSchema,
    );
    expect(same).toMatchObject({ id, created: false });
    expect((await publish(null)).runs).toHaveLength(1);
    const other = await create({ expression: "false" });
    const asked = await ask(world, "PATCH", `/filters/${other.id}`, {
      expression: "true",
      payload: { a: 1, b: 2 },
    });
    await expectProblem(asked, "filter_exists", /another filter/);
  });

  test("is in force at the next event, also where an isolate knows what was before", async () => {
    const { id } = await create({ expression: "true" });
    expect((await publish(1)).runs).toHaveLength(1);
    const query = "select v1.change_filter($1, $2, $3::jsonb, 1000) as refused";
    const change = JSON.stringify({ x: "false", q: [] });
    // As another isolate does it: this one is not told.
    expect(await world.sql(query, [world.tenant, id, change])).toEqual([{ refused: null }]);
    expect((await publish(1)).runs).toEqual([]);
    await world.sql("select v1.delete_filter($1, $2)", [world.tenant, id]);
    expect((await publish(1)).runs).toHaveLength(1); // the workflow has none, and so takes every event
    const stored = [{ id: newId(), w: "order", s: null, x: "input == 2", p: null, q: [] }];
    const most = JSON.stringify({ filters: 10, bytes: 1_000 });
    await world.sql("select v1.put_filters($1, $2::jsonb, $3::jsonb)", [
      world.tenant,
      JSON.stringify(stored),
      most,
    ]);
    expect((await publish(1)).runs).toEqual([]);
    expect((await publish(2)).runs).toHaveLength(1);
  });

  test("that can't be evaluated starts nothing, and is recorded with the event", async () => {
    const { id } = await create({ expression: "input.amount > 1" });
    const event = await publish({});
    expect(event.runs).toEqual([]);
    const failures = await ask(world, "GET", `/filters/${id}/failures`);
    const page = expectAnswer(failures, 200, pageOf(filterFailureSchema));
    expect(page.items).toMatchObject([
      { filter: id, event: event.id, error: { code: "no_such_key", position: { line: 1 } } },
    ]);
    const read = await world.call("GET", `/events/${event.id}`);
    expect(read.body).toMatchObject({ failures: [{ filter: id, error: { code: "no_such_key" } }] });
  });
});

describe("filters that a workflow declares", () => {
  const declare = (...expressions: string[]) =>
    world.register({
      name: "order",
      events: ["order:*"],
      filters: expressions.map((expression) => ({ expression, payload: "declared" })),
      steps: [{ name: "only" }],
    });

  test("are in force with their version, beside those that are stored", async () => {
    await declare("input == 1");
    const stored = await create({ expression: "input == 2" });
    expect((await publish(3)).runs).toEqual([]);
    const [run] = (await publish(1)).runs;
    const declared = (await list("?workflow=order")).find(({ isDeclared }) => isDeclared);
    expect(declared).toMatchObject({ expression: "input == 1", payload: "declared", scope: null });
    expect((await world.readRun(run ?? "")).filterId).toBe(declared?.id);
    await declare("input == 3");
    expect((await publish(1)).runs).toEqual([]);
    expect((await publish(2)).runs).toHaveLength(1);
    await declare("input == 1"); // an older version: it stays as it is until it is activated
    expect((await publish(1)).runs).toEqual([]);
    await world.call("POST", "/workflows/order/activate", { version: 2 });
    expect((await list()).map(({ id }) => id).toSorted()).toEqual(
      [stored.id, declared?.id].toSorted(),
    );
    expect((await publish(1)).runs).toHaveLength(1);
  });

  test("change with their workflow only", async () => {
    await declare("true");
    const [declared] = await list();
    const path = `/filters/${declared?.id}`;
    expectAnswer(await ask(world, "GET", path), 200, filterSchema);
    const change = { expression: "false" };
    await expectProblem(
      await ask(world, "PATCH", path, change),
      "filter_declared",
      /"order" declares/,
    );
    await expectProblem(await ask(world, "DELETE", path), "filter_declared", /"order" declares/);
  });

  test("are refused with their place when they are wrong, and nothing is stored", async () => {
    await expectNoTrace(world, async () => {
      const definition = {
        name: "order",
        steps: [{ name: "only" }],
        filters: [{ expression: "true" }, { expression: "input.a =" }],
      };
      const asked = await ask(world, "PUT", "/workflows/order", definition);
      const problem = await expectProblem(
        asked,
        "invalid_workflow",
        /filters\[1\]\.expression: line 1/,
      );
      expect(problem.errors?.[0]).toMatchObject({ code: "syntax_error", position: { line: 1 } });
    });
  });
});

describe("what is refused", () => {
  test.each([
    ["input.a =", "syntax_error"],
    ["inptu.a == 1", "unknown_variable"],
    ["input.a", undefined],
    ['"text"', "wrong_result"],
    ["shout(input)", "unknown_function"],
  ])("the expression %s, with its place", async (expression, code) => {
    if (code === undefined) {
      await create({ expression }); // may be true or false: only the data tells
      return;
    }
    await expectNoTrace(world, async () => {
      const asked = await ask(world, "POST", "/filters", { workflow: "order", expression });
      const problem = await expectProblem(
        asked,
        "invalid_request",
        /In the body, expression: line 1/,
      );
      expect(problem.errors?.[0]).toMatchObject({ path: "expression", code });
      expect(problem.errors?.[0]?.excerpt).toMatch(/\^/);
    });
    expect(await list()).toEqual([]);
  });

  test("all of a bulk call for one that is wrong, by its place", async () => {
    const filters = [
      { workflow: "order", expression: "true" },
      { workflow: "order", expression: "1 +" },
    ];
    const asked = await ask(world, "POST", "/filters/bulk", { filters });
    await expectProblem(asked, "invalid_request", /filters\[1\]\.expression/);
    const unknown = [filters[0], { workflow: "none", expression: "true" }];
    const other = await ask(world, "POST", "/filters/bulk", { filters: unknown });
    await expectProblem(other, "workflow_not_found", /"none"/);
    expect(await list()).toEqual([]);
    const right = [filters[0], { workflow: "order", expression: "false" }, filters[0]];
    const stored = await ask(world, "POST", "/filters/bulk", { filters: right });
    const answer = expectAnswer(stored, 201, createdFiltersSchema);
    expect(answer.filters.map(({ created }) => created)).toEqual([true, true, false]);
  });

  test("more filters than there may be", async () => {
    await world.sql("update v1.tenant set filters = $2::integer where id = $1", [
      world.tenant,
      MAX_FILTERS,
    ]);
    const asked = await ask(world, "POST", "/filters", { workflow: "order", expression: "true" });
    await expectProblem(asked, "too_many_filters", /Delete some/);
  });

  test("an event that would start more runs than one commit takes, and it is not stored", async () => {
    const filters = Array.from({ length: MAX_RUNS_OF_EVENT + 1 }, (_, n) => ({
      workflow: "order",
      expression: "true",
      payload: n,
    }));
    for (const part of [filters.slice(0, 600), filters.slice(600)]) {
      expect((await world.call("POST", "/filters/bulk", { filters: part })).status).toBe(201);
    }
    await expectNoTrace(world, async () => {
      const asked = await ask(world, "POST", "/events", { key: "order:placed" });
      await expectProblem(asked, "too_many_matches", /would start 1001 runs/);
    });
  });

  test("a filter that is not there, or of another tenant", async () => {
    const { id } = await create({ expression: "true" });
    const other = await createWorld();
    for (const [asking, of] of [
      [world, newId()],
      [other, id],
    ] as const) {
      const path = `/filters/${of}`;
      await expectProblem(await ask(asking, "GET", path), "filter_not_found", /no filter/);
      await expectProblem(await ask(asking, "DELETE", path), "filter_not_found", /no filter/);
      const change = await ask(asking, "PATCH", path, { expression: "false" });
      await expectProblem(change, "filter_not_found", /no filter/);
    }
  });
});

describe("trying out", () => {
  const tried = async (body: object): Promise<TriedFilter> =>
    expectAnswer(await ask(world, "POST", "/filters/try", body), 200, triedFilterSchema);
  const event = { key: "order:placed", payload: { amount: 120 } };

  test("says whether an event would meet an expression, or what is wrong with it", async () => {
    expect(await tried({ expression: "input.amount > 100", event })).toEqual({
      isMatch: true,
      error: null,
    });
    expect(await tried({ expression: "input.amount > payload", payload: 200, event })).toEqual({
      isMatch: false,
      error: null,
    });
    expect(await tried({ expression: "input.total > 1", event })).toMatchObject({
      isMatch: false,
      error: { code: "no_such_key", position: { line: 1 } },
    });
    expect(await tried({ expression: "input.amount >", event })).toMatchObject({
      isMatch: false,
      error: { code: "syntax_error" },
    });
  });

  test("takes a stored filter and a published event, and starts nothing", async () => {
    const filter = await create({ expression: "input.amount > payload", payload: 100 });
    const published = await publish({ amount: 1 });
    await expectNoTrace(world, async () => {
      expect(await tried({ filter: filter.id, event })).toMatchObject({ isMatch: true });
      expect(await tried({ filter: filter.id, event: published.id })).toMatchObject({
        isMatch: false,
      });
      expect(await tried({ filter: filter.id, payload: 0, event: published.id })).toMatchObject({
        isMatch: true,
      });
    });
    const unknown = { filter: filter.id, event: newId() };
    await expectProblem(
      await ask(world, "POST", "/filters/try", unknown),
      "event_not_found",
      /no event/,
    );
    const neither = await ask(world, "POST", "/filters/try", { event });
    await expectProblem(neither, "invalid_request", /expression/);
  });
});
