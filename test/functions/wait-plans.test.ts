/**
 * What commits about waits read among a hundred thousand tasks that wait, on a connection that planned its
 * statements when there were none. Counted in rows, so that it says the same on any machine.
 */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommitRequest, EventRow } from "../../database/rows.ts";
import { migrate } from "../../migrations/migrate.ts";
import { freshDatabase } from "./fresh-database.ts";
import { cancelled, completed, met, skipped, waiting } from "./rows.ts";
import { rowsReadBy } from "./rows-read.ts";
import { postgres, type Registered, TestShard } from "./support.ts";

const MANY = 100_000; // tasks that wait, each for an event of one key and a moment
const OLD = 5_000; // events of that key
const MOST_ROWS = 150; // that a commit of one transition may read
const NOW = 1_800_000_000_000;
const MINUTE = 60_000;

describe.runIf(postgres)("among a hundred thousand tasks that wait", () => {
  let client: pg.Client;
  let shard: TestShard;
  let workflow: Registered;
  let made = 0;

  beforeAll(async () => {
    if (postgres === undefined) return;
    const databaseUrl = await freshDatabase(postgres);
    await migrate({ databaseUrl });
    client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    shard = await TestShard.create(client);
    const paid = { event: "paid", if: "event.payload.id == input.id", withinMs: MINUTE };
    const waitFor = { any: [paid, { sleepMs: 60 * MINUTE }], timeoutMs: 90 * MINUTE };
    workflow = await shard.register("order", { a: { runIf: "true", waitFor }, b: ["a"] });
    // Every statement is planned now, while there is nothing.
    for (const { prepare, parts } of KINDS) {
      await shard.commit({ at: NOW, ...(await parts(await prepare())) });
    }
    await fill();
  }, 120_000);
  afterAll(() => client?.end());

  /** Copies one run that waits, and one event, as often as it takes. */
  async function fill(): Promise<void> {
    const { run, task, event } = await waitingTask();
    const copy = (id: string): string =>
      `(left(${id}::text, 24) || lpad(to_hex(n), 8, '0') || right(${id}::text, 4))::uuid`;
    const each = `cross join generate_series(1, ${MANY}) n where`;
    const texts: [string, string][] = [
      [
        `insert into v1.workflow_run (id, tenant_id, workflow_id, version_id, state, shard, remaining, input, metadata, has_matches)
           select ${copy("id")}, tenant_id, workflow_id, version_id, state, shard, remaining, jsonb_build_object('id', n), '{}', true
             from v1.workflow_run ${each} id = $1`,
        run,
      ],
      [
        `insert into v1.task (id, state, step, pending, children)
           select ${copy("id")}, state, step, pending, children from v1.task ${each} id = $1`,
        task,
      ],
      [
        `insert into v1.task_wait (task_id, began_at, times_out_at)
           select ${copy("task_id")}, began_at, times_out_at from v1.task_wait ${each} task_id = $1`,
        task,
      ],
      [
        `insert into v1.match (tenant_id, shard, event_key, equality, run_id, number, kind, condition, since)
           select tenant_id, shard, event_key, v1.equality_hash(array['payload', 'id'], to_jsonb(n)), ${copy("run_id")},
                  number, kind, condition, since from v1.match ${each} run_id = $1`,
        run,
      ],
      [
        `insert into v1.timer (tenant_id, shard, id, kind, due_at)
           select tenant_id, shard, ${copy("id")}, kind, due_at from v1.timer ${each} id = $1`,
        task,
      ],
    ];
    for (const [text, id] of texts) await client.query(text, [id]);
    await client.query(
      `insert into v1.event (id, tenant_id, key, payload, metadata, runs)
         select ${copy("id")}, tenant_id, key, jsonb_build_object('id', -n), '{}', '{}'
           from v1.event cross join generate_series(1, ${OLD}) n where id = $1`,
      [event],
    );
  }

  interface Prepared {
    run: string;
    task: string;
    event: string;
  }

  async function readyTask(): Promise<Prepared> {
    const { run, task } = await shard.startRun(workflow, { i: { id: `own-${++made}` } });
    return { run, task: task("a"), event: "" };
  }

  /** With an event that it waits for. */
  async function waitingTask(): Promise<Prepared> {
    const prepared = await readyTask();
    await shard.commit({ at: NOW, waits: [waiting(prepared.task)] });
    const event = paid(`own-${made}`);
    await shard.commit({ at: NOW, events: [event] });
    return { ...prepared, event: event.id };
  }

  function paid(id: string): EventRow {
    return shard.event("paid", { p: { id }, c: [{ p: ["payload", "id"] }], l: true });
  }

  interface CommitKind {
    name: string;
    prepare(): Promise<Prepared>;
    parts(of: Prepared): Partial<CommitRequest> | Promise<Partial<CommitRequest>>;
  }

  const KINDS: CommitKind[] = [
    {
      name: "a wait begins",
      prepare: readyTask,
      parts: ({ task }) => ({ waits: [waiting(task)] }),
    },
    {
      name: "a task is skipped",
      prepare: readyTask,
      parts: ({ task }) => ({ results: [skipped(task)] }),
    },
    {
      name: "an event is stored",
      prepare: waitingTask,
      parts: () => ({ events: [paid(`own-${made}`)] }),
    },
    {
      name: "an event finds its waits",
      prepare: waitingTask,
      parts: ({ event: e }) => ({ matches: [{ e, l: 50, b: 1_000_000 }] }),
    },
    {
      name: "an event meets a condition",
      prepare: waitingTask,
      parts: ({ task, event }) => ({ meets: [met(task, event)] }),
    },
    {
      name: "a moment comes that is not the last",
      prepare: waitingTask,
      parts: ({ task }) => ({ elapses: [waiting(task)] }),
    },
    {
      name: "a sleep is over",
      prepare: waitingTask,
      parts: ({ task }) => ({ at: NOW + 60 * MINUTE, elapses: [waiting(task)] }),
    },
    {
      name: "a wait looks back at some of many events",
      prepare: waitingTask,
      parts: ({ task: t, run: r }) => ({ looks: [{ t, r, n: 0, l: 20, b: 1_000_000 }] }),
    },
    {
      name: "a wait is settled",
      prepare: waitingTask,
      parts: ({ task }) => ({ settles: [waiting(task)] }),
    },
    {
      name: "a wait has looked back",
      prepare: waitingTask,
      parts: ({ task }) => ({ looked: [{ t: task }] }),
    },
    {
      name: "a run is cancelled that waits",
      prepare: waitingTask,
      parts: ({ run }) => ({ cancels: [cancelled(run)] }),
    },
    {
      name: "a task has run that has waited",
      prepare: async () => {
        const prepared = await waitingTask();
        await shard.commit({ at: NOW, meets: [met(prepared.task, prepared.event)] });
        return prepared;
      },
      parts: ({ task }) => ({ results: [completed(task)] }),
    },
  ];

  test.each(KINDS)("$name", async ({ prepare, parts }) => {
    const request = shard.request({ at: NOW, ...(await parts(await prepare())) });
    const read = await rowsReadBy(client, () => shard.send(request));
    const sum = Object.values(read).reduce((total, count) => total + count, 0);
    expect(sum).toBeGreaterThan(0);
    expect({ read, isFew: sum <= MOST_ROWS }).toEqual({ read, isFew: true });
  });

  test("and a thousand of them are met in one commit, by as many rows each", async () => {
    const tasks = await client.query<{ task_id: string }>(
      "select w.task_id from v1.task_wait w join v1.task t on t.id = w.task_id and t.state = 'waiting' limit 1000",
    );
    const event = paid("none");
    await shard.commit({ at: NOW, events: [event] });
    const meets = tasks.rows.map(({ task_id: task }) => met(task, event.id));
    const request = shard.request({ at: NOW, meets });
    const read = await rowsReadBy(client, async () => {
      expect((await shard.send(request)).ready).toHaveLength(1_000);
    });
    const sum = Object.values(read).reduce((total, count) => total + count, 0);
    expect({ read, isFew: sum <= 60 * 1_000 }).toEqual({ read, isFew: true });
  });
});
