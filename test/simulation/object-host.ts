/**
 * Hosts one Durable Object as the platform does: brings it to life when something is for it, lets it
 * hibernate when nothing is, and can end its life at any moment. It runs the real class, knows its
 * methods only by name, and never looks inside.
 */
import { ObjectDisk } from "./object-storage.ts";
import { type Answer, ObjectLife } from "./object-life.ts";
import type { ObjectConnection, RequestResponsePair } from "./object-sockets.ts";
import type { Random } from "./random.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";
import type { ObjectTrouble, Weather } from "./weather.ts";

/** Idle for so long, an object leaves memory. */
const HIBERNATES_AFTER_MS = 10_000;

/** Between the tries of an alarm whose handler did not come to its end. */
const ALARM_RETRY_MS = 2_000;

/** Why a life ends. Sockets stay only when the object hibernates. */
export type End = "hibernated" | "evicted" | "crashed" | "aborted";

export class ObjectHost {
  /** The object's name, which says what it is for. */
  readonly id: string;
  /** What it is called in the trace. */
  readonly name: string;
  readonly random: Random;
  readonly weather: Weather;
  readonly surroundings: Surroundings;
  readonly disk = new ObjectDisk();
  readonly connections = new Set<ObjectConnection>();
  autoResponse: RequestResponsePair | undefined;
  /** Lives so far. */
  lives = 0;
  /** How often it has been woken or spoken to. */
  deliveries = 0;
  readonly #make: (context: unknown) => unknown;
  /** The platform itself: it outlives every life. */
  readonly #platform: SimulatedProcess;
  #life: ObjectLife | undefined;
  #plannedAlarm = -1;
  #activeAt = 0;
  #isSleepPlanned = false;
  /** The alarm's handler has been called, and has not come to its end. */
  #isRinging = false;

  constructor(
    id: string,
    name: string,
    make: (context: unknown) => unknown,
    parts: { surroundings: Surroundings; weather: Weather; random: Random },
  ) {
    this.id = id;
    this.name = name;
    this.#make = make;
    this.surroundings = parts.surroundings;
    this.weather = parts.weather;
    this.random = parts.random;
    this.#platform = new SimulatedProcess(`${name} platform`, parts.surroundings);
  }

  get life(): ObjectLife | undefined {
    return this.#life;
  }

  /**
   * Calls a method from a process; rejects when the life that has it ends. What another object calls for
   * leaves it once what it has written before is durable, and it stays in memory until it is answered.
   */
  async call(method: string, parameters: unknown[], caller: SimulatedProcess): Promise<unknown> {
    const { trace } = this.surroundings;
    const isTold = trace.isPrinted && caller instanceof ObjectLife;
    const tell = (what: unknown): void => {
      if (isTold) trace.remark(caller.name, `${this.name}.${method} ${JSON.stringify(what)}`);
    };
    tell(parameters);
    caller.callsUnderWay++;
    try {
      const answer = await this.#call(method, parameters, caller);
      tell({ answer });
      return answer;
    } finally {
      caller.callsUnderWay--;
    }
  }

  #call(method: string, parameters: unknown[], caller: SimulatedProcess): Promise<unknown> {
    const copies = method === "fetch" ? parameters : structuredClone(parameters); // as the wire does
    const trouble =
      method === "fetch"
        ? undefined
        : this.random.maybe<ObjectTrouble>(this.weather.shard.troubles);
    if (trouble) this.surroundings.trace.throws(`object ${trouble}`, this.name, method);
    return new Promise((resolve, reject) => {
      const fail = (properties: object): void => {
        const error = Object.assign(new Error("The object did not answer"), properties);
        caller.after(this.#hopMs(), () => reject(error));
      };
      const answered: Answer = {
        resolve: (answer) => {
          if (trouble === "answer lost") fail({ remote: true });
          else caller.after(this.#hopMs(), () => resolve(answer));
        },
        reject: (error) => caller.after(this.#hopMs(), () => reject(error)),
      };
      const arrive = (life: ObjectLife): void => life.call(method, copies, answered);
      caller.say(() => {
        if (trouble === "overloaded") fail({ overloaded: true });
        else this.#platform.after(this.#hopMs(), () => this.#deliver(arrive, answered));
      });
    });
  }

  receive(connection: ObjectConnection, text: string): void {
    if (connection.isGone || !this.connections.has(connection)) return;
    this.#deliver((life) => life.invoke("webSocketMessage", life.socketOf(connection), text));
  }

  closed(connection: ObjectConnection, code: number, reason: string): void {
    if (!this.connections.delete(connection)) return;
    this.#deliver((life) => {
      const socket = life.socketOf(connection);
      if (code === 1006 && this.random.chance(0.5)) {
        life.invoke("webSocketError", socket, new Error("The network is gone"));
      } else {
        life.invoke("webSocketClose", socket, code, reason, code !== 1006);
      }
    });
  }

