-- Who is to be told of runs that have ended, and where.

create table v1.notification (
  tenant_id uuid not null references v1.tenant (id),
  name text not null,
  url text not null,
  -- Of runs that end in one of these; of these workflows, null: of all, but for children.
  states v1.run_state[] not null,
  workflows text[],
  -- `whsec_…`, each signs. Read by v1.read_notification only.
  secrets text[] not null,
  -- Since when its endpoint is gone, by its own word: it is told nothing until it is stored again.
  gone_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);
