/**
 * One life of a Durable Object, from the moment it is brought into memory until it leaves it: the
 * instance, its storage, the gate in front of what it says, and the calls it has not answered.
 */
import type { ObjectHost } from "./object-host.ts";
import { type ObjectConnection, ObjectSocket, type RequestResponsePair } from "./object-sockets.ts";
import { ObjectStorage, OutputGate } from "./object-storage.ts";
import { SimulatedProcess } from "./simulated-process.ts";

export interface Answer {
  resolve: (answer: unknown) => void;
  reject: (error: Error) => void;
}

export class ObjectLife extends SimulatedProcess {
  #isInAlarm = false;
  readonly #host: ObjectHost;
  readonly #make: (context: unknown) => unknown;
  readonly #gate = new OutputGate();
  readonly #sockets = new Map<ObjectConnection, ObjectSocket>();
  readonly #unanswered = new Set<Answer>();
  /** What came before the object was ready for it. */
  #inbox: ((life: ObjectLife) => void)[] | undefined = [];
  #storage: ObjectStorage | undefined;
  #instance: Record<string, unknown> | undefined;
  #isBlocking = 0;
  #isGatePlanned = false;
  #turnsLeft: number | undefined;

  constructor(host: ObjectHost, name: string, make: (context: unknown) => unknown) {
    super(name, host.surroundings);
    this.#host = host;
    this.#make = make;
  }

  /** Whether something keeps it in memory. */
  get isBusy(): boolean {
    const isAsking = this.databaseUses > 0 || this.callsUnderWay > 0;
    const isWaiting = this.#unanswered.size > 0 || isAsking || this.#isInAlarm;
    return isWaiting || this.#inbox !== undefined || !this.#gate.isEmpty;
  }

  /** Whether a crash now would lose something that has been written. */
  get hasUndurable(): boolean {
    return !this.#gate.isEmpty;
  }

  begin(): void {
    this.run(() => {
      this.#storage = new ObjectStorage(this.#host.disk, (write) => this.#hold(write));
      this.#instance = this.#make(this.#context()) as Record<string, unknown>;
    });
    this.after(0, () => this.#openInbox());
  }

  /** Ends it at the end of a turn, that many turns from now. */
  crashAfter(turns: number): void {
    this.#turnsLeft = turns;
  }

  override turned(): void {
    super.turned();
    if (!this.isAlive || this.#turnsLeft === undefined || --this.#turnsLeft > 0) return;
    this.#host.end("crashed");
  }

  /** Runs it as soon as the object takes events. Should it never: whoever waits for the answer hears of that. */
  deliver(run: (life: ObjectLife) => void, answer?: Answer): void {
    if (answer) this.#unanswered.add(answer);
    if (this.#inbox) this.#inbox.push(run);
    else this.run(() => run(this));
  }

  /** Calls a method whose answer somebody waits for. */
  call(method: string, parameters: unknown[], answer: Answer): void {
    // Unanswered until it is let out: should the life end before, the caller hears of that.
    const end = (tell: () => void): void =>
      this.say(() => {
        if (this.#unanswered.delete(answer)) tell();
      });
    this.#apply(method, parameters).then(
      (value) => end(() => answer.resolve(value)),
      (error: Error) => end(() => answer.reject(error)),
    );
  }

  /** Calls a handler; what it throws is the object's own fault. */
  invoke(method: string, ...parameters: unknown[]): void {
    this.#apply(method, parameters).catch((error: unknown) => this.#blame(method, error));
  }

  ring(rung: () => void): void {
    this.#isInAlarm = true;
    this.#storage?.takeAlarm();
    this.#apply("alarm", [])
      .catch((error: unknown) => this.#blame("alarm", error))
      .finally(() => {
        this.say(() => {
          this.#isInAlarm = false;
          rung();
        });
      });
  }

  override say(work: () => void): void {
    if (this.isAlive) this.#gate.say(work);
  }

  socketOf(connection: ObjectConnection): ObjectSocket {
    let socket = this.#sockets.get(connection);
    if (socket === undefined) {
      socket = new ObjectSocket(connection, this);
      this.#sockets.set(connection, socket);
    }
    return socket;
  }

  override end(isDurable = false): void {
    super.end();
    this.#storage?.close(isDurable);
    const error = Object.assign(new Error("The Durable Object's life has ended"), { remote: true });
    for (const answer of this.#unanswered) answer.reject(error);
    this.#unanswered.clear();
  }

  /** `ctx`, as the object's constructor gets it. */
  #context(): Record<string, unknown> {
    const host = this.#host;
    return {
      id: { name: host.id },
      storage: this.#storage,
      acceptWebSocket: (socket: ObjectSocket) => {
        socket.connection.host = host;
        host.connections.add(socket.connection);
        this.#sockets.set(socket.connection, socket);
      },
      getWebSockets: () => [...host.connections].map((connection) => this.socketOf(connection)),
      setWebSocketAutoResponse: (pair: RequestResponsePair) => {
        host.autoResponse = pair;
      },
      getWebSocketAutoResponseTimestamp: ({ connection }: ObjectSocket) => connection.answeredAt,
      blockConcurrencyWhile: async (work: () => Promise<unknown>) => {
        this.#isBlocking++;
        try {
          return await work();
        } finally {
          this.#isBlocking--;
          this.after(0, () => this.#openInbox());
        }
      },
      waitUntil: () => {},
      abort: () => host.end("aborted"),
    };
  }

  /** Lets in what has waited, in order and each in a turn of its own. */
  #openInbox(): void {
    if (this.#isBlocking > 0 || this.#instance === undefined || this.#inbox === undefined) return;
    const next = this.#inbox.shift();
    if (next === undefined) {
      this.#inbox = undefined;
      return;
    }
    this.run(() => next(this));
    this.after(0, () => this.#openInbox());
  }

  async #apply(method: string, parameters: unknown[]): Promise<unknown> {
    const callable = this.#instance?.[method];
    if (typeof callable !== "function") throw new Error(`The object has no method ${method}`);
    return await (callable.apply(this.#instance, parameters) as unknown);
  }

  #blame(method: string, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.surroundings.history.blame(`${this.name} threw in ${method}: ${text}`);
  }

  #hold(write: () => void): void {
    const { random, weather, surroundings } = this.#host;
    const delayMs = random.skewed(...weather.shard.durableMs);
    this.#gate.write(() => {
      write();
      this.#host.planAlarm();
    }, surroundings.clock.now + delayMs);
    this.#planGate();
  }

  #planGate(): void {
    const { readyAt } = this.#gate;
    if (this.#isGatePlanned || readyAt === undefined) return;
    this.#isGatePlanned = true;
    this.after(readyAt - this.surroundings.clock.now, () => {
      this.#isGatePlanned = false;
      this.#gate.open(this.surroundings.clock.now);
      this.#planGate();
    });
  }
}
