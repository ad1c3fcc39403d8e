/**
 * The way from a tenant to its database. Whoever reads or writes anything of a tenant's asks here first;
 * `database-map.ts` says what the answer is. Connections take nothing but what comes from here.
 *
 * What is nobody's or everybody's: tenants and tokens are at home; queues are in each database, with a drain of
 * its own; and the minute's duties go over all of them.
 */
import type { Database, DatabaseConfig } from "./connect.ts";
import { DATABASES, HOME, LIVES_IN } from "./database-map.ts";

/** Where the data of a tenant is. */
export function databaseOf(given: DatabaseConfig, tenant: string): Database {
  return numberedDatabase(given, LIVES_IN.get(tenant) ?? HOME);
}

/** Where tenants and tokens are, of all of them; nothing else of a tenant's may be looked for here. */
export function homeDatabase(given: DatabaseConfig): Database {
  return numberedDatabase(given, HOME);
}

/** For what must see all tenants. */
export function allDatabases(given: DatabaseConfig): Database[] {
  return DATABASES.map((_, number) => numberedDatabase(given, number));
}

export function numberedDatabase(given: DatabaseConfig, number: number): Database {
  const configure = DATABASES[number];
  if (configure === undefined) throw new Error(`There is no database ${number} in the map`);
  return { ...configure(given), number } as Database;
}
