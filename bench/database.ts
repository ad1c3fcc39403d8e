/**
 * What the bench asks the database, before and after a load and never during one: whether every run
 * it counted finished, and how many commits it took.
 */
import type pg from "pg";

const IDS_PER_QUERY = 5_000;

/** Throws unless there is exactly one completed run for each id. */
export async function countCompleted(database: pg.Client, ids: readonly string[]): Promise<void> {
  if (new Set(ids).size < ids.length) throw new Error("Two calls were answered with the same run.");
  let completed = 0;
  for (let from = 0; from < ids.length; from += IDS_PER_QUERY) {
    const { rows } = await database.query(
      `select count(*)::integer as count from unnest($1::uuid[]) u(id)
         join v1.workflow_run r on r.id = u.id and r.state = 'completed' and r.remaining = 0`,
      [ids.slice(from, from + IDS_PER_QUERY)],
    );
    completed += Number(rows[0].count);
  }
  if (completed === ids.length) return;
  throw new Error(`${ids.length} runs were counted, but ${completed} are completed in Postgres.`);
}

/** The next transaction's number. Each commit that writes takes one; reading this takes none. */
export async function nextTransaction(database: pg.Client): Promise<number> {
  const { rows } = await database.query(
    "select pg_snapshot_xmax(pg_current_snapshot())::text as n",
  );
  return Number(rows[0].n);
}

/** How many of these runs each shard has. */
export async function countByShard(
  database: pg.Client,
  ids: readonly string[],
): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  for (let from = 0; from < ids.length; from += IDS_PER_QUERY) {
    const { rows } = await database.query(
      `select r.shard, count(*)::integer as count from unnest($1::uuid[]) u(id)
         join v1.workflow_run r on r.id = u.id group by 1`,
      [ids.slice(from, from + IDS_PER_QUERY)],
    );
    for (const { shard, count } of rows) counts.set(shard, (counts.get(shard) ?? 0) + count);
  }
  return counts;
}
