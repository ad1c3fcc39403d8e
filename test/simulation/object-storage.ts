/**
 * The storage of a Durable Object, and the gate in front of what it tells others. A write is durable
 * a little later; what is said after it waits for that. A crash in between loses both together, and
 * never one without the other.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";

interface Statement {
  text: string;
  values: SQLInputValue[];
}

/** What outlives every life of the object. */
export class ObjectDisk {
  /** When the alarm goes off, in milliseconds since 1970. */
  alarm: number | undefined;
  /** Rises with every change of the alarm, also to the same moment. */
  alarmVersion = 0;
  #statements: Statement[] = [];
  /** The content as a life left it, when that is all durable. */
  #left: DatabaseSync | undefined;

  write(statement: Statement): void {
    this.#statements.push(statement);
  }

  setAlarm(at: number | undefined): void {
    this.alarm = at;
    this.alarmVersion++;
  }

  /** The durable content, for a new life. */
  open(): DatabaseSync {
    const left = this.#left;
    this.#left = undefined;
    if (left !== undefined) return left;
    const database = new DatabaseSync(":memory:");
    for (const { text, values } of this.#statements) apply(database, text, values);
    return database;
  }

  /** A life has ended; with `isDurable` nothing that it wrote is lost. */
  close(database: DatabaseSync, isDurable: boolean): void {
    if (isDurable) this.#left = database;
    else database.close();
  }

  /** How many rows a table has, while the object is not in memory; none, if it has none of that name. */
  count(table: string): number {
    const database = this.open();
    const known = database.prepare("select 1 from sqlite_master where name = ?").get(table);
    const row = known && database.prepare(`select count(*) as rows from ${table}`).get();
    this.close(database, true);
    return Number(row?.["rows"] ?? 0);
  }

  /** Everything is lost, as after a fault of the platform's own. */
  forget(): void {
    this.#statements = [];
    this.#left = undefined;
    this.setAlarm(undefined);
  }
}

function apply(database: DatabaseSync, text: string, values: SQLInputValue[]): void {
  if (values.length === 0) database.exec(text);
  else database.prepare(text).run(...values);
}

type Held = { write: () => void; readyAt: number } | { say: () => void };

/** What one life has written and said that is not durable yet, in order. */
export class OutputGate {
  #held: Held[] = [];
  #lastReadyAt = 0;

  /** How many writes would be lost by a crash now. */
  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** When the first of what is held can go on. */
  get readyAt(): number | undefined {
    const [first] = this.#held;
    return first !== undefined && "write" in first ? first.readyAt : undefined;
  }

  write(write: () => void, readyAt: number): void {
    this.#lastReadyAt = Math.max(this.#lastReadyAt, readyAt);
    this.#held.push({ write, readyAt: this.#lastReadyAt });
  }

  say(say: () => void): void {
    if (this.isEmpty) say();
    else this.#held.push({ say });
  }

  /** Lets through what is durable by now. */
  open(now: number): void {
    for (;;) {
      const [first] = this.#held;
      if (first === undefined || ("write" in first && first.readyAt > now)) return;
      this.#held.shift();
      if ("write" in first) first.write();
      else first.say();
    }
  }
}

/** `SqlStorageCursor`, as far as it is used. */
class Cursor extends Array<Record<string, unknown>> {
  toArray(): Record<string, unknown>[] {
    return [...this];
  }

  one(): Record<string, unknown> {
    const [row] = this;
    if (row === undefined || this.length > 1)
      throw new Error(`Expected one row, got ${this.length}`);
    return row;
  }
}

/** `ctx.storage` of one life. */
export class ObjectStorage {
  readonly sql: { exec: (text: string, ...values: SQLInputValue[]) => Cursor };
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();
  readonly #disk: ObjectDisk;
  readonly #hold: (write: () => void) => void;
  #alarm: number | undefined;

  /** `hold` keeps a write until it is durable, and runs it then. */
  constructor(disk: ObjectDisk, hold: (write: () => void) => void) {
    this.#disk = disk;
    this.#hold = hold;
    this.#database = disk.open();
    this.#alarm = disk.alarm;
    this.sql = { exec: (text, ...values) => this.#exec(text, values) };
  }

  getAlarm(): Promise<number | null> {
    return Promise.resolve(this.#alarm ?? null);
  }

  setAlarm(at: number | Date): Promise<void> {
    this.#writeAlarm(Number(at));
    return Promise.resolve();
  }

  deleteAlarm(): Promise<void> {
    this.#writeAlarm(undefined);
    return Promise.resolve();
  }

  /** While the alarm's handler runs there is no alarm but one that it sets. */
  takeAlarm(): void {
    this.#alarm = undefined;
  }

  close(isDurable: boolean): void {
    this.#disk.close(this.#database, isDurable);
  }

  #writeAlarm(at: number | undefined): void {
    this.#alarm = at;
    this.#hold(() => this.#disk.setAlarm(at));
  }

  #exec(text: string, values: SQLInputValue[]): Cursor {
    if (/^\s*select\b/i.test(text))
      return Cursor.from(this.#prepare(text).all(...values)) as Cursor;
    if (values.length === 0) this.#database.exec(text);
    else this.#prepare(text).run(...values);
    this.#hold(() => this.#disk.write({ text, values }));
    return new Cursor();
  }

  #prepare(text: string): StatementSync {
    let statement = this.#prepared.get(text);
    if (statement === undefined) {
      statement = this.#database.prepare(text);
      this.#prepared.set(text, statement);
    }
    return statement;
  }
}
