/** What becomes of the tasks of workers that vanish, fall silent, or come back. */
import { expect, test } from "vitest";
import { HEARTBEAT_LIMIT_MS, RESUME_GRACE_MS } from "../../protocol/session.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const SIMPLE = { name: "simple", steps: [{ name: "only" }] };
const ACTIONS = ["simple:only"];

async function attemptsOf(world: World, run: string): Promise<unknown[]> {
  const { tasks } = await world.readRun(run);
  return tasks.flatMap(({ attempts }) =>
    attempts.map(({ attempt, outcome, worker }) => [attempt, outcome, worker]),
  );
}

test("a task whose worker vanishes is given to another worker, and the lost attempt is kept", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const first = await world.connectWorker({ actions: ACTIONS, worker: "first" });
  const run = await world.startRun({ workflow: "simple" });
  await first.receiveTask({ attempt: 1 });
  const second = await world.connectWorker({ actions: ACTIONS, worker: "second" });

  first.vanish();
  await world.settled();
  await world.advance(RESUME_GRACE_MS - 1);
  expect(await second.unreadWhenQuiet()).toEqual([]);
  await world.advance(1);
  second.complete(await second.receiveTask({ attempt: 2 }), "done");
  await second.receive("recorded", { attempt: 2 });

  expect(await world.readRun(run.id)).toMatchObject({
    state: "completed",
    tasks: [{ output: "done" }],
  });
  expect(await attemptsOf(world, run.id)).toEqual([
    [1, "lost", "first"],
    [2, "completed", "second"],
  ]);
});

test("a worker that comes back within the grace keeps its attempts", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await world.startRun({ workflow: "simple" });
  const task = await worker.receiveTask();
  const rival = await world.connectWorker({ actions: ACTIONS });

  worker.vanish();
  await world.settled();
  await world.advance(RESUME_GRACE_MS - 1);
  const back = await world.openSocket();
  const { task: id, attempt } = task;
  const session = worker.welcome?.session ?? "";
  const running = [{ task: id, attempt }];
  const welcome = await back.hello({ actions: ACTIONS, session, running });
  expect(welcome).toMatchObject({ session, resumed: running, stale: [] });
  await world.advance(2 * RESUME_GRACE_MS);
  expect(await rival.unreadWhenQuiet()).toEqual([]);

  back.complete(task, "kept");
  await back.receive("recorded", { attempt: 1 });
  expect(await attemptsOf(world, run.id)).toEqual([[1, "completed", "test-worker"]]);
});

test("a worker that comes back too late is told that its attempts are no longer its", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const worker = await world.connectWorker({ actions: ACTIONS });
  await world.startRun({ workflow: "simple" });
  const { task, attempt } = await worker.receiveTask();
  worker.vanish();
  await world.settled();
  await world.advance(RESUME_GRACE_MS);

  const back = await world.openSocket();
  const session = worker.welcome?.session ?? "";
  const welcome = await back.hello({ actions: ACTIONS, session, running: [{ task, attempt }] });
  expect(welcome).toMatchObject({ resumed: [], stale: [{ task, attempt }] });
  expect(welcome.session).not.toBe(session);
  await back.receiveTask({ task, attempt: 2 });
});

test("a task that went down with the old socket is sent again at once, as a new attempt", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await world.startRun({ workflow: "simple" });
  await worker.receiveTask({ attempt: 1 });

  worker.vanish();
  await world.settled();
  const back = await world.openSocket();
  await back.hello({ actions: ACTIONS, session: worker.welcome?.session ?? "", running: [] });
  const again = await back.receiveTask({ attempt: 2 }); // and no time has passed
  back.complete(again);
  await back.receive("recorded");
  expect(await attemptsOf(world, run.id)).toEqual([
    [1, "lost", "test-worker"],
    [2, "completed", "test-worker"],
  ]);
});

test("a second socket of a session takes the place of the first", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await world.startRun({ workflow: "simple" });
  const task = await worker.receiveTask();
  const back = await world.openSocket();
  const running = [{ task: task.task, attempt: 1 }];
  await back.hello({ actions: ACTIONS, session: worker.welcome?.session ?? "", running });
  await worker.receive("error", { code: "session_replaced" });
  expect(await worker.closed).toMatchObject({ code: 4409 });

  await world.advance(2 * RESUME_GRACE_MS); // the old socket's end is not the session's
  back.complete(task);
  await back.receive("recorded", { attempt: 1 });
  expect(await attemptsOf(world, run.id)).toEqual([[1, "completed", "test-worker"]]);
});

test("a silent worker loses its tasks after the heartbeat limit, and its socket", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const silent = await world.connectWorker({ actions: ACTIONS, worker: "silent" });
  const run = await world.startRun({ workflow: "simple" });
  await silent.receiveTask();
  await world.advance(HEARTBEAT_LIMIT_MS - 1);
  const other = await world.connectWorker({ actions: ACTIONS, worker: "other" });
  expect(await other.unreadWhenQuiet()).toEqual([]);

  await world.advance(1);
  other.complete(await other.receiveTask({ attempt: 2 }));
  await other.receive("recorded");
  await silent.receive("error", { code: "session_silent" });
  expect(await silent.closed).toMatchObject({ code: 4408 });
  expect(await attemptsOf(world, run.id)).toEqual([
    [1, "lost", "silent"],
    [2, "completed", "other"],
  ]);
});

test("a silent worker that holds no task is left alone, and gets the next one", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const worker = await world.connectWorker({ actions: ACTIONS });
  await world.advance(10 * HEARTBEAT_LIMIT_MS);
  await world.startRun({ workflow: "simple" });
  worker.complete(await worker.receiveTask({ attempt: 1 }));
  await worker.receive("recorded");
});

test("only the tasks of the worker that vanished move", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const steady = await world.connectWorker({ actions: ACTIONS, slots: 3, worker: "steady" });
  const frail = await world.connectWorker({ actions: ACTIONS, slots: 3, worker: "frail" });
  const runs = await world.startRuns("simple", [1, 2, 3, 4]);
  const kept = await steady.receiveTasks(2);
  const lost = await frail.receiveTasks(2);
  frail.vanish();
  await world.settled();
  await world.advance(RESUME_GRACE_MS);

  const first = await steady.receiveTask({ attempt: 2 }); // its third slot
  for (const task of [...kept, first]) steady.complete(task);
  const second = await steady.receiveTask({ attempt: 2 });
  steady.complete(second);
  for (let count = 0; count < 4; count++) await steady.receive("recorded");
  expect([first.task, second.task].toSorted()).toEqual(lost.map(({ task }) => task).toSorted());
  const all = await Promise.all(runs.map((run) => attemptsOf(world, run)));
  expect(all.map(({ length }) => length).toSorted()).toEqual([1, 1, 2, 2]);
});
