/**
 * What Postgres has recorded, as the checks read it: straight from the tables, after the simulation
 * or between two of its statements.
 */
import { lastTaskId, runIdOf } from "../../protocol/ids.ts";
import type { TaskError } from "../../protocol/errors.ts";
import type { Json } from "../../protocol/json.ts";
import type { AttemptOutcome, RunState, StepKind, TaskState } from "../../protocol/states.ts";
import type { RetryPolicy } from "../../database/definition-rows.ts";
import type { Postgres } from "./postgres.ts";

export interface RecordedTask {
  id: string;
  run: string;
  step: number;
  state: TaskState;
  /** Attempts that have ended. */
  attempt: number;
  worker: string | null;
  error: TaskError | null;
  output: Json;
  rescues: number;
  queuedAt: number | null;
  startedAt: number | null;
  finishedAt: number | null;
}

export interface RecordedRun {
  id: string;
  version: string;
  state: RunState;
  remaining: number;
  failed: number;
  input: Json;
  metadata: Record<string, string>;
  event: string | null;
  /** Why it ended, when that was not a step. */
  error: TaskError | null;
  /** The task that started it, and under which key: of a child. */
  parent: string | null;
  key: string | null;
  /** When it begins, if it was delayed. */
  startsAt: number | null;
  finishedAt: number | null;
  /** The number of the shard that dispatches it. */
  shard: number;
  tasks: RecordedTask[];
}

/** An attempt before the last one of its task. */
export interface RecordedAttempt {
  task: string;
  attempt: number;
  outcome: AttemptOutcome;
  worker: string | null;
  error: TaskError | null;
  finishedAt: number;
}

/** A run that a task has started. */
export interface RecordedChild {
  parent: string;
  key: string;
  run: string;
  isDetached: boolean;
}

export interface RecordedLine {
  task: string;
  attempt: number;
  number: number;
  message: string;
}

export interface RecordedStep {
  version: string;
  step: number;
  name: string;
  action: string;
  parents: number[];
  timeoutMs: number;
  kind: StepKind;
  scheduleTimeoutMs: number | null;
  /** The step that it undoes. */
  compensates: number | null;
  retry: RetryPolicy | null;
}

/** What a task has waited for. */
export interface RecordedWait {
  task: string;
  beganAt: number;
  endedAt: number | null;
  isMet: boolean | null;
  /** Those that have met its conditions. */
  events: string[];
}

export interface RecordedShard {
  number: number;
  isClosed: boolean;
  /** Rows that are for it. */
  rows: number;
}

export interface RecordedEvent {
  id: string;
  key: string;
  label: string;
}

export interface Recorded {
  runs: RecordedRun[];
  attempts: RecordedAttempt[];
  children: RecordedChild[];
  lines: RecordedLine[];
  steps: RecordedStep[];
  waits: RecordedWait[];
  events: RecordedEvent[];
  /** How many shards take new runs. */
  shardCount: number;
  shards: RecordedShard[];
  /** Rows that stand only while tasks are on their way. */
  handouts: number;
  queued: number;
  timers: number;
  matches: number;
}

const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`;

const TASK = `
  select t.id, t.step, t.state, t.attempt, t.worker, t.error, o.output, t.rescues,
         ${ms("t.queued_at")} as "queuedAt",
         ${ms("t.started_at")} as "startedAt", ${ms("t.finished_at")} as "finishedAt"
    from v1.task t left join v1.task_output o on o.task_id = t.id`;

const RUN = `
  select id, version_id as version, state, remaining, failed, input, metadata, event_id as event, error,
         parent_id as parent, parent_key as key, ${ms("starts_at")} as "startsAt",
         ${ms("finished_at")} as "finishedAt", shard
    from v1.workflow_run`;

/** One run as it is recorded now. */
export async function readRunState(postgres: Postgres, run: string): Promise<RecordedRun> {
  const [row] = await rowsOf<RecordedRun>(
    postgres,
    `select run.*, (select json_agg(task order by task.id) from (${TASK}
                      where t.id between $1 and $2) task) as tasks
       from (${RUN} where id = $1) run`,
    [run, lastTaskId(run)],
  );
  if (row === undefined) throw new Error(`Run ${run} finished without a row`);
  return { ...row, tasks: row.tasks.map((task) => ({ ...task, run })) };
}

/** Everything that is recorded now. */
export async function readRecorded(postgres: Postgres): Promise<Recorded> {
  const tasks = await rowsOf<RecordedTask>(postgres, `${TASK} order by t.id`);
  const byRun = Map.groupBy(tasks, ({ id }) => runIdOf(id));
  const runs = await rowsOf<RecordedRun>(postgres, `${RUN} order by id`);
  const [count] = await rowsOf<Pick<Recorded, "handouts" | "queued" | "timers" | "matches">>(
    postgres,
    `select (select count(*)::integer from v1.handout where tasks <> '{}') as handouts,
            (select count(*)::integer from v1.queue_item) as queued,
            (select count(*)::integer from v1.timer) as timers,
            (select count(*)::integer from v1.match) as matches`,
  );
  const [tenant] = await rowsOf<{ shards: number }>(postgres, "select shards from v1.tenant");
  return {
    runs: runs.map((run) => ({
      ...run,
      tasks: (byRun.get(run.id) ?? []).map((task) => ({ ...task, run: run.id })),
    })),
    attempts: await rowsOf(
      postgres,
      `select task_id as task, attempt, outcome, worker, error,
              ${ms("finished_at")} as "finishedAt"
         from v1.task_attempt
         order by task_id, attempt`,
    ),
    children: await rowsOf(
      postgres,
      `select parent_id as parent, key, run_id as run, is_detached as "isDetached"
         from v1.child_run order by 1, 2`,
    ),
    lines: await rowsOf(
      postgres,
      "select task_id as task, attempt, number, message from v1.log_line order by 1, 2, 3",
    ),
    steps: await rowsOf(
      postgres,
      `select version_id as version, step, name, action, parents, timeout_ms as "timeoutMs", kind,
              schedule_timeout_ms::float8 as "scheduleTimeoutMs", compensates, retry
         from v1.dag order by 1, 2`,
    ),
    waits: await rowsOf(
      postgres,
      `select task_id as task, ${ms("began_at")} as "beganAt", ${ms("ended_at")} as "endedAt", is_met as "isMet",
              jsonb_path_query_array(found, '$[*].event.id') as events
         from v1.task_wait order by 1`,
    ),
    events: await rowsOf(
      postgres,
      "select id, key, metadata->>'label' as label from v1.event order by id",
    ),
    shardCount: tenant?.shards ?? 0,
    shards: await rowsOf(
      postgres,
      `select number, closed_at is not null as "isClosed",
              (select count(*) from v1.handout h where h.shard = s.number and tasks <> '{}')::integer
                + (select count(*) from v1.queue_item q where q.shard = s.number)::integer
                + (select count(*) from v1.timer t where t.shard = s.number)::integer
                + (select count(*) from v1.match m where m.shard = s.number)::integer as rows
         from v1.shard s order by 1`,
    ),
    handouts: count?.handouts ?? 0,
    queued: count?.queued ?? 0,
    timers: count?.timers ?? 0,
    matches: count?.matches ?? 0,
  };
}

async function rowsOf<Row>(postgres: Postgres, text: string, values?: unknown[]): Promise<Row[]> {
  return (await postgres.query(text, values)).rows as Row[];
}
