/**
 * What passes between the shards under test and the rest of the world: statements on held
 * connections, messages and alarms that have reached a shard. Tests wait on it until nothing is
 * under way, read from it what was committed, and lose an answer with it. The statements themselves
 * go to the real database.
 */
import { HeldConnection } from "../../database/connect.ts";
import { DispatcherShard } from "../../durable-objects/dispatcher-shard.ts";
import { LoanCalls } from "../../durable-objects/shard-loan-calls.ts";
import type { CommitRequest } from "../../database/rows.ts";

const PATIENCE_MS = 15_000; // real time until something that never ends fails the test

class Traffic {
  /** Statements sent since the test began, the text of each commit's request among them. */
  statements: { name: string; request: string }[] = [];
  alarms = 0;
  #open = new Set<HeldConnection>();
  #opening = 0;
  #running = new Map<HeldConnection, number>();
  #sent = 0;
  #received = 0;
  /** What shards ask each other of limits. */
  #calls = 0;
  #answersToLose = 0;
  #answersToPass = 0;
  #answersOf = "commit";
  #areOpeningsHeld = false;

  /** Connections that are open now. */
  get connections(): number {
    return this.#open.size;
  }

  /** The requests of the commits of a tenant, in the order in which they were sent. */
  commitsOf(tenant: string): CommitRequest[] {
    return this.statements
      .filter(({ name }) => name === "commit")
      .map(({ request }) => JSON.parse(request) as CommitRequest)
      .filter((request) => request.tenant === tenant);
  }

  /**
   * The answers of the next commits, or of those after some, arrive at nobody, although the commits land. `of`: the
   * answers of statements with that in them instead.
   */
  loseAnswers(count: number, { after = 0, of = "commit" } = {}): void {
    this.#answersToLose += count;
    this.#answersToPass = after;
    this.#answersOf = of;
  }

  /** A connection that begins to open now goes on opening for as long as this is true. */
  holdOpenings(areHeld: boolean): void {
    this.#areOpeningsHeld = areHeld;
  }

  /** Waits until this many connections are being opened. */
  async opening(count: number): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.#opening < count) {
      if (performance.now() > deadline) throw new Error(`${this.#describe()}, not ${count}`);
      await scheduler.wait(1);
    }
  }

  /** A fake worker has sent something that its shard's handlers will hear of. */
  said(): void {
    this.#sent++;
  }

  /** A new test begins. */
  forget(): void {
    this.statements = [];
    this.alarms = 0;
    this.endLife();
  }

  /** Call it inside the shard whose connections they are. */
  closeConnections(): void {
    for (const connection of this.#open) connection.close();
  }

  /** What was under way has gone down with its shard. */
  endLife(): void {
    this.#open.clear();
    this.#running.clear();
    this.#opening = 0;
    this.#sent = this.#received = this.#calls = 0;
    this.#answersToLose = this.#answersToPass = 0;
    this.#areOpeningsHeld = false;
  }

  /** Waits until every message has been heard and every statement answered. */
  async settled(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let quietTurns = 0; quietTurns < 3;) {
      quietTurns = this.#isQuiet ? quietTurns + 1 : 0;
      if (performance.now() > deadline) throw new Error(`Still under way: ${this.#describe()}`);
      await scheduler.wait(1);
    }
  }

  /** Waits until this many statements of a name have been sent since the test began. */
  async sent(name: string, count: number): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.statements.filter((statement) => statement.name === name).length < count) {
      if (performance.now() > deadline) throw new Error(`No ${count} statements ${name} were sent`);
      await scheduler.wait(1);
    }
  }

  get #isQuiet(): boolean {
    const isWaiting = this.#opening > 0 || this.#running.size > 0 || this.#calls > 0;
    return !isWaiting && this.#received >= this.#sent;
  }

  #describe(): string {
    return `${this.#running.size} statements, ${this.#opening} connections, ${this.#sent - this.#received} messages, ${this.#calls} calls`;
  }

  /** Puts itself between the shards and the driver, for good. */
  watch(): void {
    const traffic = this;
    const { open } = HeldConnection;
    const { query, close } = HeldConnection.prototype;
    HeldConnection.open = async (config, onLost) => {
      traffic.#opening++;
      try {
        while (traffic.#areOpeningsHeld) await scheduler.wait(1);
        let opened: HeldConnection | undefined;
        const connection = await open.call(HeldConnection, config, () => {
          if (opened !== undefined) traffic.#drop(opened);
          onLost();
        });
        opened = connection;
        traffic.#open.add(connection);
        return connection;
      } finally {
        traffic.#opening = Math.max(0, traffic.#opening - 1);
      }
    };
    HeldConnection.prototype.query = async function (name, text, parameters) {
      traffic.statements.push({ name, request: String(parameters[0]) });
      traffic.#running.set(this, (traffic.#running.get(this) ?? 0) + 1);
      try {
        const rows = await query.call(this, name, text, parameters);
        const isNamed = name === traffic.#answersOf || text.includes(`.${traffic.#answersOf}(`);
        const isCounted = isNamed && traffic.#answersToLose > 0;
        if (isCounted && traffic.#answersToPass > 0) {
          traffic.#answersToPass--;
        } else if (isCounted) {
          traffic.#answersToLose--;
          throw new Error("The connection went away before the answer came");
        }
        return rows;
      } finally {
        const left = (traffic.#running.get(this) ?? 1) - 1;
        if (left > 0) traffic.#running.set(this, left);
        else traffic.#running.delete(this);
      }
    };
    HeldConnection.prototype.close = function () {
      traffic.#drop(this);
      close.call(this);
    };
    const { reach } = LoanCalls.prototype;
    LoanCalls.prototype.reach = async function (shard, call) {
      traffic.#calls++;
      try {
        return (await reach.call(this, shard, call as never)) as never;
      } finally {
        traffic.#calls = Math.max(0, traffic.#calls - 1);
      }
    };
    for (const name of ["webSocketMessage", "webSocketClose"] as const) {
      const original = DispatcherShard.prototype[name] as (...words: unknown[]) => unknown;
      DispatcherShard.prototype[name] = function (...words: unknown[]) {
        try {
          return original.apply(this, words) as undefined;
        } finally {
          traffic.#received++;
        }
      };
    }
    const { alarm } = DispatcherShard.prototype;
    DispatcherShard.prototype.alarm = function () {
      traffic.alarms++;
      return alarm.call(this);
    };
  }

  #drop(connection: HeldConnection): void {
    this.#open.delete(connection);
    this.#running.delete(connection);
  }
}

export const traffic = new Traffic();
traffic.watch();
