/**
 * The worker processes of one kind of chaos: starts them, kills them, puts others in their place,
 * and hands what their handlers do to the ledger. No two workers ever have the same name.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Ledger } from "./ledger.ts";
import type { LedgerAnswer, WorkerMessage } from "./outside.ts";

export interface FleetShape {
  processes: number;
  /** Workers in each process, every one with sockets of its own. */
  workersEach: number;
  /** Of each worker. */
  slots: number;
}

interface WorkerProcess {
  child: ChildProcess;
  names: string[];
}

const STOP_LIMIT_MS = 5_000;

export class Fleet {
  readonly #ledger: Ledger;
  readonly #shape: FleetShape;
  readonly #environment: Record<string, string>;
  readonly #signal: AbortSignal;
  readonly #processes = new Set<WorkerProcess>();
  /** When each worker was last welcomed. */
  readonly #welcomedAt = new Map<string, number>();
  /** What handlers wait for while the outside world holds its answers back. */
  #held: (() => void)[] | undefined;
  #started = 0;
  #isStopping = false;
  #fail: (error: Error) => void = () => {};
  /** Rejects when a process ends though nobody ended it. */
  readonly broken = new Promise<never>((_, reject) => {
    this.#fail = reject;
  });

  constructor(
    ledger: Ledger,
    shape: FleetShape,
    skein: { url: string; token: string },
    signal: AbortSignal,
  ) {
    this.#ledger = ledger;
    this.#shape = shape;
    this.#environment = { SKEIN_URL: skein.url, SKEIN_TOKEN: skein.token };
    this.#signal = signal;
    this.broken.catch(() => undefined); // Told to whoever races it; nobody may be racing yet.
  }

  /** Resolves once every worker has been welcomed by its shard. */
  async start(): Promise<void> {
    const { processes } = this.#shape;
    await Promise.all(Array.from({ length: processes }, () => this.#add()));
  }

  /** SIGKILL to the process of a worker, or to the oldest when that one is gone; whom it hit. */
  kill(worker: string): string[] {
    const all = [...this.#processes];
    const victim = all.find(({ names }) => names.includes(worker)) ?? all[0];
    if (victim === undefined) return [];
    this.#processes.delete(victim);
    victim.child.kill("SIGKILL");
    return victim.names;
  }

  /** Another process in the place of one that was killed, once its workers are welcomed. */
  async replace(): Promise<void> {
    await this.#add();
  }

  /** Resolves once every living worker has been welcomed after a moment. */
  async untilWelcomed(since: number): Promise<void> {
    const isReached = (): boolean => this.#areWelcomed([...this.#processes], since);
    await this.#ledger.until(isReached, this.#signal);
  }

  /** Lets no effect land until it is released: every slot is soon taken, and nothing moves. */
  hold(): () => void {
    this.#held ??= [];
    return () => {
      const held = this.#held ?? [];
      this.#held = undefined;
      for (const answer of held) answer();
    };
  }

  /** SIGTERM: they finish what they have; one that takes too long is killed. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(
      [...this.#processes].map(async ({ child }) => {
        const exited = once(child, "exit");
        child.kill("SIGTERM");
        const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
        await exited;
        clearTimeout(timer);
      }),
    );
  }

  async #add(): Promise<void> {
    const { workersEach, slots } = this.#shape;
    const number = ++this.#started;
    const names = Array.from(
      { length: workersEach },
      (_, index) => `worker-${number}.${index + 1}`,
    );
    const child = fork(join(import.meta.dirname, "worker.ts"), {
      execArgv: [],
      env: {
        ...process.env,
        ...this.#environment,
        WORKER_NAMES: names.join(","),
        SLOTS: String(slots),
      },
    });
    const added = { child, names };
    this.#processes.add(added);
    child.on("message", (message: WorkerMessage) => this.#receive(child, message));
    child.on("exit", (code, signal) => {
      const wasAlive = this.#processes.delete(added);
      if (!wasAlive || this.#isStopping) return;
      const how = signal ?? `code ${code}`;
      this.#fail(new Error(`The process of ${names[0]} ended by itself (${how}).`));
    });
    await this.#ledger.until(
      () => !this.#processes.has(added) || this.#areWelcomed([added], 0),
      this.#signal,
    );
  }

  #areWelcomed(processes: WorkerProcess[], since: number): boolean {
    return processes.every(({ names }) =>
      names.every((name) => (this.#welcomedAt.get(name) ?? -1) >= since),
    );
  }

  #receive(child: ChildProcess, message: WorkerMessage): void {
    if (message.kind === "note") {
      const { kind, worker } = message.note;
      if (kind === "welcomed") this.#welcomedAt.set(worker, Date.now());
      this.#ledger.note(message.note);
    } else if (message.kind === "begin") {
      answer(child, { id: message.id, answer: this.#ledger.begin(message.ref) || null });
    } else {
      const { id, ref, after } = message;
      const apply = (): void =>
        answer(child, { id, answer: this.#ledger.apply(ref, after) ?? null });
      if (this.#held === undefined) apply();
      else this.#held.push(apply);
    }
  }
}

function answer(child: ChildProcess, sent: LedgerAnswer): void {
  // It may just have been killed; then nobody waits for this.
  if (child.connected) child.send(sent, () => {});
}
