/**
 * The way to the database: a real Postgres engine behind a network that loses statements, loses
 * answers, hangs, and brings statements long after everybody has given them up. It never runs one
 * twice and never makes up an answer.
 */
import { NeonDbError } from "@neondatabase/serverless";
import { type History, isCommit } from "./history.ts";
import type { Postgres, Rows } from "./postgres.ts";
import type { Random } from "./random.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";
import type { Span, StatementTrouble, Weather } from "./weather.ts";

export type { Rows } from "./postgres.ts";

export interface Statement {
  name: string;
  text: string;
  values: unknown[];
  rowMode: "object" | "array";
}

/** How long after it was given up a statement may still take effect: while others recover, or later. */
const SOON_MS: Span = [1, 300];
const LATE_MS: Span = [300, 45_000];

/** A request over HTTP that nobody answers is given up by the network after so long. */
const HTTP_PATIENCE_MS = 60_000;

/** SQLSTATEs that say nothing about the statement. */
const PASSING = ["57P01", "40001", "40P01", "53300", "08006", "XX000", "57014"] as const;

interface Callbacks {
  answer: (rows: Rows[]) => void;
  fail: (error: Error) => void;
}

export class SimulatedDatabase {
  readonly sessions = new Set<Session>();
  /** Statements sent by shards. */
  statements = 0;
  /** Is called with its sender when the next commit of results is on its way, which then is a zombie (rule R1). */
  onZombieCommit: ((sender: SimulatedProcess) => void) | undefined;
  readonly #postgres: Postgres;
  readonly #surroundings: Surroundings;
  readonly #weather: Weather["database"];
  readonly #random: Random;
  readonly #server: SimulatedProcess;

  constructor(
    postgres: Postgres,
    parts: { surroundings: Surroundings; weather: Weather; random: Random },
  ) {
    this.#postgres = postgres;
    this.#surroundings = parts.surroundings;
    this.#weather = parts.weather.database;
    this.#random = parts.random;
    this.#server = new SimulatedProcess("database", parts.surroundings);
  }

  get history(): History {
    return this.#surroundings.history;
  }

  /** Opens a connection; `onLost` tells when it goes down by itself. */
  async open(process: SimulatedProcess, onLost: (error: Error) => void): Promise<Session> {
    process.databaseUses++;
    const { promise, resolve, reject } = Promise.withResolvers<Session>();
    process.say(() => {
      const isFailing = this.#random.chance(this.#weather.openFailures) || this.#weather.isDown;
      const waitMs = 2 * this.latencyMs();
      if (isFailing) this.throws("connection to the database refused", process.name);
      process.after(waitMs, () => {
        if (!isFailing) return resolve(new Session(this, process, onLost));
        process.databaseUses--;
        reject(new Error("connect ECONNREFUSED"));
      });
    });
    return await promise;
  }

  /** Runs statements in one transaction, each answered by its rows. */
  async sendOverHttp(process: SimulatedProcess, statements: Statement[]): Promise<Rows[]> {
    process.databaseUses++;
    const { promise, resolve, reject } = Promise.withResolvers<Rows[]>();
    process.say(() => {
      const fail = (error: Error): void => reject(asHttpError(error));
      process.after(HTTP_PATIENCE_MS, () => fail(connectionLost()));
      this.run(process, statements, () => true, { answer: resolve, fail });
    });
    try {
      return await promise;
    } finally {
      process.databaseUses--;
    }
  }

