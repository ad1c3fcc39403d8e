-- Until when attempts may be running that no life of a shard knows of, because its memory was lost. Here, because the
-- life that finds it out may end before it has written it down.

alter table v1.shard add column unknown_until timestamptz;
