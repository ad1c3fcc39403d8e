-- What a shard has yet to see to before a moment may end a wait: few of its timers, and asked for with each such moment.
create index timer_of_events on v1.timer (tenant_id, shard, due_at) where kind = 'match';
