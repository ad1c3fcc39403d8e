-- Until when a shard that drains keeps something that only its own storage has, though it has nothing left here: it
-- wakes by itself then, and is not to be called each minute until it does.

alter table v1.shard add column held_until timestamptz;