  /** Ends the present life, if there is one. */
  end(why: End): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    this.surroundings.trace.note(this.name, `life ${this.lives} ${why}`);
    life.end(why === "hibernated");
    if (why === "hibernated") return;
    for (const connection of this.connections) connection.link?.break();
    for (const connection of this.connections) connection.isGone = true;
    this.connections.clear();
    if (this.#isRinging) this.#ringLater(this.disk.alarmVersion);
    this.#isRinging = false;
  }

  /** Loses everything that the object has written. */
  forget(): void {
    this.disk.forget();
    this.end("crashed");
  }

  /** The platform gives up on the alarm, after its handler has taken the object down too often. */
  dropAlarm(): void {
    this.disk.setAlarm(undefined);
    this.end("crashed");
  }

  /** Plans the alarm anew, after it may have changed. */
  planAlarm(): void {
    const { disk, weather, surroundings } = this;
    if (this.#plannedAlarm === disk.alarmVersion || disk.alarm === undefined) return;
    const version = disk.alarmVersion;
    this.#plannedAlarm = version;
    const lateMs = this.random.skewed(...weather.alarms.lateMs);
    if (lateMs > 1_000) surroundings.trace.throws("alarm late", this.name, `${lateMs} ms`);
    this.#platform.after(disk.alarm - surroundings.clock.now + lateMs, () => this.#ring(version));
  }

  #ring(version: number): void {
    const { disk, weather, surroundings } = this;
    if (disk.alarmVersion !== version || disk.alarm === undefined) return;
    if (this.#isRinging) return this.#ringLater(version);
    surroundings.trace.note(this.name, "alarm");
    this.#isRinging = true;
    this.#deliver((life) => {
      life.ring(() => {
        this.#isRinging = false;
        if (disk.alarmVersion === version) disk.setAlarm(undefined);
        this.planAlarm();
        if (!this.random.chance(weather.alarms.repeats)) return;
        surroundings.trace.throws("alarm repeated", this.name);
        this.#platform.after(this.#hopMs(), () => this.#deliver((again) => again.invoke("alarm")));
      });
    });
  }

  /** Its handler did not come to its end: it goes off again, unless it has been set anew. */
  #ringLater(version: number): void {
    this.#platform.after(ALARM_RETRY_MS, () => this.#ring(version));
  }

  #deliver(run: (life: ObjectLife) => void, answer?: Answer): void {
    this.#activeAt = this.surroundings.clock.now;
    this.deliveries++;
    this.#life ??= this.#begin();
    this.#life.deliver(run, answer);
    this.#planSleep();
  }

  #begin(): ObjectLife {
    this.lives++;
    const life = new ObjectLife(this, `${this.name}#${this.lives}`, this.#make);
    this.surroundings.trace.note(this.name, `life ${this.lives} begins`);
    this.#platform.after(this.random.skewed(...this.weather.shard.coldStartMs), () => {
      if (this.#life === life) life.begin();
    });
    return life;
  }

  #planSleep(): void {
    if (this.#isSleepPlanned) return;
    this.#isSleepPlanned = true;
    const idleMs = this.surroundings.clock.now - this.#activeAt;
    const waitMs =
      idleMs < HIBERNATES_AFTER_MS ? HIBERNATES_AFTER_MS - idleMs : HIBERNATES_AFTER_MS;
    this.#platform.after(waitMs, () => {
      this.#isSleepPlanned = false;
      if (this.#life === undefined) return;
      const isIdle = this.surroundings.clock.now - this.#activeAt >= HIBERNATES_AFTER_MS;
      if (isIdle && !this.#life.isBusy) this.end("hibernated");
      else this.#planSleep();
    });
  }

  #hopMs(): number {
    return this.random.skewed(...this.weather.shard.hopMs);
  }
}
