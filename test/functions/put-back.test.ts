/**
 * Attempts that end without success or failure: a worker met a rate limit and put its task back, or
 * the shard failed a task that nobody has begun.
 */
import { describe, expect, inject, test } from "vitest";
import { expectSound } from "./invariants.ts";
import { begun, completed, error, putBack, unbegun, woken } from "./rows.ts";
import { openPool, type StartedRun, takes, TestShard } from "./support.ts";

describe.each(inject("databases"))("a task on $name", (database) => {
  const pool = openPool(database);

  async function begin(): Promise<StartedRun & { shard: TestShard }> {
    const shard = await TestShard.create(pool);
    return { shard, ...(await shard.startRun(await shard.register("one", { a: [] }))) };
  }

  test("that is put back is ready again at once, has spent no retry, and its attempt is history", async () => {
    const { shard, task } = await begin();
    await shard.commit({ started: [begun(task("a"))] });
    const { ready } = await shard.commit({ results: [putBack(task("a"))], settled: [1] });
    expect(ready).toMatchObject([{ id: task("a"), attempt: 2 }]);
    expect(await shard.task(task("a"))).toMatchObject({
      state: "queued",
      attempt: 1,
      failures: 0,
      rescues: 0,
      worker: null,
      error: null,
      started_at: null,
    });
    expect(await shard.history(task("a"))).toMatchObject([
      { attempt: 1, outcome: "put_back", worker: "worker", error: error("rate_limited") },
    ]);
    await expectSound(shard);
    const { finished } = await shard.commit({
      results: [completed(task("a"), 1, 2)],
      settled: [shard.lastSeq],
    });
    expect(finished).toMatchObject([{ state: "completed" }]);
  });

  test("that is put back for later sleeps until its timer is due", async () => {
    const { shard, task } = await begin();
    const due = Date.now() + 60_000;
    const reply = await shard.commit({ results: [putBack(task("a"), 1, due)], settled: [1] });
    expect(reply).toMatchObject({ ready: [], timers: [{ id: task("a"), k: "retry", d: due }] });
    expect(await shard.task(task("a"))).toMatchObject({ state: "backoff", failures: 0 });
    await expectSound(shard);
    const { ready } = await shard.commit({ wakes: [woken(task("a"))] });
    expect(ready).toMatchObject([{ id: task("a"), attempt: 2 }]);
    await expectSound(shard);
  });

  test("that was put back is told recorded when its worker says so again, and a later result stale", async () => {
    const { shard, task } = await begin();
    await shard.commit({ results: [putBack(task("a"))], settled: [1] });
    const before = await shard.picture();
    const again = await shard.commit({ results: [putBack(task("a"))] });
    expect(again.results).toEqual({ [task("a")]: "recorded" });
    const asked = await shard.commit({ asked: [{ t: task("a"), a: 1 }] });
    expect(asked.asked).toEqual({ [task("a")]: "recorded" });
    expect(await shard.picture()).toEqual(before);
  });

  test("whose key can't be evaluated fails while it is queued, without an attempt that failed", async () => {
    const { shard, run, task } = await begin();
    const results = [unbegun(task("a"), "invalid_key")];
    const { finished } = await shard.commit({ results, settled: [1] });
    expect(finished).toEqual([{ run, state: "failed" }]);
    expect(await shard.task(task("a"))).toMatchObject({
      state: "failed",
      failures: 0,
      started_at: null,
      error: { code: "invalid_key" },
    });
    const late = await shard.commit({ asked: [{ t: task("a"), a: 1 }] });
    expect(late.asked).toEqual({ [task("a")]: "stale" });
  });

  test("that has begun is not failed by what is only said of one that has not", async () => {
    const { shard, task } = await begin();
    await shard.commit({ started: [begun(task("a"))] });
    for (const code of ["invalid_key", "schedule_timeout"] as const) {
      const { results } = await shard.commit({ results: [unbegun(task("a"), code)] });
      expect(results).toEqual({ [task("a")]: "stale" });
    }
    expect(await shard.task(task("a"))).toMatchObject({ state: "running", attempt: 0 });
  });

  test("that is put back without room goes to the queue, unsorted", async () => {
    const { shard, task } = await begin();
    const room = { default: 0, actions: {}, bytes: 2 ** 40 };
    const { spilled } = await shard.commit({ results: [putBack(task("a"))], settled: [1], room });
    expect(spilled).toEqual(["one:a"]);
    const { ready } = await shard.commit({ take: takes({ "one:a": 1 }) });
    expect(ready).toMatchObject([{ id: task("a"), attempt: 2 }]);
    await expectSound(shard);
  });
});
