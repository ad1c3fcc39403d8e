/**
 * The worker: registers its workflows, holds a session with every shard, runs tasks, and drains
 * when it is told to stop. This file wires; `session/` keeps the protocol, `execute.ts` runs
 * handlers.
 */
import { MAX_NAME_LENGTH, MAX_SESSION_ACTIONS, MAX_SESSION_SLOTS } from "../protocol/limits.ts";
import {
  MAX_HEARTBEAT_LIMIT_MS,
  MAX_RESUME_GRACE_MS,
  MIN_HEARTBEAT_LIMIT_MS,
} from "../protocol/session.ts";
import type { ActivationChoice } from "../protocol/states.ts";
import { Client } from "./client.ts";
import { type Duration, durationMs } from "./duration.ts";
import { DefinitionError, SkeinError } from "./errors.ts";
import { type AnyWorkflow, executor, handlersOf } from "./execute.ts";
import { checkedLabels, type Labels } from "./labels.ts";
import { environment, hostProcess, pause } from "./platform.ts";
import { consoleReport, noReport, type Report } from "./report.ts";
import type { Greeting } from "./session/connection.ts";
import { Fleet } from "./session/fleet.ts";
import { InFlight } from "./session/in-flight.ts";
import { reconnectDelayMs } from "./session/reconnect.ts";
import { onSignals } from "./signals.ts";
import { SDK_VERSION } from "./version.ts";

const DEFAULT_SLOTS = 100;
const DEFAULT_GRACE_MS = 30_000;

/** Milliseconds that aborted handlers have to end, and then that results have to be recorded. */
const LAST_WAIT_MS = 5_000;

export interface WorkerOptions {
  /** What this worker runs. All their steps: a workflow is registered as this program has it. */
  workflows: readonly AnyWorkflow[];
  /** Handlers that run at once. Default 100, at most 10,000. */
  slots?: number | undefined;
  /** Default: a client of `SKEIN_URL` and `SKEIN_TOKEN`. */
  client?: Client | undefined;
  /** For people: shown with every attempt. Default: the host's name and the process' number. */
  name?: string | undefined;
  /**
   * Whether new runs are bound to the versions that it registers: see `RegisterOptions`. Default `new`. A
   * program that is worked on wants `always`, one whose versions are promoted wants `never`.
   */
  activate?: ActivationChoice | undefined;
  /** What steps can ask for in their `labels`: texts and numbers, at most 50. Default none. */
  labels?: Labels | undefined;
  /** Signals that stop it; the second one forces. Default SIGTERM and SIGINT; `[]` for none. */
  signals?: readonly string[] | undefined;
  /** Milliseconds that running handlers have to end when it stops. Default 30,000. */
  graceMs?: number | undefined;
  /**
   * How long it may be silent before its tasks go to other workers, as when its event loop is
   * blocked. Default the shard's, 30s; from 2s to 10m.
   */
  heartbeat?: Duration | undefined;
  /**
   * How long its tasks stay its own when its connection is lost, to come back for: with 0 they go to
   * other workers at once. Default the shard's, 6s; at most 1m.
   */
  reconnectGrace?: Duration | undefined;
  /**
   * How many of the tenant's shards it connects to, chosen by its name: at least 1. Default all. Fewer sockets; but a
   * shard none of whose workers has an action keeps its tasks waiting: see the README for how many workers it takes.
   */
  affinity?: number | undefined;
  /** Where it tells of its own life. Default: the console; `false`: nowhere. */
  log?: Report | false | undefined;
}

/**
 * Makes a worker. It does nothing until `start()`. Throws `DefinitionError` for options that can't
 * work, such as two workflows of one name.
 *
 * @example
 * await worker({ workflows: [shipOrder], slots: 100 }).start();
 */
export function worker(options: WorkerOptions): Worker {
  return new Worker(options);
}

