/**
 * What a shard must know on waking without asking Postgres: its sessions and leases, in the
 * object's own SQLite. Written in the same turn as the decision; the platform holds back what the
 * turn sends until the write is durable.
 */
import type { Lease } from "./dispatcher/leases.ts";
import type { SessionRecord } from "./dispatcher/roster.ts";

const SCHEMA = `
  create table if not exists meta (name text primary key, value) without rowid;
  create table if not exists session (id text primary key, record text not null) without rowid;
  create table if not exists lease (
    task text primary key, run text not null, attempt integer not null, session text not null,
    version text not null, step integer not null, sent_at integer not null,
    deadline integer not null, is_cancelled integer not null
  ) without rowid;
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

  deleteSession(id: string): void {
    this.#sql.exec("delete from session where id = ?", id);
  }

  readLeases(): Lease[] {
    const rows = this.#sql.exec<{
      task: string;
      run: string;
      attempt: number;
      session: string;
      version: string;
      step: number;
      sent_at: number;
      deadline: number;
      is_cancelled: number;
    }>("select * from lease");
    return [...rows].map(({ sent_at: sentAt, is_cancelled: isCancelled, ...lease }) => ({
      ...lease,
      sentAt,
      state: isCancelled ? ("cancelled" as const) : ("held" as const),
      isReleased: false,
      isStartRecorded: false,
    }));
  }

  /** Writes leases, all in one statement: there may be a thousand in a turn. */
  writeLeases(leases: Lease[]): void {
    if (leases.length === 0) return;
    const rows = leases.map((lease) => [
      lease.task,
      lease.run,
      lease.attempt,
      lease.session,
      lease.version,
      lease.step,
      lease.sentAt,
      lease.deadline,
      lease.state === "cancelled" ? 1 : 0,
    ]);
    this.#sql.exec(
      `insert or replace into lease
         select value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7,
                value->>8
           from json_each(?)`,
      JSON.stringify(rows),
    );
  }

  deleteLeases(tasks: string[]): void {
    if (tasks.length === 0) return;
    this.#sql.exec(
      "delete from lease where task in (select value from json_each(?))",
      JSON.stringify(tasks),
    );
  }

  /** Forgets every lease: Postgres has said that they are not of the last life. */
  deleteAllLeases(): void {
    this.#sql.exec("delete from lease");
  }
}
