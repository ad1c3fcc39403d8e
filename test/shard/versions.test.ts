/**
 * Which version a run has and who executes it: runs keep their DAG whatever is activated, pinned versions go to
 * workers that were built with them, and a promotion ends when too many of its runs fail.
 */
import { beforeEach, expect, test } from "vitest";
import type { RegisteredWorkflow, Workflow, WorkflowDefinition } from "../../protocol/http.ts";
import type { Why } from "../../protocol/limit-bodies.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
});

async function register(definition: WorkflowDefinition, activate = "new"): Promise<string> {
  const path = `/workflows/${definition.name}?activate=${activate}`;
  const { body } = await world.call<RegisteredWorkflow>("PUT", path, definition);
  return body.version.id;
}

/** The tasks that have come once all is quiet. */
async function take(worker: FakeWorker): Promise<TaskFrame[]> {
  const frames = await worker.unreadWhenQuiet();
  return await worker.receiveTasks(frames.filter(({ type }) => type === "task").length);
}

const post = (path: string, body?: object): Promise<{ status: number }> =>
  world.call("POST", `/workflows/w/${path}`, body);

test("a pinned version waits for a worker that was built with it, and says so; others pass it by", async () => {
  const pinned: WorkflowDefinition = {
    name: "w",
    versioning: "pinned",
    steps: [{ name: "a" }],
  };
  const first = await register(pinned);
  const old = await world.startRun({ workflow: "w" });
  const second = await register({ ...pinned, description: "two" });
  const later = await world.connectWorker({ actions: ["w:a"], versions: [second] });
  expect(await later.unreadWhenQuiet()).toEqual([]);
  const young = await world.startRun({ workflow: "w" });
  await later.receiveTask({ run: young.id });

  const task = (await world.readRun(old.id)).tasks[0]?.id ?? "";
  const why = await world.call<Why>("GET", `/tasks/${task}/why`);
  expect(why.body.reason).toMatchObject({
    kind: "no_worker",
    detail: `its workflow is pinned, and none that offers it was built with version 1 of "w"`,
  });
  expect(why.body.sentence).toMatch(/built with version 1 of "w"/);

  const both = await world.connectWorker({ actions: ["w:a"], versions: [first, second] });
  await both.receiveTask({ run: old.id });
});

test("a compatible version goes to anybody, rather to who was built with it", async () => {
  const first = await register({ name: "w", steps: [{ name: "a" }] });
  const second = await register({ name: "w", steps: [{ name: "a" }], description: "two" });
  const old = await world.connectWorker({ actions: ["w:a"], slots: 5, versions: [first] });
  const young = await world.connectWorker({ actions: ["w:a"], slots: 1, versions: [second] });
  const one = await world.startRun({ workflow: "w" });
  await young.receiveTask({ run: one.id });
  const two = await world.startRun({ workflow: "w" });
  await old.receiveTask({ run: two.id });
});

test("runs finish on the DAG they began with while others are activated, promoted and rolled back", async () => {
  const shapes = [
    [{ name: "a" }, { name: "b", parents: ["a"] }],
    [{ name: "a" }, { name: "c", parents: ["a"] }],
    [{ name: "a" }, { name: "b", parents: ["a"] }, { name: "d", parents: ["b"] }],
  ];
  const actions = ["w:a", "w:b", "w:c", "w:d"];
  const versions: string[] = [];
  for (const steps of shapes) versions.push(await register({ name: "w", steps }, "never"));
  const changes = [
    () => post("activate", { version: 3 }),
    () => world.call("PUT", "/workflows/w/promotion", { version: 2, percent: 50 }),
    () => post("rollback"),
    () => register({ name: "w", steps: shapes[2] ?? [] }).then(() => ({ status: 200 })),
    () => post("activate", { version: 2 }),
    () => world.call("PUT", "/workflows/w/promotion", { version: 3, percent: 30 }),
    () => post("activate", { version: 1 }),
  ];
  const runs: string[] = [];
  for (const [turn, change] of changes.entries()) {
    // Workers of each version come and go, one in the middle of its tasks.
    const worker = await world.connectWorker({
      actions,
      slots: 8,
      resumeGraceMs: 0,
      versions: [versions[turn % 3] ?? ""],
    });
    runs.push(...(await world.startRuns("w", Array(6).fill(null))));
    const tasks = await take(worker);
    expect(tasks.length).toBeGreaterThan(0);
    expect((await change()).status).toBeLessThan(300);
    for (const task of tasks.slice(0, 4)) worker.complete(task, task.action);
    await worker.unreadWhenQuiet();
    if (turn % 2 === 0) worker.vanish();
    else worker.close(1000);
    await world.advance(100);
  }
  const last = await world.connectWorker({ actions, slots: 100, versions });
  for (;;) {
    const tasks = await take(last);
    if (tasks.length === 0) break;
    for (const task of tasks) last.complete(task, task.action);
  }
  const found = await Promise.all(runs.map((run) => world.readRun(run)));
  const seen = new Set(found.map(({ version }) => version));
  expect([...seen].toSorted()).toEqual([1, 2, 3]);
  for (const run of found) {
    const steps = (shapes[run.version - 1] ?? []).map(({ name }) => name);
    expect(run).toMatchObject({ state: "completed" });
    expect(run.tasks.map(({ step, output }) => [step, output])).toEqual(
      steps.map((step) => [step, `w:${step}`]),
    );
  }
});

test("a promotion ends by itself when too many of its runs have failed, and new runs are the active version's", async () => {
  await register({ name: "w", steps: [{ name: "a" }] });
  await register({ name: "w", steps: [{ name: "a" }], description: "two" }, "never");
  const rollbackWhen = { failureRate: 0.5, windowMs: 60_000, minimumRuns: 4 };
  const promotion = { version: 2, percent: 100, rollbackWhen };
  await world.call("PUT", "/workflows/w/promotion", promotion);
  const worker = await world.connectWorker({ actions: ["w:a"], slots: 20 });
  const end = async (ends: string): Promise<Workflow> => {
    await world.startRuns(
      "w",
      [...ends].map(() => null),
    );
    const tasks = await take(worker);
    for (const [index, task] of tasks.entries()) {
      if (ends[index] === "f") worker.fail(task, "It broke");
      else worker.complete(task);
    }
    await worker.unreadWhenQuiet();
    await world.settled();
    return (await world.call<Workflow>("GET", "/workflows/w")).body;
  };
  expect(await end("ccccf")).toMatchObject({ promotion: { version: 2 } });
  expect(await end("fff")).toMatchObject({ promotion: null, version: { number: 1 } });
  const run = await world.startRun({ workflow: "w" });
  expect((await world.readRun(run.id)).version).toBe(1);
  const { body } = await world.call("GET", "/workflows/w/changes?limit=1");
  expect(body).toMatchObject({
    items: [{ kind: "promotion_failed", version: 2, by: null, details: { ended: 8, failed: 4 } }],
  });
});
