/** What whoever calls a simulated object hears of it, also when a life ends under the call. */
import { expect, test } from "vitest";
import { History } from "./history.ts";
import { ObjectHost } from "./object-host.ts";
import { Random } from "./random.ts";
import { SimulatedProcess, type Surroundings, thisProcess } from "./simulated-process.ts";
import { Trace } from "./trace.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { calmWeather } from "./weather.ts";

const DURABLE_AFTER_MS = 100;

/** Long enough for an object with nothing to do to hibernate. */
const ANSWERS_AFTER_MS = 60_000;

/** Writes before it answers, as a shard does that leases a task; or before it asks another. */
class Writer {
  readonly #storage: DurableObjectStorage;
  readonly #other: () => ObjectHost;

  constructor({ storage }: DurableObjectState, other: () => ObjectHost) {
    this.#storage = storage;
    this.#other = other;
  }

  /** Answers before it has an answer itself. */
  ask(): void {
    void this.#storage.setAlarm(1_000_000);
    void this.#other().call("think", [], thisProcess());
  }

  async think(): Promise<string> {
    await new Promise<void>((resolve) => thisProcess().after(ANSWERS_AFTER_MS, resolve));
    return "thought";
  }

  async write(): Promise<string> {
    await this.#storage.setAlarm(1_000_000);
    return "written";
  }
}

function callWriter(method = "write"): {
  clock: VirtualClock;
  host: ObjectHost;
  other: ObjectHost;
  heard: unknown[];
} {
  const clock = new VirtualClock(0);
  const trace = new Trace(clock);
  const random = new Random("object host");
  const history = new History(trace, clock);
  const surroundings = { clock, trace, history, random } as unknown as Surroundings;
  const weather = calmWeather();
  weather.shard.durableMs = [DURABLE_AFTER_MS, DURABLE_AFTER_MS];
  const make = (context: unknown): unknown =>
    new Writer(context as DurableObjectState, () => other);
  const parts = { surroundings, weather, random };
  const host = new ObjectHost("writer", "writer", make, parts);
  const other: ObjectHost = new ObjectHost("other", "other", make, parts);
  const heard: unknown[] = [];
  const caller = new SimulatedProcess("caller", surroundings);
  host.call(method, [], caller).then(
    (answer) => heard.push(answer),
    (error: unknown) => heard.push(error),
  );
  return { clock, host, other, heard };
}

test("a call is answered once what it has written is durable", async () => {
  const { clock, heard } = callWriter();
  await clock.run(() => false, DURABLE_AFTER_MS - 1);
  expect(heard).toEqual([]);
  await clock.run(() => heard.length > 0, 1_000);
  expect(heard).toEqual(["written"]);
});

test("a call is rejected whose object ends before its answer is let out", async () => {
  const { clock, host, heard } = callWriter();
  await clock.run(() => host.life?.hasUndurable === true, 1_000);
  await clock.run(() => false, clock.now + DURABLE_AFTER_MS / 2);
  host.end("crashed");
  await clock.run(() => heard.length > 0, 1_000);
  expect(heard).toEqual([expect.objectContaining({ remote: true })]);
});

test("an object's call of another leaves it once what it has written before is durable", async () => {
  const { clock, other } = callWriter("ask");
  await clock.run(() => false, DURABLE_AFTER_MS);
  expect(other.deliveries).toBe(0);
  await clock.run(() => other.deliveries > 0, 1_000);
  expect(other.deliveries).toBe(1);
});

test("an object that waits for another's answer stays in memory", async () => {
  const { clock, host, other } = callWriter("ask");
  await clock.run(() => false, ANSWERS_AFTER_MS);
  expect([host.life, other.life]).toEqual([expect.anything(), expect.anything()]);
  await clock.run(() => false, 2 * ANSWERS_AFTER_MS);
  expect([host.life, other.life]).toEqual([undefined, undefined]);
});
