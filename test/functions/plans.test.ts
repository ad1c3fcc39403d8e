/**
 * What a commit reads: as little when the tables are full as when they were empty, on a connection
 * that planned its statements then. Counted in rows, so that it says the same on any machine.
 */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pauseWorkflow, resumeWorkflow } from "../../database/workflow-changes.ts";
import type { CommitRequest, EventRow, StartRow } from "../../database/rows.ts";
import { migrate } from "../../migrations/migrate.ts";
import { freshDatabase } from "./fresh-database.ts";
import {
  begun,
  cancelled,
  child,
  completed,
  failed,
  lost,
  outOfTime,
  parked,
  putBack,
  released,
  retried,
  spawned,
  woken,
} from "./rows.ts";
import { rowsReadBy } from "./rows-read.ts";
import { idsOf, postgres, queryOf, type Registered, taskOf, TestShard, takes } from "./support.ts";

const MANY = 1_500; // runs, and as many queued tasks, timers, held runs and runs that wait for events
const MOST_ROWS = 150; // that a commit of one transition may read
const NOW = 1_800_000_000_000;

describe.runIf(postgres)("a commit of one transition, among many runs, reads few rows", () => {
  let client: pg.Client;
  let shard: TestShard;
  let main: Registered;
  let stoppable: Registered;

  beforeAll(async () => {
    if (postgres === undefined) return;
    const databaseUrl = await freshDatabase(postgres);
    await migrate({ databaseUrl });
    client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    shard = await TestShard.create(client);
    main = await shard.register(
      "main",
      { a: { compensate: {}, scheduleTimeoutMs: 1_000 }, b: ["a"] },
      { timeoutMs: 60_000, onFailure: {} },
    );
    stoppable = await shard.register(
      "stoppable",
      { a: [] },
      { cancelOn: [{ event: "stop", if: "event.payload.id == input.id" }, { event: "stop-all" }] },
    );
    // Every statement is planned now, while there is nothing.
    for (const { prepare, parts } of KINDS) {
      await shard.commit({ at: NOW, ...(await parts(await prepare())) });
    }
    await fill();
  });
  afterAll(() => client?.end());

  async function fill(): Promise<void> {
    const starts = (parts: Partial<StartRow>): StartRow[] =>
      Array.from({ length: MANY }, () => shard.start(main, parts));
    await shard.commit({ at: NOW + 60_000, starts: starts({ s: [[0, 0]] }) });
    await shard.commit({ at: NOW, starts: starts({ h: true }) });
    await shard.commit({
      at: NOW,
      starts: Array.from({ length: MANY }, (_, id) => shard.start(stoppable, { i: { id } })),
    });
    const begin = starts({});
    await shard.commit({ at: NOW, starts: begin });
    const tasks = begin.map(({ id }) => taskOf(main, id, "a"));
    await shard.commit({ at: NOW, results: tasks.map((task) => retried(task, NOW + 90_000)) });
    const parent = await run();
    const children = Array.from({ length: MANY }, (_, number) => child(`${number}`, "main"));
    await shard.commit({ at: NOW, spawns: [spawned(parent.a, children)] });
  }

  /** A run that has just started, and the ids of its tasks. */
  async function run(parts: Partial<StartRow> = {}): Promise<Prepared> {
    const start = shard.start(main, parts);
    await shard.commit({ at: NOW, starts: [start] });
    return { id: start.id, a: taskOf(main, start.id, "a"), b: taskOf(main, start.id, "b") };
  }

  /** A run that an event may cancel. */
  async function stoppableRun(): Promise<Prepared> {
    const start = shard.start(stoppable, { i: { id: "one" } });
    await shard.commit({ at: NOW, starts: [start] });
    return { id: start.id, a: taskOf(stoppable, start.id, "a"), b: "" };
  }

  /** An event that has found runs which wait for it; it is what `id` is. */
  async function stop(key: string): Promise<Prepared> {
    await stoppableRun();
    const event = stopEvent(key);
    await shard.commit({ at: NOW, events: [event] });
    return { id: event.id, a: "", b: "" };
  }

  function stopEvent(key: string): EventRow {
    const c = [{ p: key === "stop" ? ["payload", "id"] : [] }];
    return shard.event(key, { p: { id: "one" }, c });
  }

  async function halfway(): Promise<Prepared> {
    const prepared = await run();
    await shard.commit({ at: NOW, results: [completed(prepared.a)] });
    return prepared;
  }

  interface Prepared {
    id: string;
    a: string;
    b: string;
  }
  interface CommitKind {
    name: string;
    prepare(): Promise<Prepared>;
    parts(run: Prepared): Partial<CommitRequest> | Promise<Partial<CommitRequest>>;
  }

  const KINDS: CommitKind[] = [
    { name: "a start", prepare: run, parts: () => ({ starts: [shard.start(main)] }) },
    {
      name: "a start to hold",
      prepare: run,
      parts: () => ({ starts: [shard.start(main, { h: true })] }),
    },
    { name: "a result", prepare: run, parts: ({ a }) => ({ results: [completed(a)] }) },
    {
      name: "a failure that unwinds",
      prepare: halfway,
      parts: ({ b }) => ({ results: [failed(b)] }),
    },
    { name: "a retry", prepare: run, parts: ({ a }) => ({ results: [retried(a, NOW + 5)] }) },
    { name: "a loss", prepare: run, parts: ({ a }) => ({ results: [lost(a)] }) },
    { name: "a late result", prepare: halfway, parts: ({ a }) => ({ results: [completed(a)] }) },
    { name: "a start record", prepare: run, parts: ({ a }) => ({ started: [begun(a)] }) },
    {
      name: "a wake",
      prepare: async () => {
        const prepared = await run();
        await shard.commit({ at: NOW, results: [retried(prepared.a, NOW + 5)] });
        return prepared;
      },
      parts: ({ a }) => ({ wakes: [woken(a)] }),
    },
    {
      name: "a release",
      prepare: () => run({ h: true }),
      parts: ({ id }) => ({ releases: [released(id)] }),
    },
    {
      name: "a child",
      prepare: run,
      parts: ({ a }) => ({ spawns: [spawned(a, [child("one", "main")])] }),
    },
    { name: "a cancellation", prepare: run, parts: ({ id }) => ({ cancels: [cancelled(id)] }) },
    {
      name: "a cancellation of what is queued",
      prepare: () => run({ s: [[0, 0]] }),
      parts: ({ id }) => ({ cancels: [cancelled(id)] }),
    },
    { name: "a timeout", prepare: halfway, parts: ({ id }) => ({ cancels: [outOfTime(id)] }) },
    {
      name: "a replay",
      prepare: async () => {
        const prepared = await halfway();
        await shard.commit({ at: NOW, cancels: [cancelled(prepared.id)] });
        return prepared;
      },
      parts: ({ id }) => ({ starts: [shard.start(main, { ro: id, ru: [0], n: 1 })] }),
    },
    {
      name: "a refill",
      prepare: () => run({ s: [[0, 0]] }),
      parts: () => ({ take: takes({ "main:a": 1 }) }),
    },
    {
      name: "a refill from a lane beside that of many",
      prepare: () => run({ s: [[0, 7]] }),
      parts: () => ({ take: takes({ "main:a": 5 }, 7) }),
    },
    {
      name: "a park",
      prepare: async () => {
        // It looks through the open handouts, of which a shard keeps MAX_OPEN_HANDOUTS.
        await shard.commit({ settled: Array.from({ length: shard.lastSeq }, (_, seq) => seq + 1) });
        return await run();
      },
      parts: ({ a }) => ({ parks: [parked(a, 8)] }),
    },
    {
      name: "an attempt that is put back",
      prepare: run,
      parts: ({ a }) => ({ results: [putBack(a)] }),
    },
    {
      name: "an expiry",
      prepare: () => run({ s: [[0, 0]] }),
      parts: () => ({ at: NOW + 2_000, expired: 1 }),
    },
    {
      name: "a start of what an event may cancel",
      prepare: run,
      parts: () => ({ starts: [shard.start(stoppable, { i: { id: "two" } })] }),
    },
    {
      name: "the end of what an event might have cancelled",
      prepare: stoppableRun,
      parts: ({ a }) => ({ results: [completed(a)] }),
    },
    {
      name: "a cancellation of what an event may cancel",
      prepare: stoppableRun,
      parts: ({ id }) => ({ cancels: [cancelled(id)] }),
    },
    {
      name: "an event that a run waits for",
      prepare: stoppableRun,
      parts: () => ({ events: [stopEvent("stop")] }),
    },
    {
      name: "an event that all runs wait for",
      prepare: stoppableRun,
      parts: () => ({ events: [stopEvent("stop-all")] }),
    },
    {
      name: "a look at who waits for an event",
      prepare: () => stop("stop"),
      parts: ({ id: e }) => ({ matches: [{ e, l: 10, b: 1_000_000 }] }),
    },
    {
      name: "a look at some of many that wait for an event",
      prepare: () => stop("stop-all"),
      parts: ({ id: e }) => ({ matches: [{ e, l: 10, b: 1_000_000 }] }),
    },
    {
      name: "the end of an event",
      prepare: () => stop("stop"),
      parts: ({ id: e }) => ({ matched: [{ e }] }),
    },
    {
      name: "a look ahead",
      prepare: run,
      parts: () => ({ agenda: 5, lanes: { n: 9 }, limits: 0 }),
    },
  ];

  test.each(KINDS)("$name", async ({ prepare, parts }) => {
    const request = shard.request({ at: NOW, ...(await parts(await prepare())) });
    const read = await rowsReadBy(client, () => shard.send(request));
    const sum = Object.values(read).reduce((total, count) => total + count, 0);
    expect(sum).toBeGreaterThan(0);
    expect({ read, isFew: sum <= MOST_ROWS }).toEqual({ read, isFew: true });
  });

  test("and a refill does so when the database knows that almost all is in one lane", async () => {
    await client.query(
      `insert into v1.queue_item (tenant_id, shard, action, task_id)
         select $1, 0, 'main:a', lpad(to_hex(n), 32, '0')::uuid from generate_series(1, 100000) n`,
      [shard.tenant],
    );
    await client.query("analyze v1.queue_item");
    await shard.commit({ at: NOW, take: takes({ "main:a": 1 }, 7) });
    const { a } = await run({ s: [[0, 7]] });
    const request = shard.request({ at: NOW, take: takes({ "main:a": 5 }, 7) });
    const read = await rowsReadBy(client, async () => {
      expect(idsOf((await shard.send(request)).ready)).toEqual([a]);
    });
    expect(read["queue_item"]).toBeLessThan(10);
  });

  test("and a commit that knows the stored limits reads one row more than one that does not", async () => {
    const total = async (parts: Partial<CommitRequest>): Promise<number> => {
      const request = shard.request({ at: NOW, starts: [shard.start(main)], ...parts });
      const read = await rowsReadBy(client, () => shard.send(request));
      return Object.values(read).reduce((sum, count) => sum + count, 0);
    };
    await total({ limits: 0 });
    const without = await total({});
    expect(await total({ limits: 0 })).toBeLessThanOrEqual(without + 1);
  });

  test("and resuming a workflow reads the runs that it holds, not those that it had", async () => {
    await pauseWorkflow(queryOf(client), shard.change("main"), "hold");
    const read = await rowsReadBy(client, () =>
      resumeWorkflow(queryOf(client), shard.change("main")),
    );
    const runs = Object.entries(read).filter(([name]) => name.startsWith("workflow_run"));
    const sum = runs.reduce((total, [, count]) => total + count, 0);
    expect(sum).toBeGreaterThanOrEqual(2 * MANY);
    expect(sum).toBeLessThan(3 * MANY);
  });
});
