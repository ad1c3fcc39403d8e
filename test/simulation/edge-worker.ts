/**
 * The edge Worker: the real API, each request in one of its isolates that may die under it, and
 * the clock that ticks once a minute. It reaches shards by their names, as the platform lets it.
 */
import { SUBPROTOCOL } from "../../protocol/session.ts";
import type { Environment } from "../../workers/environment.ts";
import { type Isolate, isolates } from "./isolates.ts";
import type { ObjectHost } from "./object-host.ts";
import type { UpgradeEnd } from "./object-sockets.ts";
import type { Random } from "./random.ts";
import { SimulatedProcess, type Surroundings, thisProcess } from "./simulated-process.ts";

const EVERY_MINUTE_MS = 60_000;

export interface EdgeAnswer {
  status: number;
  headers: Headers;
  text: string;
}

export interface EdgeRequest {
  url: string;
  method: string;
  headers: Record<string, string>;
  body?: string;
}

export class EdgeWorker {
  readonly #surroundings: Surroundings;
  readonly #environment: Environment;
  readonly #random: Random;
  #requests = 0;

  constructor(surroundings: Surroundings, environment: Environment, random: Random) {
    this.#surroundings = surroundings;
    this.#environment = environment;
    this.#random = random;
  }

  /** Takes a request in a new isolate; the caller hears only from one that lives. */
  answer(request: EdgeRequest, answered: (answer: EdgeAnswer) => void): SimulatedProcess {
    const isolate = this.#isolate();
    isolate.run(() => {
      const { url, ...init } = request;
      this.#fetch(new Request(url, init)).then(
        async (response) => {
          const { status, headers } = response;
          answered({ status, headers, text: await response.text() });
        },
        (error: unknown) => this.#blame(error),
      );
    });
    return isolate;
  }

  /** Takes a request for a WebSocket. */
  upgrade(
    url: string,
    protocols: string[],
    upgraded: (end: UpgradeEnd, host: ObjectHost) => void,
    refused: () => void,
  ): void {
    const headers = { upgrade: "websocket", "sec-websocket-protocol": protocols.join(", ") };
    this.#isolate().run(() => {
      this.#fetch(new Request(url, { headers })).then(
        (response) => {
          const end = response.webSocket as unknown as UpgradeEnd | null;
          const isAccepted = response.headers.get("sec-websocket-protocol") === SUBPROTOCOL;
          if (response.status !== 101 || end === null || !isAccepted) return refused();
          const host = end.connection.host;
          if (host === undefined) refused();
          else upgraded(end, host);
        },
        (error: unknown) => this.#blame(error),
      );
    });
  }

  /** Starts the clock of the installation. */
  startClock(): void {
    const clock = new SimulatedProcess("clock", this.#surroundings);
    const tick = (): void => {
      clock.after(EVERY_MINUTE_MS, tick);
      // A minute's duties that fail are the next minute's.
      this.#pick()
        .everyMinute(this.#environment)
        .catch((error: unknown) => {
          this.#surroundings.trace.note("clock", `failed: ${String(error)}`);
        });
    };
    clock.after(EVERY_MINUTE_MS, tick);
  }

  #isolate(): SimulatedProcess {
    return new SimulatedProcess(`edge#${++this.#requests}`, this.#surroundings);
  }

  async #fetch(request: Request): Promise<Response> {
    return await this.#pick().app.fetch(request, this.#environment);
  }

  #pick(): Isolate {
    const [first, ...others] = isolates;
    if (first === undefined) throw new Error("The edge Worker has no isolate");
    return this.#random.pick([first, ...others]);
  }

  #blame(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#surroundings.history.blame(`the API threw: ${text}`);
  }
}

/** A namespace of Durable Objects: every method of a stub is a call to the object. */
export function namespaceOf<Namespace>(hostOf: (name: string) => ObjectHost): Namespace {
  return { getByName: (name: string) => stubOf(hostOf(name)) } as Namespace;
}

function stubOf(host: ObjectHost): unknown {
  return new Proxy(
    {},
    {
      get: (_stub, method) => {
        if (typeof method !== "string" || method === "then") return undefined;
        return (...parameters: unknown[]) => host.call(method, parameters, thisProcess());
      },
    },
  );
}
