/**
 * What a shard must know on waking without asking Postgres: its sessions and leases, in the
 * object's own SQLite. Written in the same turn as the decision; the platform holds back what the
 * turn sends until the write is durable.
 */
import type { ShardMap } from "../protocol/shard-map.ts";
import type { LoanRecord } from "./dispatcher/loan.ts";
import type { Bucket } from "./dispatcher/buckets.ts";
import { type Lease, leaseKey } from "./dispatcher/leases.ts";
import type { LentRecord } from "./dispatcher/lent.ts";
import type { CountId } from "./dispatcher/permits.ts";
import type { SessionRecord } from "./dispatcher/roster.ts";

const SCHEMA = `
  create table if not exists meta (name text primary key, value) without rowid;
  create table if not exists session (id text primary key, record text not null) without rowid;
  create table if not exists attempt (key text primary key, lease text not null) without rowid;
  create table if not exists holder (run text primary key, ids text not null) without rowid;
  create table if not exists bucket (id text primary key, bucket text not null) without rowid;
  create table if not exists loan (id text primary key, record text not null) without rowid;
  create table if not exists lent (key text primary key, record text not null) without rowid;
`;

export class ShardStorage {
  #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#sql = storage.sql;
    this.#sql.exec(SCHEMA);
  }

  /** The epoch of the life that wrote this storage; 0 when there was none. */
  readEpoch(): number {
    const [row] = this.#sql.exec<{ value: number }>("select value from meta where name = 'epoch'");
    return row?.value ?? 0;
  }

  writeEpoch(epoch: number): void {
    this.#sql.exec("insert or replace into meta values ('epoch', ?)", epoch);
  }

  /**
   * When Postgres next has something to do for a shard that came to rest; undefined when its last life
   * ended in the middle of something.
   */
  readRest(): number | undefined {
    const [row] = this.#sql.exec<{ value: number }>("select value from meta where name = 'rest'");
    return row?.value;
  }

  writeRest(until: number): void {
    this.#sql.exec("insert or replace into meta values ('rest', ?)", until);
  }

  clearRest(): void {
    this.#sql.exec("delete from meta where name = 'rest'");
  }

  /** Since when nothing older is known of limits, and until when their holders may be at work. */
  readClosure(): { since: number; until: number } | undefined {
    const [row] = this.#sql.exec<{ value: string }>(
      "select value from meta where name = 'closure'",
    );
    return row && (JSON.parse(row.value) as { since: number; until: number });
  }

  writeClosure(closure: { since: number; until: number }): void {
    this.#sql.exec("insert or replace into meta values ('closure', ?)", JSON.stringify(closure));
  }

  readSessions(): SessionRecord[] {
    const rows = this.#sql.exec<{ record: string }>("select record from session");
    return [...rows].map(({ record }) => JSON.parse(record) as SessionRecord);
  }

  writeSession(record: SessionRecord): void {
    this.#sql.exec(
      "insert or replace into session values (?, ?)",
      record.id,
      JSON.stringify(record),
    );
  }

  /** For how long it can be resumed. Alone, because many are prolonged at once. */
  writeGrace(id: string, resumeGraceMs: number): void {
    this.#sql.exec(
      "update session set record = json_set(record, '$.resumeGraceMs', ?) where id = ?",
      resumeGraceMs,
      id,
    );
  }

  deleteSession(id: string): void {
    this.#sql.exec("delete from session where id = ?", id);
  }

  readLeases(): Lease[] {
    const rows = this.#sql.exec<{ lease: string }>("select lease from attempt");
    return [...rows].map(({ lease: text }) => {
      const { deadline, ...lease } = JSON.parse(text) as Omit<Lease, "deadline"> & {
        deadline: number | null; // JSON has no infinity
      };
      return {
        ...lease,
        deadline: deadline ?? Number.POSITIVE_INFINITY,
        // What was on its way to Postgres went down with the life that sent it.
        state: lease.state === "cancelled" ? "cancelled" : "held",
        isReceived: true,
        isStartRecorded: false,
      };
    });
  }

  /** Writes leases, all in one statement: there may be a thousand in a turn. */
  writeLeases(leases: readonly Lease[]): void {
    if (leases.length === 0) return;
    this.#sql.exec(
      "insert or replace into attempt select value->>0, value->>1 from json_each(?)",
      JSON.stringify(leases.map((lease) => [leaseKey(lease), JSON.stringify(lease)])),
    );
  }

  deleteLeases(leases: readonly Lease[]): void {
    if (leases.length === 0) return;
    this.#sql.exec(
      "delete from attempt where key in (select value from json_each(?))",
      JSON.stringify(leases.map(leaseKey)),
    );
  }

  /** Runs that hold permits of their own. */
  readHolders(): { run: string; ids: CountId[] }[] {
    const rows = this.#sql.exec<{ run: string; ids: string }>("select run, ids from holder");
    return [...rows].map(({ run, ids }) => ({ run, ids: JSON.parse(ids) as CountId[] }));
  }

  writeHolders(holders: readonly { run: string; ids: CountId[] }[]): void {
    if (holders.length === 0) return;
    this.#sql.exec(
      "insert or replace into holder select value->>0, value->>1 from json_each(?)",
      JSON.stringify(holders.map(({ run, ids }) => [run, JSON.stringify(ids)])),
    );
  }

  deleteHolders(runs: readonly string[]): void {
    if (runs.length === 0) return;
    this.#sql.exec(
      "delete from holder where run in (select value from json_each(?))",
      JSON.stringify(runs),
    );
  }

  readBuckets(): [CountId, Bucket][] {
    const rows = this.#sql.exec<{ id: CountId; bucket: string }>("select id, bucket from bucket");
    return [...rows].map(({ id, bucket }) => [id, JSON.parse(bucket) as Bucket]);
  }

  writeBuckets(buckets: readonly [CountId, Bucket][]): void {
    if (buckets.length === 0) return;
    this.#sql.exec(
      "insert or replace into bucket select value->>0, value->>1 from json_each(?)",
      JSON.stringify(buckets.map(([id, bucket]) => [id, JSON.stringify(bucket)])),
    );
  }

  deleteBuckets(ids: readonly CountId[]): void {
    if (ids.length === 0) return;
    this.#sql.exec(
      "delete from bucket where id in (select value from json_each(?))",
      JSON.stringify(ids),
    );
  }

  /** What is borrowed of limits of other shards. */
  readLoans(): [CountId, LoanRecord][] {
    const rows = this.#sql.exec<{ id: CountId; record: string }>("select id, record from loan");
    return [...rows].map(({ id, record }) => [id, JSON.parse(record) as LoanRecord]);
  }

  /** What is lent of this shard's own. */
  readLent(): LentRecord[] {
    const rows = this.#sql.exec<{ record: string }>("select record from lent");
    return [...rows].map(({ record }) => JSON.parse(record) as LentRecord);
  }

  writeLoans(changed: readonly [CountId, LoanRecord | undefined][]): void {
    this.#writeRecords("loan", "id", changed);
  }

  writeLent(changed: readonly [string, LentRecord | undefined][]): void {
    this.#writeRecords("lent", "key", changed);
  }

  /** The tenant's shards, as they were last known here. */
  readMap(): ShardMap | undefined {
    const [row] = this.#sql.exec<{ value: string }>("select value from meta where name = 'map'");
    return row && (JSON.parse(row.value) as ShardMap);
  }

  writeMap(map: ShardMap): void {
    this.#sql.exec("insert or replace into meta values ('map', ?)", JSON.stringify(map));
  }

  /** The epoch at which it last began to know nothing; 0 before its first. */
  readGeneration(): number {
    const [row] = this.#sql.exec<{ value: number }>(
      "select value from meta where name = 'generation'",
    );
    return row?.value ?? 0;
  }

  writeGeneration(generation: number): void {
    this.#sql.exec("insert or replace into meta values ('generation', ?)", generation);
  }

  /** For which shards, and as which generation, it has asked all others what they hold of its keys. */
  readGathered(): string | undefined {
    const [row] = this.#sql.exec<{ value: string }>(
      "select value from meta where name = 'gathered'",
    );
    return row?.value;
  }

  writeGathered(gathered: string): void {
    this.#sql.exec("insert or replace into meta values ('gathered', ?)", gathered);
  }

  /** The version of the shards that workers were last told of; 1, of which nobody needs to be, if they never were. */
  readAnnounced(): number {
    const [row] = this.#sql.exec<{ value: number }>(
      "select value from meta where name = 'announced'",
    );
    return row?.value ?? 1;
  }

  writeAnnounced(version: number): void {
    this.#sql.exec("insert or replace into meta values ('announced', ?)", version);
  }

  #writeRecords(
    table: "loan" | "lent",
    column: "id" | "key",
    changed: readonly [string, object | undefined][],
  ): void {
    const kept = changed.filter(([, record]) => record !== undefined);
    const gone = changed.filter(([, record]) => record === undefined);
    if (kept.length > 0) {
      this.#sql.exec(
        `insert or replace into ${table} select value->>0, value->>1 from json_each(?)`,
        JSON.stringify(kept.map(([key, record]) => [key, JSON.stringify(record)])),
      );
    }
    if (gone.length > 0) {
      this.#sql.exec(
        `delete from ${table} where ${column} in (select value from json_each(?))`,
        JSON.stringify(gone.map(([key]) => key)),
      );
    }
  }
}