export class Worker {
  /**
   * Resolves once it has stopped; rejects when it can't go on: its token was revoked
   * (`SkeinError`), or the shard doesn't understand it (`SessionError`).
   */
  readonly stopped: Promise<void>;
  readonly #options: WorkerOptions;
  readonly #slots: number;
  readonly #client: Client;
  readonly #report: Report;
  /** What hello says of it, but for the versions, which registering tells. */
  #greeting: Omit<Greeting, "versions">;
  readonly #inFlight: InFlight;
  readonly #stopping = new AbortController();
  readonly #forcing = new AbortController();
  #fleet: Fleet | null = null;
  #isPaused = false;
  #started: Promise<void> | null = null;
  #drained: Promise<void> | null = null;
  #forceTimer: ReturnType<typeof setTimeout> | undefined;
  #ignoreSignals: () => void = () => undefined;
  #succeed: () => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#report = options.log === false ? noReport : (options.log ?? consoleReport);
    this.#slots = checkedSlots(options.slots ?? DEFAULT_SLOTS);
    checkAffinity(options.affinity);
    if (options.workflows.length === 0) {
      throw new DefinitionError("A worker needs a workflow: give it as `workflows: [order]`");
    }
    for (const workflow of options.workflows) workflow.definition(); // Throws for one without steps.
    const handlers = handlersOf(options.workflows);
    if (handlers.size > MAX_SESSION_ACTIONS) {
      throw new DefinitionError(
        `A worker has ${handlers.size} handlers: use at most ${MAX_SESSION_ACTIONS}, or several workers`,
      );
    }
    this.#greeting = {
      worker: (options.name ?? defaultName()).slice(0, MAX_NAME_LENGTH),
      sdk: `typescript/${SDK_VERSION}`,
      actions: [...handlers.keys()],
      ...(options.labels === undefined ? {} : { labels: checkedLabels(options.labels) }),
      ...sessionLimits(options),
    };
    this.#client = options.client ?? new Client();
    const execute = executor(handlers, this.#client.runs, this.#report);
    this.#inFlight = new InFlight(this.#slots, execute);
    this.stopped = new Promise((resolve, reject) => {
      this.#succeed = resolve;
      this.#fail = reject;
    });
  }

  /**
   * Registers the workflows and connects. Resolves once every shard has said welcome (or it was
   * stopped first) and goes on in the background. While Skein can't be reached it tries again, for
   * as long as it takes; it rejects when Skein refuses: a bad token, an invalid workflow.
   */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  /**
   * Takes no more tasks, waits for handlers to end and results to be recorded, and disconnects.
   * After `graceMs` (default: the worker's) it aborts the handlers' signals and waits 5 s more;
   * what hasn't ended then goes to another worker. Called again it only shortens the grace.
   */
  stop({ graceMs = this.#options.graceMs ?? DEFAULT_GRACE_MS } = {}): Promise<void> {
    const isFirst = this.#drained === null;
    if (isFirst || graceMs === 0) {
      clearTimeout(this.#forceTimer);
      if (graceMs === 0) this.#forcing.abort();
      else this.#forceTimer = setTimeout(() => this.#forcing.abort(), graceMs);
    }
    this.#drained ??= this.#drain();
    return this.stopped;
  }

  /** Whether it takes no tasks until `resume()`. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Takes no tasks until `resume()`; those it has go on. It may be paused before it is started. */
  pause(): void {
    this.#setPaused(true);
  }

  /** Takes tasks again, also when it was Skein that paused it. */
  resume(): void {
    this.#setPaused(false);
  }

  /**
   * Its labels are these from now on, in place of all that it had; tasks that it has go on. It may be
   * told before it is started. Throws `DefinitionError` for labels that can't be.
   *
   * @example
   * gpu.setLabels({ model: "llama", memory: 24 }); // another model is loaded now
   */
  setLabels(labels: Labels): void {
    const checked = checkedLabels(labels);
    this.#greeting = { ...this.#greeting, labels: checked };
    this.#fleet?.setLabels(checked);
  }

  async #start(): Promise<void> {
    this.#listenToSignals();
    try {
      const versions = await this.#register();
      const shards = await this.#untilReached(() => this.#listShards());
      if (this.#stopping.signal.aborted) return;
      const fatal = new Promise<never>((_, reject) => this.#connect(versions, reject));
      this.#fleet?.follow(shards);
      const stopping = aborted(this.#stopping.signal);
      await Promise.race([this.#fleet?.ready(), fatal, stopping]);
      fatal.catch((error: unknown) => this.#die(error));
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.stopped.catch(() => undefined); // Told to whoever started it.
      await this.#die(error);
      throw error;
    }
  }

  #connect(versions: string[], onFatal: (error: Error) => void): void {
    const { http } = this.#client;
    this.#fleet = new Fleet({
      slots: this.#slots,
      affinity: this.#options.affinity,
      url: http.url,
      token: http.token,
      random: http.random,
      greeting: { ...this.#greeting, versions },
      inFlight: this.#inFlight,
      report: this.#report,
      onFatal,
      onAsked: (what) => this.#obey(what),
      listShards: async () => {
        try {
          return await this.#listShards();
        } catch (error) {
          if (isRefusal(error)) onFatal(error);
          throw error;
        }
      },
    });
    if (this.#isPaused) this.#fleet.pause(true);
  }

  /** A person has asked for it, by way of one shard: it holds for every shard. */
  #obey(what: "pause" | "resume" | "drain"): void {
    if (what !== "drain") {
      this.#setPaused(what === "pause");
      return;
    }
    this.#report("info", "asked to drain");
    this.stop().catch(() => undefined); // Whoever holds `stopped` hears how it ended.
  }

  #setPaused(isPaused: boolean): void {
    if (isPaused !== this.#isPaused) this.#report("info", isPaused ? "paused" : "resumed");
    this.#isPaused = isPaused;
    this.#fleet?.pause(isPaused);
  }

  /** Ids of the registered versions. */
  async #register(): Promise<string[]> {
    const byName = new Map(this.#options.workflows.map((workflow) => [workflow.name, workflow]));
    const versions: string[] = [];
    const { signal } = this.#stopping;
    for (const workflow of byName.values()) {
      const { activate } = this.#options;
      const { name, version, activeVersion } = await this.#untilReached(() =>
        this.#client.register(workflow, { activate, signal, retries: 0 }),
      );
      versions.push(version.id);
      if (version.number !== activeVersion) {
        this.#report(
          activate === "never" ? "info" : "warn",
          `new runs of "${name}" are bound to version ${activeVersion}, not to version ${version.number}, which this worker has: activate it with client.workflows.activate, or here with \`activate: "always"\``,
        );
      }
    }
    return versions;
  }

  #listShards(): ReturnType<Client["shards"]> {
    return this.#client.shards({ signal: this.#stopping.signal, retries: 0 });
  }

  /** Calls until it is answered; an answer that says no is thrown. */
  async #untilReached<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    for (let failures = 0; ; failures += 1) {
      try {
        return await call();
      } catch (error) {
        if (!isOutage(error)) throw error;
        this.#report("warn", `${error.detail}; trying again`);
      }
      await pause(reconnectDelayMs(failures, this.#client.http.random), this.#stopping.signal);
    }
  }

  async #drain(): Promise<void> {
    this.#report("info", `stopping: ${this.#inFlight.runningCount} handlers run`);
    const forced = aborted(this.#forcing.signal);
    this.#fleet?.drain();
    if (this.#fleet === null) this.#stopping.abort();
    await Promise.race([this.#inFlight.whenIdle(), forced]);
    if (this.#inFlight.runningCount > 0) {
      this.#report("warn", `aborting ${this.#inFlight.runningCount} handlers: the grace is over`);
      this.#inFlight.abortAll("worker_stopped");
      await within(LAST_WAIT_MS, this.#inFlight.whenIdle());
    }
    const settled = this.#inFlight.whenSettled();
    await Promise.race([settled, forced.then(() => within(LAST_WAIT_MS, settled))]);
    await this.#leave();
    this.#report("info", "stopped");
    this.#succeed();
  }

  /** Ends at once: nothing it could still do would be heard. */
  async #die(error: unknown): Promise<void> {
    if (this.#drained !== null) return;
    this.#drained = this.stopped;
    this.#report("error", error instanceof Error ? error.message : String(error));
    this.#inFlight.abortAll("worker_stopped");
    await this.#leave();
    this.#fail(error);
  }

  async #leave(): Promise<void> {
    clearTimeout(this.#forceTimer);
    this.#stopping.abort();
    await this.#fleet?.close();
    this.#ignoreSignals();
  }

  #listenToSignals(): void {
    this.#ignoreSignals = onSignals(this.#options.signals ?? ["SIGTERM", "SIGINT"], () => {
      // The caller of `stopped` hears how it ended; a signal has nobody to tell.
      this.stop(this.#drained === null ? {} : { graceMs: 0 }).catch(() => undefined);
    });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function within(ms: number, event: Promise<void>): Promise<void> {
  const waiting = new AbortController();
  await Promise.race([event, pause(ms, waiting.signal).catch(() => undefined)]);
  waiting.abort(); // A timer that nobody waits for would keep the process alive.
}

/** Nothing answered, or something that says to come back: worth another try. */
function isOutage(error: unknown): error is SkeinError {
  if (!(error instanceof SkeinError)) return false;
  const { status, code } = error;
  return code === "network_error" || code === "request_timeout" || status === 429 || status >= 500;
}

function isRefusal(error: unknown): error is SkeinError {
  return error instanceof SkeinError && (error.status === 401 || error.status === 403);
}

function checkedSlots(slots: number): number {
  if (Number.isInteger(slots) && slots >= 1 && slots <= MAX_SESSION_SLOTS) return slots;
  throw new DefinitionError(
    `A worker has ${slots} slots: give a whole number from 1 to ${MAX_SESSION_SLOTS}`,
  );
}

function checkAffinity(shards: number | undefined): void {
  if (shards === undefined || (Number.isSafeInteger(shards) && shards >= 1)) return;
  throw new DefinitionError(
    `A worker has an affinity of ${shards}: give the number of shards that it connects to, a whole one from 1, or leave it out for all`,
  );
}

function sessionLimits({
  heartbeat,
  reconnectGrace,
}: WorkerOptions): Pick<Greeting, "heartbeatLimitMs" | "resumeGraceMs"> {
  const beats = { minimumMs: MIN_HEARTBEAT_LIMIT_MS, maximumMs: MAX_HEARTBEAT_LIMIT_MS };
  const grace = { minimumMs: 0, maximumMs: MAX_RESUME_GRACE_MS };
  return {
    ...(heartbeat === undefined
      ? {}
      : { heartbeatLimitMs: durationMs(heartbeat, "The heartbeat of a worker", beats) }),
    ...(reconnectGrace === undefined
      ? {}
      : { resumeGraceMs: durationMs(reconnectGrace, "The reconnectGrace of a worker", grace) }),
  };
}

function defaultName(): string {
  const host = environment("HOSTNAME") ?? "worker";
  const pid = hostProcess()?.pid;
  return pid === undefined ? host : `${host}:${pid}`;
}
