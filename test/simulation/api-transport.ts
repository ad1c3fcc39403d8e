/**
 * The way of HTTP calls to the edge Worker, as a `fetch` for a process: calls get lost, are repeated
 * on the way, are answered late or never.
 */
import type { Fetch, FetchAnswer } from "../../sdk/http.ts";
import type { EdgeAnswer, EdgeRequest, EdgeWorker } from "./edge-worker.ts";
import type { Random } from "./random.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";
import type { CallTrouble, Weather } from "./weather.ts";

/** A connection that breaks under a call is noticed within so long. */
const NOTICED_MS = 2_000;

export class ApiTransport {
  readonly #surroundings: Surroundings;
  readonly #edge: EdgeWorker;
  readonly #weather: Weather["api"];
  readonly #random: Random;
  /** Carries what is on its way. */
  readonly #carrier: SimulatedProcess;

  constructor(surroundings: Surroundings, edge: EdgeWorker, weather: Weather, random: Random) {
    this.#surroundings = surroundings;
    this.#edge = edge;
    this.#weather = weather.api;
    this.#random = random;
    this.#carrier = new SimulatedProcess("internet", surroundings);
  }

  /** The `fetch` of a process. */
  fetchFor(process: SimulatedProcess): Fetch {
    return (url, { signal, ...init }) =>
      new Promise((resolve, reject) => {
        const abort = (): void => reject(signal.reason as Error);
        if (signal.aborted) return abort();
        signal.addEventListener("abort", abort, { once: true });
        const fail = (): void => {
          process.after(this.#random.between(1, NOTICED_MS), () => {
            reject(new TypeError("fetch failed"));
          });
        };
        this.#send(process, { url, ...init }, (answer) => resolve(asFetchAnswer(answer)), fail);
      });
  }

  #send(
    process: SimulatedProcess,
    request: EdgeRequest,
    resolve: (answer: EdgeAnswer) => void,
    fail: () => void,
  ): void {
    const what = `${request.method} ${new URL(request.url).pathname.replace(/[0-9a-f-]{36}/, "*")}`;
    const trouble = this.#random.maybe<CallTrouble>(this.#weather.troubles);
    this.#surroundings.trace.note(process.name, what);
    if (trouble) this.#surroundings.trace.throws(`call ${trouble}`, process.name, what);
    if (trouble === "lost") return fail();
    if (trouble === "hung") return;
    const arrive = (answered: (answer: EdgeAnswer) => void): void => {
      this.#carrier.after(this.#latencyMs(), () => {
        const isolate = this.#edge.answer(request, answered);
        if (trouble !== "isolate died") return;
        this.#carrier.after(this.#latencyMs(), () => isolate.end());
        fail();
      });
    };
    if (trouble === "repeated") arrive(() => {});
    arrive((answer) => {
      if (trouble === "answer lost") return fail();
      process.after(this.#latencyMs(), () => {
        this.#surroundings.trace.note(process.name, `${what} → ${answer.status}`);
        resolve(answer);
      });
    });
  }

  #latencyMs(): number {
    return this.#random.skewed(...this.#weather.latencyMs);
  }
}

function asFetchAnswer({ status, headers, text }: EdgeAnswer): FetchAnswer {
  return { ok: status >= 200 && status < 300, status, headers, text: () => Promise.resolve(text) };
}
