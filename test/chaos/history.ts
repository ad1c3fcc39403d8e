/**
 * Reads what Postgres remembers of one kind's runs, and what it should have forgotten by now. It
 * asks the tables themselves, past all code that is under test.
 */
import pg from "pg";
import type { AttemptOutcome, RunState, TaskState } from "../../protocol/states.ts";

export interface TaskRow {
  step: string;
  state: TaskState;
  /** Attempts that have ended; the last of them is this row's own. */
  attempt: number;
  output: unknown;
  /** The attempts before the last. */
  before: { attempt: number; outcome: AttemptOutcome; worker: string | null }[];
}

export interface RunRow {
  id: string;
  state: RunState;
  tasks: TaskRow[];
}

/** What a shard that has nothing to do leaves behind: nothing. */
export interface Leftovers {
  queued: number;
  handouts: number;
}

const RUNS = `
  select r.id::text, r.state::text, json_agg(json_build_object(
           'step', d.name, 'state', t.state, 'attempt', t.attempt, 'output', o.output, 'before', coalesce(
             (select json_agg(json_build_object('attempt', a.attempt, 'outcome', a.outcome, 'worker', a.worker)
                                order by a.attempt)
                from v1.task_attempt a where a.task_id = t.id), '[]')) order by t.step) as tasks
    from v1.workflow_run r
    join v1.task t on v1.run_id(t.id) = r.id
    join v1.dag d on d.version_id = r.version_id and d.step = t.step
    left join v1.task_output o on o.task_id = t.id
    where r.tenant_id = $1 and r.metadata @> jsonb_build_object('chaos', $2::text)
    group by r.id, r.state`;

const LEFTOVERS = `
  select (select count(*)::integer from v1.queue_item where tenant_id = $1) as queued,
         (select count(*)::integer from v1.handout where tenant_id = $1) as handouts`;

const EVENTS = `
  select e.metadata->>'name' as name, array_agg(distinct e.id::text) as ids, count(r.id)::integer as runs,
         max(cardinality(e.runs)) as told
    from v1.event e left join v1.workflow_run r on r.event_id = e.id
    where e.tenant_id = $1 and e.key = $2 group by 1`;

const MESSAGES = `
  select ((select count(*) from v1.message where tenant_id = $1)
          + (select count(*) from pgmq.q_events where message->>'tenant' = $1::text))::integer as left`;

/** A shard deletes its last rows when it closes its connection, which nothing outside can see. */
const LOOK_EVERY_MS = 100;
/** It does so five seconds after its last commit, and may need one more for that. */
const QUIET_LIMIT_MS = 20_000;

export class History {
  readonly #client: pg.Client;
  readonly #tenant: string;

  private constructor(client: pg.Client, tenant: string) {
    this.#client = client;
    this.#tenant = tenant;
  }

  /** Over a connection of its own, which must not be open while the database is killed. */
  static async read<Answer>(
    databaseUrl: string,
    tenant: string,
    ask: (history: History) => Promise<Answer>,
  ): Promise<Answer> {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      return await ask(new History(client, tenant));
    } finally {
      await client.end();
    }
  }

  /** Every run of a kind, whoever has started it. */
  async runs(kind: string): Promise<RunRow[]> {
    const { rows } = await this.#client.query<RunRow>(RUNS, [this.#tenant, kind]);
    return rows;
  }

  /** Events of a key by the name in their metadata, with the runs that name them and that they name. */
  async events(
    key: string,
  ): Promise<{ name: string | null; ids: string[]; runs: number; told: number }[]> {
    const { rows } = await this.#client.query(EVENTS, [this.#tenant, key]);
    return rows;
  }

  /** Messages that have not been handled: rows, and ids that pgmq has of them. */
  async messages(): Promise<number> {
    const { rows } = await this.#client.query<{ left: number }>(MESSAGES, [this.#tenant]);
    return rows[0]?.left ?? 0;
  }

  async leftovers(): Promise<Leftovers> {
    const { rows } = await this.#client.query<Leftovers>(LEFTOVERS, [this.#tenant]);
    return rows[0] ?? { queued: 0, handouts: 0 };
  }

  /** What is left once nothing is, or once that has taken too long. */
  async leftoversWhenQuiet(): Promise<Leftovers> {
    const givesUpAt = Date.now() + QUIET_LIMIT_MS;
    for (;;) {
      const left = await this.leftovers();
      if (left.queued + left.handouts === 0 || Date.now() > givesUpAt) return left;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }
}
