/** What a full commit of each new kind costs: measured, and bounded far below a commit's patience. */
import { describe, expect, test } from "vitest";
import {
  cancelled,
  child,
  completed,
  failed,
  outOfTime,
  parked,
  retried,
  spawned,
  woken,
} from "./rows.ts";
import { openPool, postgres, type Steps, taskOf, TestShard } from "./support.ts";

/** Half of what a shard waits for a commit before it is sent again. */
const MOST_MS = 5_000;

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

describe.runIf(postgres)("a commit of a thousand", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });

  async function start(steps: Steps, count: number, rest = {}) {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("w", steps, rest);
    const starts = Array.from({ length: count }, () => shard.start(workflow));
    await shard.commit({ starts });
    const ids = starts.map(({ id }) => id);
    return {
      shard,
      ids,
      task: (run: string, step: number) =>
        run.slice(0, 32) + (step + 1).toString(16).padStart(4, "0"),
    };
  }

  test.each([1, 5, 10])("cancels runs of %i steps", async (steps) => {
    const names = Object.fromEntries(Array.from({ length: steps }, (_, n) => [`s${n}`, []]));
    const { shard, ids, task } = await start(names, 1_000);
    const cancels = ids.map((run) =>
      cancelled(
        run,
        Array.from({ length: steps }, (_, n) => ({ t: task(run, n), a: 1, w: "w", b: 1 })),
      ),
    );
    expect(await timed(() => shard.commit({ cancels }))).toBeLessThan(MOST_MS);
  });

  test("unwinds runs of 10 compensated steps", async () => {
    const names = Object.fromEntries(
      Array.from({ length: 10 }, (_, n) => [`s${n}`, { compensate: {} }]),
    );
    const { shard, ids, task } = await start(names, 1_000);
    for (let n = 0; n < 9; n++)
      await timed(() => shard.commit({ results: ids.map((run) => completed(task(run, n))) }));
    const results = ids.map((run) => failed(task(run, 9)));
    expect(await timed(() => shard.commit({ results }))).toBeLessThan(MOST_MS);
  });

  test("retries and wakes", async () => {
    const { shard, ids, task } = await start({ s: [] }, 1_000);
    const due = Date.now() + 60_000;
    expect(
      await timed(() => shard.commit({ results: ids.map((run) => retried(task(run, 0), due)) })),
    ).toBeLessThan(MOST_MS);
    expect(
      await timed(() => shard.commit({ wakes: ids.map((run) => woken(task(run, 0))) })),
    ).toBeLessThan(MOST_MS);
  });

  test("parks, out of 64 handouts, and takes back from as many lanes", async () => {
    const shard = await TestShard.create(pool);
    const workflow = await shard.register("w", { s: [] });
    const tasks: string[] = [];
    for (let handout = 0; handout < 64; handout++) {
      const starts = Array.from({ length: 150 }, () => shard.start(workflow));
      await shard.commit({ starts });
      tasks.push(...starts.map(({ id }) => taskOf(workflow, id, "s")));
    }
    const some = tasks.filter((_, at) => at % 9 === 0).slice(0, 1_000);
    const parks = some.map((task, at) => parked(task, at + 1));
    const settled = [...Array(shard.lastSeq).keys()].map((seq) => seq + 1);
    expect(await timed(() => shard.commit({ parks }))).toBeLessThan(MOST_MS);
    expect(await shard.queued()).toEqual(some.toSorted());
    const take = some.map((_, at) => ({ action: "w:s", lane: at + 1, n: 1 }));
    expect(await timed(() => shard.commit({ take, settled }))).toBeLessThan(MOST_MS);
    expect(await shard.queued()).toEqual([]);
  });

  test("spawns", async () => {
    const { shard, ids, task } = await start({ s: [] }, 1_000);
    await shard.register("c", { s: [] });
    const one = {
      spawns: [
        spawned(
          task(ids[0] ?? "", 0),
          Array.from({ length: 1_000 }, (_, n) => child(`k${n}`, "c")),
        ),
      ],
    };
    expect(await timed(() => shard.commit(one))).toBeLessThan(MOST_MS);
    const many = { spawns: ids.map((run) => spawned(task(run, 0), [child("k", "c")])) };
    expect(await timed(() => shard.commit(many))).toBeLessThan(MOST_MS);
  });

  test("run timeouts", async () => {
    const { shard, ids } = await start({ s: [], t: [], u: [] }, 1_000, { timeoutMs: 1_000 });
    expect(
      await timed(() =>
        shard.commit({ at: Date.now() + 2_000, cancels: ids.map((run) => outOfTime(run)) }),
      ),
    ).toBeLessThan(MOST_MS);
  });
});
