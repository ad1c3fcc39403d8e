/**
 * A tenant's shard as the SQL functions see it: registers DAGs, sends commits as the shard's
 * committer does, and looks at the rows they leave. One tenant a test, so that tests can share a
 * database. It calls the functions only; what it reads it reads straight from the tables.
 */
import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, inject } from "vitest";
import {
  COMMIT_STATEMENT,
  readCommitReply,
  readDefinitions,
  recoverShard,
  registerWorkflow,
} from "../../database/functions.ts";
import type { Query } from "../../database/connect.ts";
import type {
  AskedRow,
  CommitReply,
  CommitRequest,
  EventRow,
  LaneRow,
  ReadyRow,
  RecoverReply,
  RecoverRequest,
  StartRow,
  TakeRow,
} from "../../database/rows.ts";
import type { TaskError } from "../../protocol/errors.ts";
import type { StepDefinition, WorkflowDefinition } from "../../protocol/http.ts";
import { newId, newRunId, taskId } from "../../protocol/ids.ts";
import type { ChangeRequest } from "../../database/workflow-changes.ts";
import type { ActivationChoice, RunState, TaskState, TimerKind } from "../../protocol/states.ts";
import { checksumOf } from "../../workers/definitions/canonical-json.ts";
import { rowsOf } from "../../workers/definitions/registration.ts";

/** The real Postgres, where there is one: only there do connections run at the same time. */
export const postgres = inject("databases").find(({ name }) => name === "Postgres");

/** Room for everything. */
export const WIDE_ROOM: CommitRequest["room"] = { default: 1_000_000, actions: {}, bytes: 2 ** 40 };

const MAX_CONNECTIONS = 8;
const STATEMENT_TIMEOUT_MS = 20_000; // a lock never given up fails its test instead of hanging it

/** Connections to a database, closed when the file's tests have ended. */
export function openPool({ databaseUrl }: { databaseUrl: string }): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: MAX_CONNECTIONS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
  });
  pool.on("error", () => {}); // the statement in hand reports it
  afterAll(() => pool.end());
  return pool;
}

export type Sql = pg.Pool | pg.PoolClient | pg.Client;

/** Statements as the functions of `database/` want them. */
export function queryOf(sql: Sql): Query {
  return async (text, values) => (await sql.query(text, values)).rows;
}

/** Parents by step, or all that a step says: `{ a: [], b: ["a"], c: { retries: 2 } }`. */
export type Steps = Record<string, string[] | Omit<StepDefinition, "name">>;

export interface Registered {
  id: string;
  version: string;
  number: number;
  created: boolean;
  name: string;
  /** Names of all that its DAG has, in order: steps, then what only runs that fail have. */
  steps: string[];
  /** Tasks that a run has from its start. */
  size: number;
  timeoutMs: number | undefined;
  hasCancelOn: boolean;
}

export interface TaskRow {
  state: TaskState;
  attempt: number;
  pending: number;
  failures: number;
  rescues: number;
  worker: string | null;
  error: TaskError | null;
  queued_at: Date | null;
  started_at: Date | null;
  finished_at: Date | null;
}

export interface RunRow {
  state: RunState;
  remaining: number;
  failed: number;
  error: TaskError | null;
  started_at: Date | null;
  finished_at: Date | null;
}

/** All of a commit but what the shard adds; room is wide unless it says otherwise. */
export type CommitParts = Partial<Omit<CommitRequest, "tenant" | "shard">>;

export class TestShard {
  readonly tenant: string;
  readonly shard: number;
  epoch = 0;
  /** The number that starts and events are checked against. */
  definitions = 0;
  #sql: Sql;
  #seq = 0;

  private constructor(sql: Sql, number: number, tenant: string) {
    this.#sql = sql;
    this.shard = number;
    this.tenant = tenant;
  }

  /** A new tenant with a shard in its first life. */
  static async create(sql: Sql): Promise<TestShard> {
    const shard = new TestShard(sql, 0, newId());
    const name = `functions-${randomUUID()}`;
    await sql.query("insert into v1.tenant (id, name) values ($1, $2)", [shard.tenant, name]);
    await shard.recover();
    return shard;
  }

