/**
 * What arrives twice, late or from nowhere. A repeat changes nothing and gets the same tasks; a
 * result that is not the task's next changes nothing and is told what it is.
 */
import { describe, expect, inject, test } from "vitest";
import { newRunId, taskId } from "../../protocol/ids.ts";
import { begun, completed, failed, lost } from "./rows.ts";
import { openPool, taskOf, TestShard, takes } from "./support.ts";

const CHAIN = { a: [], b: ["a"], c: ["b"] };

describe.each(inject("databases"))("a commit on $name", (database) => {
  const pool = openPool(database);

  test("that is repeated changes nothing and hands out the same tasks, as full as before", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("chain", CHAIN), { i: { n: 1 } });
    const request = shard.request({ results: [completed(task("a"), { n: 2 })], settled: [1] });
    const first = await shard.send(request);
    const before = await shard.picture();
    for (const _ of [1, 2]) {
      const again = await shard.send(request);
      expect(again.ready).toEqual(first.ready);
      expect(again).toMatchObject({ repeated: true, results: { [task("a")]: "recorded" } });
    }
    expect(await shard.picture()).toEqual(before);
  });

  test("that is repeated hands out what it carried, started, lost and took from the queue", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("chain", CHAIN);
    const held = await shard.startRun(workflow);
    const queued = await shard.startRun(workflow, { s: [[0, 0]] });
    const start = shard.start(workflow);
    const request = shard.request({
      starts: [start],
      results: [lost(held.task("a"))],
      settled: [1],
      take: takes({ "chain:a": 5 }),
    });
    const first = await shard.send(request);
    const before = await shard.picture();
    const again = await shard.send(request);
    expect(await shard.picture()).toEqual(before);
    expect(first.ready?.map(({ id }) => id)).toEqual([held.task("a"), queued.task("a")]);
    // The first answer leaves out first tasks, which the shard knows; the repeat has them all.
    const attempts = Object.fromEntries(
      (again.ready ?? []).map(({ id, attempt }) => [id, attempt]),
    );
    const started = taskOf(workflow, start.id, "a");
    expect(attempts).toEqual({ [held.task("a")]: 2, [queued.task("a")]: 1, [started]: 1 });
  });

  test("that lands once more when it is long over takes nothing from the queue", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("chain", CHAIN);
    const late = shard.request({ take: takes({ "chain:a": 5 }) });
    await shard.send(late);
    await shard.commit({ buried: [late.seq] });
    const { task } = await shard.startRun(workflow, { s: [[0, 0]] });
    const reply = await shard.send(late); // a sending that had been on its way since
    expect(reply).toMatchObject({ repeated: true, ready: [] });
    expect(await shard.queued()).toEqual([task("a")]);
  });

  test("that is repeated hands out no task that has ended since", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("chain", CHAIN));
    const request = shard.request({ results: [completed(task("a"))] });
    await shard.send(request);
    await shard.commit({ results: [completed(task("b"))] });
    expect((await shard.send(request)).ready).toEqual([]);
  });

  test("that is repeated answers a start as before, though the definitions have changed", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("one", { a: [] });
    const starts = [
      shard.start(workflow),
      shard.start(workflow, { s: [[0, 0]] }),
      shard.start(workflow, { k: "key" }),
    ];
    const events = [shard.event("user:new"), shard.event("user:new", { ik: "key" })];
    const requests = [
      shard.request({ starts, events }),
      shard.request({ starts: starts.slice(1, 2) }),
    ];
    for (const request of requests) await shard.send(request);
    await shard.register("other", { a: [] });
    for (const request of requests) {
      const { starts: refusedStarts, events: refusedEvents = {} } = await shard.send(request);
      expect({ refusedStarts, refusedEvents }).toEqual({ refusedStarts: {}, refusedEvents: {} });
    }
  });

  test("tells a start that another commit has made from one it makes itself", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("chain", CHAIN);
    const [first, second] = [shard.start(workflow), shard.start(workflow, { k: "key" })];
    expect(await shard.commit({ starts: [first] })).not.toHaveProperty("known");
    const taken = shard.start(workflow, { k: "key" });
    const reply = await shard.commit({ starts: [first, second, taken] });
    expect(reply).toMatchObject({ starts: { [taken.id]: second.id }, known: [first.id] });
    const again = await shard.commit({ starts: [first, second] });
    expect(again).toMatchObject({ starts: {}, known: [first.id, second.id], ready: [] });
  });

  test("tells a result that was recorded before, and one of an attempt written off", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("chain", CHAIN);
    const [one, two, three] = [
      await shard.startRun(workflow),
      await shard.startRun(workflow),
      await shard.startRun(workflow),
    ];
    const tasks = [one.task("a"), two.task("a"), three.task("a")] as const;
    await shard.commit({ results: [completed(tasks[0]), failed(tasks[1]), lost(tasks[2])] });
    const before = await shard.picture();
    const late = tasks.map((task) => completed(task, "late"));
    const { results } = await shard.commit({ results: late });
    expect(results).toEqual({
      [tasks[0]]: "recorded",
      [tasks[1]]: "recorded",
      [tasks[2]]: "stale",
    });
    expect(await shard.picture()).toEqual(before);
  });

  test("tells a result that came after its timeout that it is stale", async () => {
    const shard = await TestShard.create(pool);
    const { task } = await shard.startRun(await shard.register("chain", CHAIN));
    const e = {
      code: "execution_timeout",
      name: "ExecutionTimeout",
      message: "Too slow.",
    } as const;
    await shard.commit({ results: [{ ...failed(task("a")), s: "timed_out", e }] });
    const { results } = await shard.commit({ results: [completed(task("a"), "late")] });
    expect(results).toEqual({ [task("a")]: "stale" });
  });

  test("tells stale from gone, and applies the rest of its batch", async () => {
    const shard = await TestShard.create(pool);
    const { run, task } = await shard.startRun(
      await shard.register("chain", { ...CHAIN, x: [], y: [] }),
    );
    await shard.commit({ results: [lost(task("a"))] });
    const unknown = taskId(newRunId(), 0);
    const noStep = taskId(run, 40);
    const { results } = await shard.commit({
      results: [
        completed(task("a"), null, 1), // written off
        completed(task("x"), null, 2), // an attempt nobody was given
        completed(task("c")), // not ready yet
        completed(task("y")),
        completed(unknown),
        completed(noStep),
      ],
    });
    const [a, x, c] = [task("a"), task("x"), task("c")];
    expect(results).toEqual({
      [a]: "stale",
      [x]: "stale",
      [c]: "stale",
      [unknown]: "gone",
      [noStep]: "gone",
    });
    expect(await shard.states(run)).toEqual([
      "queued",
      "waiting",
      "waiting",
      "queued",
      "completed",
    ]);
  });

  test("ignores a result that names another run of its task", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("chain", CHAIN);
    const [one, two] = [await shard.startRun(workflow), await shard.startRun(workflow)];
    const before = await shard.picture();
    const started = [{ ...begun(one.task("a")), r: two.run }];
    await shard.commit({ started, results: [{ ...completed(one.task("a")), r: two.run }] });
    expect(await shard.picture()).toEqual(before);
  });

  test("classifies attempts it is only asked about, and changes nothing", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("pair", { a: [], b: [], c: [] });
    const { task } = await shard.startRun(workflow);
    await shard.commit({ results: [completed(task("a")), lost(task("b"))] });
    const before = await shard.picture();
    const nowhere = taskId(newRunId(), 0);
    const ids = [task("a"), task("b"), task("c"), nowhere];
    const { asked } = await shard.commit({ asked: ids.map((t) => ({ t, a: 1 })) });
    const classes = {
      [task("a")]: "recorded",
      [task("b")]: "stale",
      [task("c")]: "stale",
      [nowhere]: "gone",
    };
    expect(asked).toEqual(classes);
    expect(await shard.picture()).toEqual(before);
  });

  test("with a start that is sent again under another seq starts nothing twice", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("chain", CHAIN);
    const [start, other] = [shard.start(workflow), shard.start(workflow)];
    expect((await shard.commit({ starts: [start] })).known).toBeUndefined();
    const before = await shard.picture();
    expect(await shard.commit({ starts: [start] })).toMatchObject({
      starts: {},
      known: [start.id],
    });
    expect(await shard.picture()).toEqual(before);
    expect((await shard.commit({ starts: [other, start] })).known).toEqual([start.id]);
  });

  test("that Postgres refuses changes nothing at all", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("chain", CHAIN);
    const { task } = await shard.startRun(workflow);
    const before = await shard.picture();
    const poison = completed(task("a"), "a \u0000 in it");
    const request = shard.request({ starts: [shard.start(workflow)], results: [poison] });
    await expect(shard.send(request)).rejects.toMatchObject({ code: "22P05" });
    expect(await shard.picture()).toEqual(before);
  });
});
