/**
 * The lifecycle tables of `protocol/states.ts` against the database: whatever state a task is in,
 * whatever happens to it, it is then in the state the table says.
 */
import { describe, expect, inject, test } from "vitest";
import type { CommitReply } from "../../database/rows.ts";
import {
  ATTEMPT_OUTCOMES,
  CATCH_UPS,
  FINISHED_RUN_STATES,
  isFinishedRun,
  MATCH_KINDS,
  OVERLAPS,
  PAUSE_MODES,
  RUN_STATES,
  STEP_KINDS,
  TASK_EVENTS,
  TASK_STATES,
  TASK_TRANSITIONS,
  TIMER_KINDS,
  WORKFLOW_CHANGE_KINDS,
  type TaskEvent,
} from "../../protocol/states.ts";
import {
  abandoned,
  begun,
  cancelled,
  completed,
  expired,
  failed,
  lost,
  putBack,
  retried,
  skipped,
  waiting,
  woken,
} from "./rows.ts";
import { openPool, type StartedRun, TestShard } from "./support.ts";

const EVERY_TRANSITION = TASK_STATES.flatMap((state) =>
  TASK_EVENTS.map((event) => ({ state, event, next: TASK_TRANSITIONS[state][event] })),
);

describe.each(inject("databases"))("the lifecycle on $name", (database) => {
  const pool = openPool(database);

  test.each(EVERY_TRANSITION)("a $state task: $event → $next", async ({ state, event, next }) => {
    const shard = await TestShard.create(pool);
    const waitFor = { sleepMs: 60_000 };
    const steps = { parent: [], child: { parents: ["parent"], waitFor } };
    const run = await shard.startRun(await shard.register("pair", steps));
    // The child stands for any task; what happens to its parent is legal whatever its own state.
    await shard.rows("update v1.task set state = $2 where id = $1", [run.task("child"), state]);
    const before = await shard.task(run.task("child"));
    await happen(shard, run, event);
    const after = await shard.task(run.task("child"));
    if (next === "ignored") expect(after).toEqual(before);
    else expect(after.state).toBe(next);
  });

  test.each(FINISHED_RUN_STATES)("a %s run never changes", async (state) => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const { run, task } = await shard.startRun(workflow);
    await shard.rows("update v1.workflow_run set state = $2, remaining = 0 where id = $1", [
      run,
      state,
    ]);
    await shard.rows("update v1.task set state = 'completed', attempt = 1 where id = $1", [
      task("a"),
    ]);
    const before = await shard.picture();
    for (const attempt of [1, 2]) {
      await shard.commit({ started: [begun(task("a"), attempt)] });
      for (const report of [
        completed(task("a"), 1, attempt),
        failed(task("a"), attempt),
        lost(task("a"), attempt),
      ]) {
        await shard.commit({ results: [report] });
      }
    }
    expect(await shard.picture()).toEqual(before);
  });

  test("a run is queued until its first attempt began, then running until all has ended", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", { a: [], b: ["a"] });
    const { run, task } = await shard.startRun(workflow);
    expect(await shard.run(run)).toMatchObject({ state: "queued", started_at: null });
    await shard.commit({ started: [begun(task("a"), 1, 1_000)] });
    expect(await shard.run(run)).toMatchObject({ state: "running", started_at: new Date(1_000) });
    await shard.commit({ results: [completed(task("a"))] });
    expect(await shard.run(run)).toMatchObject({
      state: "running",
      remaining: 1,
      finished_at: null,
    });
    const { finished } = await shard.commit({ results: [completed(task("b"))] });
    expect(finished).toEqual([{ run, state: "completed" }]);
    const ended = await shard.run(run);
    expect(ended).toMatchObject({ state: "completed", remaining: 0, started_at: new Date(1_000) });
    expect(ended.finished_at).toBeInstanceOf(Date);
  });

  test("a result makes a queued run running, without a start record", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", { a: [], b: ["a"] });
    const { run, task } = await shard.startRun(workflow);
    await shard.commit({ results: [{ ...completed(task("a")), b: 5_000, f: 6_000 }] });
    expect(await shard.run(run)).toMatchObject({ state: "running", started_at: new Date(5_000) });
    const times = { started_at: new Date(5_000), finished_at: new Date(6_000), worker: "worker" };
    expect(await shard.task(task("a"))).toMatchObject(times);
  });

  test("the database knows exactly the states and outcomes of the protocol", async () => {
    const enums = await pool.query(
      `select typname as name, array_agg(enumlabel::text order by enumsortorder) as labels
         from pg_enum join pg_type t on t.oid = enumtypid
         where t.typnamespace = 'v1'::regnamespace group by typname order by typname`,
    );
    expect(enums.rows).toEqual([
      { name: "attempt_outcome", labels: [...ATTEMPT_OUTCOMES] },
      { name: "catch_up", labels: [...CATCH_UPS] },
      { name: "match_kind", labels: [...MATCH_KINDS] },
      { name: "overlap", labels: [...OVERLAPS] },
      { name: "pause_mode", labels: [...PAUSE_MODES] },
      { name: "run_state", labels: [...RUN_STATES] },
      { name: "step_kind", labels: [...STEP_KINDS] },
      { name: "task_state", labels: [...TASK_STATES] },
      { name: "timer_kind", labels: [...TIMER_KINDS] },
      { name: "workflow_change_kind", labels: [...WORKFLOW_CHANGE_KINDS] },
    ]);
    expect(RUN_STATES.filter(isFinishedRun)).toEqual([...FINISHED_RUN_STATES]);
  });
});

function happen(
  shard: TestShard,
  { run, task }: StartedRun,
  event: TaskEvent,
): Promise<CommitReply> {
  const [parent, child] = [task("parent"), task("child")];
  switch (event) {
    case "parents_completed":
      return shard.commit({ results: [completed(parent)] });
    case "skipped":
      return shard.commit({ results: [skipped(child)] });
    case "wait_began":
      return shard.commit({ waits: [waiting(child)] });
    case "wait_ended":
      return endWait(shard, child);
    case "parent_failed":
      return shard.commit({ results: [failed(parent)] });
    case "started":
      return shard.commit({ started: [begun(child)] });
    case "completed":
      return shard.commit({ results: [completed(child)] });
    case "failed":
      return shard.commit({ results: [failed(child)] });
    case "retried":
      return shard.commit({ results: [retried(child, Date.now() + 60_000)] });
    case "due":
      return shard.commit({ wakes: [woken(child)] });
    case "lost":
      return shard.commit({ results: [lost(child)] });
    case "put_back":
      return shard.commit({ results: [putBack(child)] });
    case "abandoned":
      return shard.commit({ results: [abandoned(child)] });
    case "expired":
      return shard.commit({ results: [expired(child)] });
    case "cancelled":
      return shard.commit({ cancels: [cancelled(run)] });
  }
}

/** Its sleep is over, whether or not the task is in a state to have one. */
async function endWait(shard: TestShard, task: string): Promise<CommitReply> {
  await shard.rows("insert into v1.task_wait (task_id, began_at) values ($1, now())", [task]);
  return await shard.commit({ at: Date.now() + 61_000, elapses: [waiting(task)] });
}
