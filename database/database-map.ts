/**
 * Which databases there are, and who lives in which: data, and nothing else. There is one entry, and every
 * tenant lives in it.
 *
 * A second database is three lines: its secret, as a field of `DatabaseConfig`; an entry of DATABASES that takes
 * that secret for its address; and an entry of LIVES_IN for each tenant that moves. What has to happen
 * to the tenant's data meanwhile: docs/scaling.md.
 */
import type { DatabaseConfig } from "./connect.ts";

/** Where tenants and tokens are, and everybody who lives nowhere else. */
export const HOME = 0;

/**
 * By number, from what the platform gives. A number is never given again: the drains of a database's queues
 * are known by it.
 */
export const DATABASES: readonly ((given: DatabaseConfig) => DatabaseConfig)[] = [(given) => given];

/** Numbers of databases, by the ids of the tenants that have left home. */
export const LIVES_IN: ReadonlyMap<string, number> = new Map();
