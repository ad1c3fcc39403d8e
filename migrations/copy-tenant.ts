/**
 * Copies a tenant to another database, and compares the two: steps of docs/scaling.md, "Moving a
 * tenant". All of it in one transaction on each side, so a copy that fails leaves nothing. Nothing is
 * changed in the database that it comes from.
 */
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import { TENANT_TABLES, type TenantTable } from "./tenant-tables.ts";

export interface TenantCopy {
  /** The tenant's id. */
  tenant: string;
  /** Connection string of the database that it is in, as its owner. */
  from: string;
  /** Connection string of the database that it is to be in, as its owner; migrated. */
  to: string;
  log?: (line: string) => void;
}

/** A table of which the two databases don't have the same. */
export interface Difference {
  table: string;
  from: number;
  to: number;
}

/** Throws with what to do when the tenant isn't at rest, or the other database isn't ready for it. */
export async function copyTenant({ tenant, from, to, log = () => {} }: TenantCopy): Promise<void> {
  const id = tenantLiteral(tenant);
  await withBoth(from, to, async (source, target) => {
    await refuseOtherVersion(source, target);
    await refuseUnlessAtRest(source, id);
    await refuseIfThere(target, id);
    await makePartitions(source, target);
    for (const table of TENANT_TABLES) {
      const rows = await copyRows(source, target, table, id);
      if (rows > 0) log(`${table.name}: ${rows}`);
    }
    await buryAgain(target, id);
  });
}

/** The tables of which not all rows are in both databases, or not the same. */
export async function compareTenant({ tenant, from, to }: TenantCopy): Promise<Difference[]> {
  const id = tenantLiteral(tenant);
  return await withBoth(from, to, async (source, target) => {
    const differences: Difference[] = [];
    for (const table of TENANT_TABLES) {
      const [here, there] = await Promise.all([
        sumRows(source, table, id),
        sumRows(target, table, id),
      ]);
      if (here.rows === there.rows && here.sum === there.sum) continue;
      differences.push({ table: table.name, from: here.rows, to: there.rows });
    }
    return differences;
  });
}

/** When the tenant's first timer is due: from then on a shard may wake, and what was copied is old. */
export async function nextTimer({ tenant, from }: TenantCopy): Promise<Date | undefined> {
  const client = await connect(from);
  try {
    const text = "select min(due_at) as due from v1.timer where tenant_id = $1";
    return (await client.query<{ due: Date | null }>(text, [tenant])).rows[0]?.due ?? undefined;
  } finally {
    await client.end();
  }
}

async function withBoth<Result>(
  from: string,
  to: string,
  run: (source: pg.Client, target: pg.Client) => Promise<Result>,
): Promise<Result> {
  const source = await connect(from);
  try {
    const target = await connect(to);
    try {
      await source.query("begin isolation level repeatable read, read only");
      await target.query("begin");
      const result = await run(source, target);
      await target.query("commit");
      return result;
    } finally {
      await target.end();
    }
  } finally {
    await source.end();
  }
}

/** Both sides must write values as text in the same way. */
async function connect(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query("set timezone = 'UTC'; set datestyle = 'ISO'; set bytea_output = 'hex'");
  return client;
}

function tenantLiteral(tenant: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(tenant)) {
    throw new Error(`"${tenant}" is not a tenant's id: \`npm run tenant -- list\` has them.`);
  }
  return pg.escapeLiteral(tenant);
}

async function refuseOtherVersion(source: pg.Client, target: pg.Client): Promise<void> {
  const text = `select (select string_agg(hash, ' ' order by id) from v1.migration)
    || (select string_agg(name || checksum, ' ' order by name) from v1.applied_function) as version`;
  const [here, there] = await Promise.all(
    [source, target].map(async (client) => (await client.query(text)).rows[0]?.version as unknown),
  );
  if (here === there) return;
  throw new Error("The databases are not at the same version: `npm run migrate` each of them.");
}

/** What would go on changing the tenant's rows, and how each is stopped. */
const UNREST = {
  "tokens that are valid: revoke them": `
    select from v1.api_token where tenant_id = $1 and revoked_at is null`,
  "schedules that are enabled: disable them": `
    select from v1.schedule where tenant_id = $1 and is_enabled and ended_at is null`,
  "messages that wait to be handled: wait for them": `
    select from v1.message where tenant_id = $1 and died_at is null`,
  "tasks that run: have the workers drain, and wait for them": `
    select from v1.handout h, unnest(h.tasks) id join v1.task t using (id)
      where h.tenant_id = $1 and t.state = 'running'`,
};

