/**
 * What the platform gives to every program, as the simulation's processes see it: virtual time,
 * seeded chance, simulated sockets. Code that runs in none of them sees the real thing.
 */
import { createHash } from "node:crypto";
import { SocketPair, RequestResponsePair } from "./object-sockets.ts";
import { currentProcess } from "./simulated-process.ts";
import { Appointment } from "./virtual-clock.ts";
import { WorkerSocket } from "./worker-socket.ts";

type Callback = (...parameters: unknown[]) => void;

/** Once in a thread, before any of the product's modules is loaded. */
export function replaceGlobals(): void {
  replaceTime();
  replaceTimers();
  replaceChance();
  const { log } = console;
  Object.assign(globalThis, {
    WebSocket: WorkerSocket,
    WebSocketPair: SocketPair,
    WebSocketRequestResponsePair: RequestResponsePair,
    Response: upgradableResponse(Response),
    scheduler: { wait: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms)) },
  });
  console.log = (...words: unknown[]) => {
    const process = currentProcess();
    if (process === undefined) log(...words);
    else process.surroundings.log(process.name, String(words[0]));
  };
}

function replaceTime(): void {
  const RealDate = Date;
  const now = (): number => currentProcess()?.surroundings.clock.now ?? RealDate.now();
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, parameters, newTarget) =>
      Reflect.construct(target, parameters.length === 0 ? [now()] : parameters, newTarget) as Date,
    get: (target, key) => (key === "now" ? now : (Reflect.get(target, key) as unknown)),
  });
}

function replaceTimers(): void {
  const real = { setTimeout, setInterval, clearTimeout, clearInterval };
  const clear = (timer: unknown): void => {
    if (timer instanceof Appointment) timer.callOff();
    else real.clearTimeout(timer as NodeJS.Timeout);
  };
  Object.assign(globalThis, {
    setTimeout: (callback: Callback, ms = 0, ...parameters: unknown[]): unknown => {
      const process = currentProcess();
      if (process === undefined) return real.setTimeout(callback, ms, ...parameters);
      return process.after(Math.max(1, ms), () => callback(...parameters));
    },
    setInterval: (callback: Callback, ms = 0, ...parameters: unknown[]): unknown => {
      const process = currentProcess();
      if (process === undefined) return real.setInterval(callback, ms, ...parameters);
      const interval = new Interval(() => callback(...parameters));
      const again = (): void => {
        interval.next = process.after(Math.max(1, ms), () => {
          again(); // before the callback, which may clear it
          interval.callback();
        });
      };
      again();
      return interval;
    },
    clearTimeout: clear,
    clearInterval: (timer: unknown): void => {
      if (timer instanceof Interval) timer.next?.callOff();
      else clear(timer);
    },
  });
}

class Interval {
  readonly callback: () => void;
  next: Appointment | undefined;

  constructor(callback: () => void) {
    this.callback = callback;
  }
}

function replaceChance(): void {
  const { random } = Math;
  Math.random = () => currentProcess()?.surroundings.random.next() ?? random();
  const { getRandomValues, randomUUID, subtle } = crypto;
  const digest = subtle.digest.bind(subtle);
  const define = (target: object, name: string, value: unknown): unknown =>
    Object.defineProperty(target, name, { value, configurable: true, writable: true });
  define(crypto, "randomUUID", () => {
    return currentProcess()?.surroundings.random.uuid() ?? randomUUID.call(crypto);
  });
  define(crypto, "getRandomValues", (bytes: Uint8Array<ArrayBuffer>) => {
    const process = currentProcess();
    if (process === undefined) return getRandomValues.call(crypto, bytes);
    process.surroundings.random.fillBytes(bytes);
    return bytes;
  });
  // The real one answers from another thread, at a moment that nobody can repeat.
  define(subtle, "digest", async (algorithm: string, bytes: Uint8Array<ArrayBuffer>) => {
    if (currentProcess() === undefined) return await digest(algorithm, bytes);
    const made = createHash(algorithm.replace("-", "").toLowerCase()).update(bytes).digest();
    return new Uint8Array(made).buffer;
  });
}

/** Node's `Response` can't be an upgrade to a WebSocket. */
function upgradableResponse(RealResponse: typeof Response): typeof Response {
  return new Proxy(RealResponse, {
    construct: (target, [body, init]: [BodyInit | null, ResponseInit?], newTarget) => {
      const isUpgrade = init?.status === 101;
      const { status: _, webSocket, ...rest } = { webSocket: null, ...init };
      const given = isUpgrade ? rest : init;
      const response = Reflect.construct(target, [body, given], newTarget) as Response;
      if (isUpgrade)
        Object.defineProperties(response, {
          status: { value: 101 },
          webSocket: { value: webSocket },
        });
      return response;
    },
  });
}
