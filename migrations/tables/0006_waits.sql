-- What conditions need: what a step passes before it is queued, and what it waits for meanwhile.

alter table v1.dag
  -- GateRow in database/definition-rows.ts; null: its tasks are queued as soon as their parents have ended.
  add column gate jsonb;
--> statement-breakpoint
create index dag_with_gate on v1.dag (version_id) where gate is not null;
--> statement-breakpoint
-- `wait` and `look` are of a task: a moment that it waits for, and events from before its wait to be looked at.
alter type v1.timer_kind add value 'wait';
--> statement-breakpoint
alter type v1.timer_kind add value 'look';
--> statement-breakpoint
alter type v1.match_kind add value 'wait';
--> statement-breakpoint
-- Of a wait: the smallest id of an event that counts; null: that of the run. Its rows are numbered
-- (step + 1) * 16 + condition, and each is gone when its condition is met or the wait is over.
alter table v1.match add column since uuid;
--> statement-breakpoint
-- A task's wait. It stays when it is over: what was met belongs to the run's history, and to the handler.
create table v1.task_wait (
  task_id uuid primary key,
  began_at timestamptz not null,
  -- When it is over, whatever has been met; null: never.
  times_out_at timestamptz,
  ended_at timestamptz,
  -- Null while it waits; false: its time was over first.
  is_met boolean,
  -- The conditions that have been met, as bits, and by what: MetCondition in protocol/session.ts.
  met integer not null default 0,
  found jsonb not null default '[]'
) partition by range (task_id);
