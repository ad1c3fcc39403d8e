-- What conditions need: what a step passes before it is queued, and what it waits for meanwhile.

alter table v1.dag
  -- GateRow in database/definition-rows.ts; null: its tasks are queued as soon as their parents have ended.
  add column gate jsonb;
