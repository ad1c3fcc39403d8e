-- Whether all transactions are over that may store events of a tenant and are older than this one. Others may go
-- on, of other tenants or of none: an import, a copy, somebody's own.
--
-- Called by  settle_waits, when the oldest transaction of all has been in the way for a while.
create or replace function v1.are_events_stored(p_tenant_id uuid, p_before xid8)
returns boolean language sql volatile as $$
  -- Who stores events holds the lock of the definitions. Transactions are 32 bits here, and compared as Postgres does.
  select not exists (
    select from pg_locks d
      join pg_locks x on x.virtualtransaction = d.virtualtransaction
                         and x.locktype = 'transactionid' and x.mode = 'ExclusiveLock' and x.granted
      where d.locktype = 'advisory' and d.granted and d.objsubid = 1
        and d.database = (select oid from pg_database where datname = current_database())
        and (d.classid::bigint << 32) | d.objid::bigint = v1.definitions_lock(p_tenant_id)
        and mod(p_before::text::bigint - x.transactionid::text::bigint + 8589934592, 4294967296)
            between 1 and 2147483647)
$$;
