/**
 * The way that reads go to Postgres: what the API shows, each read within one tenant. A cursor is the
 * last id of the page before, so pages stay right while rows are added.
 */
import { neon } from "@neondatabase/serverless";
import { drizzle, type NeonHttpDatabase } from "drizzle-orm/neon-http";
import type { Page } from "../protocol/http.ts";
import { configureDriver, type Database } from "./connect.ts";

export type Reads = NeonHttpDatabase;

export function connectReads(database: Database): Reads {
  configureDriver(database);
  return drizzle(neon(database.DATABASE_URL));
}

/** The page that one row more than its limit was read for. */
export function toPage<Item>(
  rows: Item[],
  limit: number,
  cursorOf: (item: Item) => string,
): Page<Item> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}

export function isoTime(time: Date): string;
export function isoTime(time: Date | null): string | null;
export function isoTime(time: Date | null): string | null {
  return time?.toISOString() ?? null;
}
