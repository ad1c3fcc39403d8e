/** What whoever calls a simulated object hears of it, also when a life ends under the call. */
import { expect, test } from "vitest";
import { History } from "./history.ts";
import { ObjectHost } from "./object-host.ts";
import { Random } from "./random.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";
import { Trace } from "./trace.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { calmWeather } from "./weather.ts";

const DURABLE_AFTER_MS = 100;

/** Writes before it answers, as a shard does that leases a task. */
class Writer {
  readonly #storage: DurableObjectStorage;

  constructor({ storage }: DurableObjectState) {
    this.#storage = storage;
  }

  async write(): Promise<string> {
    await this.#storage.setAlarm(1_000_000);
    return "written";
  }
}

function callWriter(): { clock: VirtualClock; host: ObjectHost; heard: unknown[] } {
  const clock = new VirtualClock(0);
  const trace = new Trace(clock);
  const random = new Random("object host");
  const history = new History(trace, clock);
  const surroundings = { clock, trace, history, random } as unknown as Surroundings;
  const weather = calmWeather();
  weather.shard.durableMs = [DURABLE_AFTER_MS, DURABLE_AFTER_MS];
  const make = (context: unknown): unknown => new Writer(context as DurableObjectState);
  const host = new ObjectHost("writer", "writer", make, { surroundings, weather, random });
  const heard: unknown[] = [];
  const caller = new SimulatedProcess("caller", surroundings);
  host.call("write", [], caller).then(
    (answer) => heard.push(answer),
    (error: unknown) => heard.push(error),
  );
  return { clock, host, heard };
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
