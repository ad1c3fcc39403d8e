/**
 * The one session of a PGlite database, shared in turns by many logical connections.
 *
 * A turn is a whole unit of messages (up to Sync, Query or Flush) and lasts until the session is
 * idle: a connection that leaves a transaction open keeps the turn, and the others wait.
 * It must never run two connections' messages in one transaction.
 */
import type { PGlite } from "@electric-sql/pglite";
import { readCString, readMessages } from "./wire-messages.ts";

/** What the session is after a unit; `open` after a Flush: the unit has not ended. */
export type SessionState = "idle" | "transaction" | "failed" | "open";

export interface UnitOutput {
  /** What the connection gets; notifications are taken out. */
  bytes: Buffer;
  state: SessionState;
  /** Command tags, such as `INSERT 0 1`. */
  tags: string[];
  /** NotificationResponse messages, for every connection that listens. */
  notifications: Buffer[];
}

/** What a Postgres server tells a client at login, as far as this version knows the setting. */
const REPORTED_SETTINGS = [
  "server_version",
  "server_encoding",
  "client_encoding",
  "application_name",
  "default_transaction_read_only",
  "in_hot_standby",
  "is_superuser",
  "session_authorization",
  "DateStyle",
  "IntervalStyle",
  "TimeZone",
  "integer_datetimes",
  "standard_conforming_strings",
  "search_path",
];

const STATES: Record<string, SessionState> = { I: "idle", T: "transaction", E: "failed" };

interface Turn {
  holder: object;
  begin(): void;
  refuse(error: Error): void;
}

export class PgliteSession {
  readonly settings: ReadonlyMap<string, string>;
  #database: PGlite;
  #holder: object | undefined;
  #waiting: Turn[] = [];
  #isClosed = false;
  #onBroken: (error: Error) => void;

  private constructor(
    database: PGlite,
    settings: Map<string, string>,
    onBroken: (error: Error) => void,
  ) {
    this.#database = database;
    this.settings = settings;
    this.#onBroken = onBroken;
  }

  /** `onBroken` is called when the engine itself has died: nothing can run on it any more. */
  static async open(
    database: PGlite,
    onBroken: (error: Error) => void = () => {},
  ): Promise<PgliteSession> {
    const { rows } = await database.query<{ name: string; value: string | null }>(
      "select name, current_setting(name, true) as value from unnest($1::text[]) name",
      [REPORTED_SETTINGS],
    );
    const settings = new Map<string, string>();
    for (const { name, value } of rows) if (value !== null) settings.set(name, value);
    return new PgliteSession(database, settings, onBroken);
  }

  /** Waits for the turn, runs one unit, and passes the turn on if the session is idle after it. */
  async run(holder: object, unit: Buffer): Promise<UnitOutput> {
    await this.#takeTurn(holder);
    if (this.#isClosed) throw new Error("The database is closing.");
    let output: UnitOutput;
    try {
      const raw = await this.#database.runExclusive(() => this.#database.execProtocolRaw(unit));
      // A copy: the engine writes its next answer into the same memory.
      output = readOutput(Buffer.from(raw));
    } catch (error) {
      const broken = new Error("PGlite has stopped: " + String(error), { cause: error });
      this.#onBroken(broken);
      throw broken;
    }
    if (output.state === "idle") this.#passTurn();
    return output;
  }

  /** Nothing runs any more; an open transaction is lost, as it must be. */
  close(): void {
    this.#isClosed = true;
  }

  holdsTurn(holder: object): boolean {
    return this.#holder === holder;
  }

  /** A connection that has gone does not wait any more. */
  stopWaiting(holder: object): void {
    const gone = this.#waiting.filter((turn) => turn.holder === holder);
    this.#waiting = this.#waiting.filter((turn) => turn.holder !== holder);
    for (const turn of gone) turn.refuse(new Error("The connection was closed."));
  }

  async #takeTurn(holder: object): Promise<void> {
    if (this.#holder === holder) return;
    if (this.#holder === undefined) {
      this.#holder = holder;
      return;
    }
    await new Promise<void>((begin, refuse) => this.#waiting.push({ holder, begin, refuse }));
  }

  #passTurn(): void {
    const next = this.#waiting.shift();
    this.#holder = next?.holder;
    next?.begin();
  }
}

function readOutput(raw: Buffer): UnitOutput {
  const output: UnitOutput = { bytes: raw, state: "open", tags: [], notifications: [] };
  const kept: Buffer[] = [];
  let keptUntil = 0;
  for (const { type, body, start, end } of readMessages(raw)) {
    if (type === "Z") output.state = STATES[body.toString("latin1")] ?? "idle";
    else if (type === "C") output.tags.push(readCString(body, 0).text);
    else if (type === "A") {
      output.notifications.push(raw.subarray(start, end));
      kept.push(raw.subarray(keptUntil, start));
      keptUntil = end;
    }
  }
  if (keptUntil > 0) output.bytes = Buffer.concat([...kept, raw.subarray(keptUntil)]);
  return output;
}
