/**
 * What is written down while attempts run: who has a long one, and what handlers logged. Neither
 * ever changes what has ended.
 */
import { describe, expect, inject, test } from "vitest";
import type { LogLine } from "../../protocol/session.ts";
import { begun, completed, lost } from "./rows.ts";
import { openPool, TestShard } from "./support.ts";

describe.each(inject("databases"))("records of attempts on $name", (database) => {
  const pool = openPool(database);

  test("a long attempt is written down with its worker, and its run is running", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("one", { a: [] }));
    await shard.commit({ started: [begun(task("a"), 1, 3_000)] });
    const running = { state: "running", worker: "worker", started_at: new Date(3_000), attempt: 0 };
    expect(await shard.task(task("a"))).toMatchObject(running);
    expect(await shard.run(run)).toMatchObject({ state: "running", started_at: new Date(3_000) });
    const { finished } = await shard.commit({ results: [completed(task("a"))] });
    expect(finished).toEqual([{ run, state: "completed" }]);
  });

  test("a run began when the first of its attempts did", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(await shard.register("two", { a: [], b: [] }));
    await shard.commit({ started: [begun(task("a"), 1, 5_000), begun(task("b"), 1, 4_000)] });
    await shard.commit({ results: [{ ...completed(task("a")), b: 9_000 }] });
    expect(await shard.run(run)).toMatchObject({ started_at: new Date(4_000) });
  });

  test("a start record never overwrites an attempt that has ended, even in the same batch", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("three", { a: [], b: [], c: [] }));
    await shard.commit({ results: [completed(task("a"))] });
    await shard.commit({
      started: [begun(task("a"), 1, 1), begun(task("b"), 1, 1)],
      results: [{ ...completed(task("b")), b: 7_000 }],
    });
    await shard.commit({ results: [lost(task("c"))] });
    await shard.commit({ started: [begun(task("c"), 1, 1)] });
    expect(await shard.task(task("a"))).toMatchObject({ state: "completed" });
    expect(await shard.task(task("b"))).toMatchObject({
      state: "completed",
      started_at: new Date(7_000),
    });
    expect(await shard.task(task("c"))).toMatchObject({
      state: "queued",
      worker: null,
      attempt: 1,
    });
  });

  test("a start record of the next attempt counts after a loss", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("one", { a: [] }));
    await shard.commit({ results: [lost(task("a"))] });
    await shard.commit({ started: [begun(task("a"), 2)] });
    expect(await shard.task(task("a"))).toMatchObject({ state: "running", attempt: 1 });
  });

  test("lines that were logged are kept in order, and once, however often they are sent", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("one", { a: [] }));
    const [t, a] = [task("a"), 1];
    const lines = ["one", "two", "three", "four"].map((message, at): LogLine => ({
      level: "info",
      message,
      fields: { at },
      at: 1_000 + at,
    }));
    await shard.commit({ logs: [{ t, a, n: 0, l: lines.slice(0, 2) }] });
    await shard.commit({
      logs: [
        { t, a, n: 1, l: lines.slice(1) },
        { t, a: 2, n: 0, l: lines.slice(3) },
      ],
    });
    const text = `select attempt, number, message, fields, logged_at from v1.log_line
                    where task_id = $1 order by attempt, number`;
    const kept = lines.map(({ message, fields }, number) => {
      return { attempt: 1, number, message, fields, logged_at: new Date(1_000 + number) };
    });
    const retried = { ...kept[3], attempt: 2, number: 0 };
    expect(await shard.rows(text, [t])).toEqual([...kept, retried]);
  });

  test("a line of a run that has finished is not kept", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", { a: [], b: [] });
    const [ended, open] = [await shard.startRun(workflow), await shard.startRun(workflow)];
    const results = ["a", "b"].map((step) => completed(ended.task(step)));
    await shard.commit({ results: [...results, completed(open.task("a"))] });
    const line: LogLine = { level: "info", message: "too late", at: 1_000 };
    const logs = [ended, open].map(({ task }) => ({ t: task("a"), a: 1, n: 0, l: [line] }));
    await shard.commit({ logs });
    const kept = await shard.rows("select task_id from v1.log_line where task_id = any ($1)", [
      [ended.task("a"), open.task("a")],
    ]);
    expect(kept).toEqual([{ task_id: open.task("a") }]);
  });

  test("a line of the batch that ends its attempt is kept", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("one", { a: [] }));
    const line: LogLine = { level: "error", message: "last words", at: 1_000 };
    const logs = [{ t: task("a"), a: 1, n: 0, l: [line] }];
    await shard.commit({ logs, results: [completed(task("a"))] });
    const kept = await shard.rows("select level, fields from v1.log_line where task_id = $1", [
      task("a"),
    ]);
    expect(kept).toEqual([{ level: "error", fields: null }]);
  });
});