async function refuseUnlessAtRest(source: pg.Client, id: string): Promise<void> {
  const { rowCount } = await source.query(`select from v1.tenant where id = ${id}`);
  if (rowCount === 0) throw new Error(`The database to copy from has no tenant ${id}.`);
  const found: string[] = [];
  for (const [what, text] of Object.entries(UNREST)) {
    const { rows } = await source.query(`select count(*) from (${text.replace("$1", id)}) x`);
    if (Number(rows[0].count) > 0) found.push(`${rows[0].count} ${what}.`);
  }
  if (found.length > 0)
    throw new Error(`The tenant is not at rest. It has\n  ${found.join("\n  ")}`);
}

async function refuseIfThere(target: pg.Client, id: string): Promise<void> {
  const { rowCount } = await target.query(`select from v1.tenant where id = ${id}`);
  if (rowCount === 0) return;
  throw new Error(
    "The database to copy to has the tenant already. Compare them (--compare), or empty it of the tenant first.",
  );
}

/** For every month of which the source has something. */
async function makePartitions(source: pg.Client, target: pg.Client): Promise<void> {
  const { rows } = await source.query<{ month: string }>(`
    select right(relname, 7) as month from pg_class
      where relnamespace = 'v1'::regnamespace and relispartition and relname ~ '^workflow_run_\\d{4}_\\d{2}$'`);
  for (const { month } of rows) {
    await target.query("select v1.ensure_partitions($1)", [`${month.replace("_", "-")}-15`]);
  }
}

async function copyRows(
  source: pg.Client,
  target: pg.Client,
  table: TenantTable,
  id: string,
): Promise<number> {
  const columns = await columnsOf(source, table);
  const order = table.local === undefined ? "" : `order by t.${table.local}`;
  const rows = `select ${columns} from ${nameOf(table)} t where ${table.rows(id)} ${order}`;
  const into = target.query(copyFrom(`copy ${nameOf(table)} (${columns}) from stdin`));
  await pipeline(source.query(copyTo(`copy (${rows}) to stdout`)), into);
  return into.rowCount;
}

/** Dead messages are in a queue of their database, by a number that it gives. */
async function buryAgain(target: pg.Client, id: string): Promise<void> {
  await target.query(`
    update v1.message m
      set dead_id = (select s from pgmq.send('dead', jsonb_build_object('tenant', m.tenant_id, 'id', m.id)) s)
      where m.tenant_id = ${id} and m.died_at is not null`);
}

/** The sum doesn't depend on the order of rows, so that none has to be sorted. */
async function sumRows(
  client: pg.Client,
  table: TenantTable,
  id: string,
): Promise<{ rows: number; sum: string }> {
  const columns = await columnsOf(client, table);
  const { rows } = await client.query<{ rows: string; sum: string | null }>(`
    select count(*) as rows, sum(('x' || left(md5(row(${columns})::text), 16))::bit(64)::bigint) as sum
      from ${nameOf(table)} t where ${table.rows(id)}`);
  return { rows: Number(rows[0]?.rows), sum: rows[0]?.sum ?? "" };
}

const nameOf = ({ name }: TenantTable): string => `v1.${pg.escapeIdentifier(name)}`;

async function columnsOf(client: pg.Client, { name, local }: TenantTable): Promise<string> {
  const { rows } = await client.query<{ attname: string }>(
    `select attname from pg_attribute
       where attrelid = format('v1.%I', $1::text)::regclass and attnum > 0 and not attisdropped
         and attname is distinct from $2 order by attname`,
    [name, local],
  );
  return rows.map(({ attname }) => pg.escapeIdentifier(attname)).join(", ");
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" }, compare: { type: "boolean" } },
  });
  const [tenant] = positionals;
  const { FROM_URL: from, TO_URL: to } = process.env;
  if (values.help || !tenant || !from || !to) {
    console.log(`Usage: FROM_URL=postgres://… TO_URL=postgres://… npm run copy-tenant -- TENANT_ID [--compare]

Copies all that a tenant has, but for its tokens, from one database to another, both of this version and
as their owners; then compares the two. With --compare it only compares. The tenant must be at rest, and
the one database is not changed. docs/scaling.md says what comes before and after.`);
    process.exit(values.help ? 0 : 2);
  }
  const copy = { tenant, from, to, log: console.log };
  try {
    if (!values.compare) await copyTenant(copy);
    const differences = await compareTenant(copy);
    for (const { table, from: here, to: there } of differences) {
      console.error(`${table} is not the same: ${here} rows there, ${there} here`);
    }
    if (differences.length > 0) process.exit(1);
    const due = await nextTimer(copy);
    console.log(
      `Both databases have the same of the tenant.${
        due === undefined ? "" : ` A shard of it wakes at ${due.toISOString()}: switch before.`
      }`,
    );
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}