  /** Another shard of the same tenant, in its first life. */
  async another(number: number): Promise<TestShard> {
    const other = new TestShard(this.#sql, number, this.tenant);
    await other.recover();
    await other.readDefinitions();
    return other;
  }

  /** The same shard at a copy of its database. */
  in(sql: Sql): TestShard {
    return Object.assign(new TestShard(sql, this.shard, this.tenant), { epoch: this.epoch });
  }

  get lastSeq(): number {
    return this.#seq;
  }

  async rows<Row = Record<string, unknown>>(
    text: string,
    parameters: unknown[] = [],
  ): Promise<Row[]> {
    return (await this.#sql.query(text, parameters)).rows as Row[];
  }

  /** A change of a workflow, as the edge Worker asks for it. */
  change(name: string): ChangeRequest {
    return { tenant: this.tenant, name, change: newId(), actor: "test" };
  }

  async register(
    name: string,
    steps: Steps,
    {
      sql = this.#sql,
      activate = "new",
      ...rest
    }: { sql?: Sql; activate?: ActivationChoice } & Partial<WorkflowDefinition> = {},
  ): Promise<Registered> {
    const definition: WorkflowDefinition = {
      name,
      steps: Object.entries(steps).map(([step, said]) =>
        Array.isArray(said) ? { name: step, parents: said } : { name: step, ...said },
      ),
      ...rest,
    };
    const rows = rowsOf(definition);
    const reply = await registerWorkflow(queryOf(sql), {
      tenant: this.tenant,
      workflow: newId(),
      version: newId(),
      name,
      checksum: await checksumOf(definition),
      definition,
      ...rows,
      activate,
      change: newId(),
      actor: "test",
    });
    if ("unknownLimits" in reply) throw new Error(`No limits ${reply.unknownLimits.join(", ")}`);
    const { id, version, created } = reply;
    await this.readDefinitions();
    return {
      id,
      version: version.id,
      number: version.number,
      created,
      name,
      steps: rows.dag.map((row) => row.name),
      size: definition.steps.length,
      timeoutMs: rest.timeoutMs,
      hasCancelOn: rest.cancelOn !== undefined,
    };
  }

  /** Checks starts against the definitions as they are now. */
  async readDefinitions(): Promise<void> {
    const definitions = await readDefinitions(queryOf(this.#sql), this.tenant);
    this.definitions = definitions?.version ?? 0;
  }

  /** A request under the next seq, to be sent with `send`, again and again if need be. */
  request(parts: CommitParts): CommitRequest {
    const { tenant, shard, epoch } = this;
    return { tenant, shard, epoch, seq: ++this.#seq, at: Date.now(), room: WIDE_ROOM, ...parts };
  }

  async send(request: CommitRequest, sql: Sql = this.#sql): Promise<CommitReply> {
    const { rows } = await sql.query(COMMIT_STATEMENT, [JSON.stringify(request)]);
    return readCommitReply(rows[0].reply);
  }

  async commit(parts: CommitParts, sql: Sql = this.#sql): Promise<CommitReply> {
    return await this.send(this.request(parts), sql);
  }

  /** The start of a new run, to be committed. */
  start({ id: w, version: v, ...rest }: Registered, parts: Partial<StartRow> = {}): StartRow {
    const { size: n, timeoutMs: u, hasCancelOn: c } = rest;
    const row = { id: newRunId(), w, v, d: this.definitions, n, u, c, i: null, m: {} };
    return { ...row, ...parts };
  }

  /** Starts a run whose first tasks the shard keeps in hand. */
  async startRun(workflow: Registered, parts: Partial<StartRow> = {}): Promise<StartedRun> {
    const start = this.start(workflow, parts);
    await this.commit({ starts: [start] });
    return { run: start.id, task: (step) => taskOf(workflow, start.id, step) };
  }

  event(key: string, parts: Partial<EventRow> = {}): EventRow {
    return { id: newId(), k: key, p: null, m: {}, d: this.definitions, r: [], ...parts };
  }

  /** Begins the next life of the shard; what it remembers is right unless `memory` says otherwise. */
  async recover(
    leases: AskedRow[] = [],
    memory: Partial<Pick<RecoverRequest, "epoch" | "agenda" | "holders" | "lanes">> & {
      sql?: Sql;
    } = {},
  ): Promise<RecoverReply> {
    const sql = memory.sql ?? this.#sql;
    const query = queryOf(sql);
    const { tenant, shard } = this;
    const { epoch = this.epoch, agenda = 100, lanes: most = 100, holders = [] } = memory;
    const reply = await recoverShard(query, {
      tenant,
      shard,
      epoch,
      at: Date.now(),
      leases,
      agenda,
      holders,
      lanes: most,
    });
    this.epoch = reply.epoch;
    this.#seq = 0;
    return reply;
  }

  async task(id: string): Promise<TaskRow> {
    const [row] = await this.rows<TaskRow>("select * from v1.task where id = $1", [id]);
    if (row === undefined) throw new Error(`There is no task ${id}`);
    return row;
  }

  async run(id: string): Promise<RunRow> {
    const [row] = await this.rows<RunRow>("select * from v1.workflow_run where id = $1", [id]);
    if (row === undefined) throw new Error(`There is no run ${id}`);
    return row;
  }

  /** Whether this run was ever started. */
  async hasRun(id: string): Promise<boolean> {
    return (await this.rows("select from v1.workflow_run where id = $1", [id])).length > 0;
  }

  /** States of a run's tasks, in the order of its steps. */
  async states(run: string): Promise<TaskState[]> {
    const text = "select state from v1.task where id > $1 and v1.run_id(id) = $1 order by id";
    return (await this.rows<{ state: TaskState }>(text, [run])).map(({ state }) => state);
  }

  /** Tasks in the shard's queue, oldest run first. */
  async queued(): Promise<string[]> {
    const text =
      "select task_id from v1.queue_item where tenant_id = $1 and shard = $2 order by task_id";
    const rows = await this.rows<{ task_id: string }>(text, [this.tenant, this.shard]);
    return rows.map(({ task_id: task }) => task);
  }

  /** Tasks by the seq that handed them out, each list sorted. */
  async handouts(): Promise<Record<number, string[]>> {
    const text =
      "select seq, tasks from v1.handout where tenant_id = $1 and shard = $2 order by seq";
    const rows = await this.rows<{ seq: string; tasks: string[] }>(text, [this.tenant, this.shard]);
    return Object.fromEntries(rows.map(({ seq, tasks }) => [seq, tasks.toSorted()]));
  }

  /** Every timer, also of runs that are held: those are due at infinity. */
  async timers(): Promise<{ id: string; kind: TimerKind; due: number }[]> {
    const text = `select id, kind, extract(epoch from due_at)::double precision * 1000 as due
                    from v1.timer where tenant_id = $1 order by id, kind`;
    return await this.rows(text, [this.tenant]);
  }

  /** Attempts of a task before its last. */
  async history(task: string): Promise<Record<string, unknown>[]> {
    const text = "select * from v1.task_attempt where task_id = $1 order by attempt";
    return await this.rows(text, [task]);
  }

  /** Everything that tells what this tenant's tables hold, to compare before and after. */
  async picture(): Promise<unknown> {
    const runs = "select id from v1.workflow_run where tenant_id = $1";
    const ofTasks = (table: string): string =>
      `select * from v1.${table} where v1.run_id(task_id) in (${runs}) order by 1, 2`;
    return {
      runs: await this.rows("select * from v1.workflow_run where tenant_id = $1 order by id", [
        this.tenant,
      ]),
      tasks: await this.rows(`select * from v1.task where v1.run_id(id) in (${runs}) order by id`, [
        this.tenant,
      ]),
      outputs: await this.rows(ofTasks("task_output"), [this.tenant]),
      attempts: await this.rows(ofTasks("task_attempt"), [this.tenant]),
      logs: await this.rows(`${ofTasks("log_line")}, 3`, [this.tenant]),
      events: await this.rows("select * from v1.event where tenant_id = $1 order by id", [
        this.tenant,
      ]),
      keys: await this.rows(
        "select * from v1.idempotency where tenant_id = $1 order by kind, key",
        [this.tenant],
      ),
      children: await this.rows(
        `select * from v1.child_run where v1.run_id(parent_id) in (${runs}) order by 1, 2`,
        [this.tenant],
      ),
      timers: await this.timers(),
      matches: await this.rows(
        "select * from v1.match where tenant_id = $1 order by run_id, number",
        [this.tenant],
      ),
      waits: await this.rows(ofTasks("task_wait"), [this.tenant]),
      queue: await this.queued(),
      handouts: await this.handouts(),
    };
  }
}

export interface StartedRun {
  run: string;
  /** The id of a step's task. */
  task(step: string): string;
}

export function taskOf({ steps, name }: Registered, run: string, step: string): string {
  const number = steps.indexOf(step);
  if (number < 0) throw new Error(`Workflow ${name} has no step ${step}`);
  return taskId(run, number);
}

export function idsOf(rows: Pick<ReadyRow, "id">[] | undefined): string[] {
  return (rows ?? []).map(({ id }) => id);
}

/** Resolves once so many connections wait for what this one's open transaction holds. */
export async function untilBlocked(
  shard: TestShard,
  holder: pg.PoolClient,
  connections = 1,
): Promise<void> {
  const { rows } = await holder.query("select pg_backend_pid() as pid");
  const deadline = Date.now() + STATEMENT_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const blocked = "select from pg_stat_activity where $1 = any (pg_blocking_pids(pid))";
    if ((await shard.rows(blocked, [rows[0].pid])).length >= connections) return;
  }
  throw new Error(`No connection waits for backend ${rows[0].pid}`);
}

/** What to take from the queue, by action: from what is not sorted into lanes. */
export function takes(counts: Record<string, number>, lane = 0): TakeRow[] {
  return Object.entries(counts).map(([action, n]) => ({ action, lane, n }));
}

/** Lanes of these actions, of what is not sorted. */
export function lanes(actions: string[], lane = 0): LaneRow[] {
  return actions.map((action) => ({ action, lane }));
}
