/** Counts the rows that something reads: it says the same on any machine. */
import type pg from "pg";

/** Rows of each table that something has read on a connection, in a transaction of its own. */
export async function rowsReadBy(
  client: pg.Client,
  something: () => Promise<unknown>,
): Promise<Record<string, number>> {
  const counted = async (): Promise<Map<string, number>> => {
    // Counts what earlier transactions read as well, until they are reported between two of them.
    const { rows } = await client.query<{ name: string; rows: string }>(
      `select relname as name, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as rows
         from pg_stat_xact_user_tables where schemaname = 'v1'`,
    );
    return new Map(rows.map(({ name, rows: count }) => [name, Number(count)]));
  };
  await client.query("begin");
  const before = await counted();
  await something();
  const after = await counted();
  await client.query("commit");
  const read = [...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const);
  return Object.fromEntries(read.filter(([, count]) => count > 0));
}