  /** Takes statements on their way; what becomes of them is drawn here. */
  run(
    process: SimulatedProcess,
    statements: Statement[],
    isOpen: () => boolean,
    { answer, fail }: Callbacks,
  ): void {
    const trouble = this.#troubleFor(process, statements);
    const lost = (): void => void process.after(this.latencyMs(), () => fail(connectionLost()));
    if (trouble === "cut before") return lost();
    if (trouble === "hung before") return;
    if (trouble === "passing error") {
      const code = this.#random.pick(PASSING);
      process.after(2 * this.latencyMs(), () => fail(passingError(code)));
      return;
    }
    if (trouble === "zombie") {
      // Whoever sent it may be told that the connection is gone, or nothing at all.
      if (this.#random.chance(0.7)) lost();
      const isSoon = this.#random.chance(0.5);
      const ms = isSoon ? this.#random.between(...SOON_MS) : this.#random.skewed(...LATE_MS);
      this.#server.after(ms, () => void this.#execute(statements));
      return;
    }
    this.#server.after(this.latencyMs(), () => {
      void this.#execute(statements).then((outcome) => {
        if (trouble === "hung after") return;
        if (trouble === "cut after") return lost();
        process.after(this.latencyMs(), () => {
          if (!isOpen()) return;
          if (outcome instanceof Error) fail(outcome);
          else answer(outcome);
        });
      });
    });
  }

  /** Connections that somebody holds open. */
  get held(): Session[] {
    return [...this.sessions].filter((session) => session.isHeld);
  }

  /** Every open connection goes down. */
  cutAll(): string | undefined {
    const { held } = this;
    for (const session of held) session.cut();
    return held.length > 0 ? `${held.length} connections` : undefined;
  }

  throws(kind: string, who: string, what?: string): void {
    this.#surroundings.trace.throws(kind, who, what);
  }

  latencyMs(): number {
    return this.#random.skewed(...this.#weather.latencyMs);
  }

  #troubleFor(process: SimulatedProcess, statements: Statement[]): StatementTrouble | undefined {
    const isHaunted = this.onZombieCommit !== undefined && statements.some(hasResults);
    const drawn = isHaunted ? "zombie" : this.#random.maybe(this.#weather.troubles);
    if (isHaunted) {
      const { onZombieCommit } = this;
      this.#server.after(0, () => onZombieCommit?.(process));
      this.onZombieCommit = undefined;
    }
    const trouble = this.#weather.isDown ? (drawn ?? "cut before") : drawn;
    const what = statements.map((statement) => this.history.describe(statement)).join(", ");
    this.#surroundings.trace.note(process.name, `sql ${what}`);
    if (trouble) this.throws(`statement ${trouble}`, process.name, what);
    return trouble;
  }

  async #execute(statements: Statement[]): Promise<Rows[] | Error> {
    return await this.#surroundings.clock.outside(async () => {
      const answers: Rows[] = [];
      try {
        for (const { text, values, rowMode } of statements) {
          await this.#postgres.setClock(this.#surroundings.clock.now);
          answers.push(await this.#postgres.query(text, values, rowMode));
        }
      } catch (error) {
        const thrown = error instanceof Error ? error : new Error(String(error));
        this.#surroundings.trace.note("database", `refused: ${thrown.message}`);
        return thrown;
      }
      for (const [index, statement] of statements.entries()) {
        await this.history.executed(statement, answers[index], this.#postgres);
      }
      return answers;
    });
  }
}

/** One open connection of one process. */
export class Session {
  readonly #database: SimulatedDatabase;
  readonly #process: SimulatedProcess;
  readonly #onLost: (error: Error) => void;
  readonly #unanswered = new Set<(error: Error) => void>();
  #isOpen = true;

  constructor(
    database: SimulatedDatabase,
    process: SimulatedProcess,
    onLost: (error: Error) => void,
  ) {
    this.#database = database;
    this.#process = process;
    this.#onLost = onLost;
    database.sessions.add(this);
  }

  /** A process that has ended holds nothing. */
  get isHeld(): boolean {
    return this.#isOpen && this.#process.isAlive;
  }

  async send(statement: Statement): Promise<Rows> {
    if (!this.#isOpen) throw connectionLost();
    const { promise, resolve, reject } = Promise.withResolvers<Rows>();
    this.#unanswered.add(reject);
    this.#process.say(() => {
      if (!this.#isOpen) return;
      this.#database.statements++;
      this.#database.run(this.#process, [statement], () => this.#isOpen, {
        answer: ([rows]) => {
          this.#unanswered.delete(reject);
          if (rows) resolve(rows);
        },
        fail: (error) => {
          if ("code" in error && error.code !== "57P01") {
            this.#unanswered.delete(reject);
            return reject(error);
          }
          this.#goDown(error);
        },
      });
    });
    return await promise;
  }

  close(): void {
    this.#end(connectionLost());
  }

  /** The server ends it; whoever has it is told a little later. */
  cut(): void {
    this.#process.after(this.#database.latencyMs(), () => this.#goDown(connectionLost()));
  }

  #goDown(error: Error): void {
    if (this.#end(error)) this.#onLost(error);
  }

  #end(error: Error): boolean {
    if (!this.#isOpen) return false;
    this.#isOpen = false;
    this.#database.sessions.delete(this);
    this.#process.databaseUses--;
    for (const reject of this.#unanswered) reject(error);
    this.#unanswered.clear();
    return true;
  }
}

function hasResults(statement: Statement): boolean {
  return isCommit(statement) && String(statement.values[0]).includes('"results":');
}

function connectionLost(): Error {
  return new Error("Connection terminated unexpectedly");
}

function passingError(code: string): Error {
  return Object.assign(new Error(`A passing error of Postgres (${code})`), { code });
}

function asHttpError(error: Error): Error {
  const code = "code" in error ? String(error.code) : undefined;
  const seen = new NeonDbError(error.message);
  return code === undefined ? seen : Object.assign(seen, { code });
}
