-- What messages need: a row each. The row is the message; brokers carry its id (rule R7).

create table v1.message (
  -- Of an event that was accepted: the event's own.
  id uuid primary key,
  tenant_id uuid not null references v1.tenant (id),
  -- The queue it is in, or was in before it died.
  queue text not null check (queue in ('commands', 'events')),
  -- Who handles it: a key of workers/messages/handlers.ts.
  kind text not null,
  body jsonb not null,
  -- Of the body as text: how much memory it takes whoever reads it.
  bytes integer not null,
  sent_at timestamptz not null default now(),
  -- How often its broker has brought it.
  reads integer not null default 0,
  -- When the clock hands it to its broker again, if that is outside of Postgres and hasn't brought it.
  due_at timestamptz,
  -- Refused for good: when, why (MessageReason in protocol/message-bodies.ts), and its id in pgmq's `dead`.
  died_at timestamptz,
  reason jsonb,
  dead_id bigint,
  check ((died_at is null) = (reason is null))
);
--> statement-breakpoint
create index message_by_tenant on v1.message (tenant_id, queue, id) where died_at is null;
--> statement-breakpoint
create index message_by_death on v1.message (tenant_id, id) where died_at is not null;
--> statement-breakpoint
create index message_by_due on v1.message (due_at) where due_at is not null;
