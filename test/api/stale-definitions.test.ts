/**
 * A definition that changed is in force at the very next call, although what an isolate remembers of
 * the definitions is old: they are changed here behind the Worker's back, as another isolate would.
 */
import { beforeEach, expect, test } from "vitest";
import type { PublishedEvent, WorkflowDefinition } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { checksumOf } from "../../workers/definitions/canonical-json.ts";
import { buildDag } from "../../workers/definitions/dag.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectProblem } from "./answers.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "old", events: ["before"], steps: [{ name: "only" }] });
  await world.startRun({ workflow: "old" }); // the isolate has read the definitions
});

async function registerElsewhere(definition: WorkflowDefinition): Promise<void> {
  const dag = buildDag(definition);
  if ("findings" in dag) throw new Error("The definition is not a DAG");
  const request = {
    tenant: world.tenant,
    workflow: newId(),
    version: newId(),
    name: definition.name,
    checksum: await checksumOf(definition),
    definition,
    dag: dag.rows,
  };
  await world.sql("select v1.register_workflow($1::jsonb)", [JSON.stringify(request)]);
}

async function publish(key: string): Promise<PublishedEvent> {
  const { status, body } = await world.call<PublishedEvent>("POST", "/events", { key });
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

test("an event starts what listens to it now, and not what listened before", async () => {
  await registerElsewhere({ name: "old", events: ["after"], steps: [{ name: "only" }] });
  expect((await publish("before")).runs).toEqual([]);
  expect((await publish("after")).runs).toHaveLength(1);
});

test("an event starts a workflow that was registered a moment ago, once", async () => {
  await registerElsewhere({
    name: "new",
    events: ["before"],
    steps: [{ name: "a" }, { name: "b" }],
  });
  const { runs } = await publish("before");
  const started = await Promise.all(runs.map((id) => world.readRun(id)));
  expect(started.map(({ workflow }) => workflow).toSorted()).toEqual(["new", "old"]);
  expect(started.find(({ workflow }) => workflow === "new")?.tasks).toHaveLength(2);
  const rows = await world.sql("select from v1.event where tenant_id = $1", [world.tenant]);
  expect(rows).toHaveLength(1);
});

test("a run is of the version that is active now", async () => {
  await registerElsewhere({ name: "old", steps: [{ name: "only" }, { name: "more" }] });
  const { id } = await world.startRun({ workflow: "old" });
  const run = await world.readRun(id);
  expect(run.version).toBe(2);
  expect(run.tasks.map(({ step }) => step)).toEqual(["only", "more"]);
});

test("a workflow that was registered a moment ago can be started, alone and in bulk", async () => {
  await registerElsewhere({ name: "new", steps: [{ name: "only" }] });
  await world.startRun({ workflow: "new" });
  await registerElsewhere({ name: "newer", steps: [{ name: "only" }] });
  const runs = [{ workflow: "old" }, { workflow: "newer" }];
  expect((await world.call("POST", "/runs/bulk", { runs })).status).toBe(201);
});

test("an unknown workflow is still unknown after the definitions were read again", async () => {
  for (let times = 0; times < 2; times++) {
    const asked = await ask(world, "POST", "/runs", { workflow: "nobody" });
    await expectProblem(asked, "workflow_not_found", /No workflow "nobody"/);
  }
});

test("calls beside one that meets old definitions are made once", async () => {
  await registerElsewhere({ name: "old", events: ["before", "after"], steps: [{ name: "only" }] });
  const calls = Array.from({ length: 40 }, (_, n) =>
    n % 2 === 0 ? publish("before") : world.startRun({ workflow: "old" }),
  );
  await Promise.all(calls);
  const [row] = await world.sql(
    `select (select count(*)::int from v1.event where tenant_id = $1) as events,
       (select count(*)::int from v1.workflow_run where tenant_id = $1) as runs`,
    [world.tenant],
  );
  expect(row).toEqual({ events: 20, runs: 41 });
});

test("no event that is published after a filter's change was answered is judged by what was before", async () => {
  const filter = { workflow: "old", expression: "input >= payload", payload: 0 };
  const { body } = await world.call<{ id: string }>("POST", "/filters", filter);
  let answered = 0;
  const over = new AbortController();
  const publishing = Array.from({ length: 4 }, async () => {
    while (!over.signal.aborted) {
      const known = answered;
      const event = { key: "before", payload: 100 };
      const published = await world.call<PublishedEvent>("POST", "/events", event);
      expect(published.status, JSON.stringify(published.body)).toBe(201);
      const [run] = published.body.runs;
      const rows = await world.sql("select filter_payload from v1.workflow_run where id = $1", [
        run,
      ]);
      expect(Number(rows[0]?.["filter_payload"])).toBeGreaterThanOrEqual(known);
    }
  });
  for (let payload = 1; payload <= 20; payload++) {
    // As another isolate: this one is not told.
    const change = JSON.stringify({ p: payload });
    await world.sql("select v1.change_filter($1, $2, $3::jsonb, 1000)", [
      world.tenant,
      body.id,
      change,
    ]);
    answered = payload;
  }
  over.abort();
  await Promise.all(publishing);
});
