/**
 * A part of the stack in a process of its own, seen from its parent: started, asked, stopped or
 * killed, always by its pid. The other side is `child-side.ts`; what the two say is `ChildMessage`.
 * A child lives in its own process group (Ctrl-C reaches the parent alone, which then stops its
 * children in order) and ends by itself when its parent is gone.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { killTree } from "./process-tree.ts";

export type ParentMessage =
  | { kind: "open"; options: unknown }
  | { kind: "ask"; id: number; question: string; argument: unknown }
  | { kind: "stop" };

export type ChildMessage =
  | { kind: "ready"; ready: unknown }
  | { kind: "failed"; message: string }
  | { kind: "answer"; id: number; value: unknown }
  | { kind: "refusal"; id: number; message: string }
  | { kind: "log"; line: string };

export interface ChildOptions {
  /** The module to run. */
  module: URL;
  /** What it is, for errors: "The database". */
  name: string;
  options: unknown;
  environment?: Record<string, string>;
  /** Lines it logs, and what it prints. */
  log?: ((line: string) => void) | undefined;
  startTimeoutMs?: number;
}

export interface Child<Ready> {
  pid: number;
  /** What it told when it was ready. */
  ready: Ready;
  ask(question: string, argument?: unknown): Promise<unknown>;
  /** Asks it to end, waits until it has, and kills it when it takes too long. */
  stop(): Promise<void>;
  /** SIGKILL to it and everything below it, at once. */
  kill(): Promise<void>;
  /** Resolves when it has ended, for whatever reason. */
  exited: Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
/** What it printed last goes into the error when it does not start. */
const KEPT_LINES = 20;

export async function startChild<Ready>(options: ChildOptions): Promise<Child<Ready>> {
  const running = fork(fileURLToPath(options.module.href), [], {
    detached: true,
    execArgv: [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: { ...process.env, ...options.environment },
  });
  return await new RunningChild<Ready>(running, options).start();
}

class RunningChild<Ready> {
  #process: ChildProcess;
  #options: ChildOptions;
  #printed: string[] = [];
  #answers = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #asked = 0;
  #exited: Promise<void>;

  constructor(running: ChildProcess, options: ChildOptions) {
    this.#process = running;
    this.#options = options;
    this.#exited = new Promise((resolve) => {
      running.once("error", () => resolve());
      running.once("exit", () => resolve());
    });
    void this.#exited.then(() => this.#refuseQuestions());
    for (const stream of [running.stdout, running.stderr]) {
      if (stream !== null)
        createInterface({ input: stream }).on("line", (line) => this.#print(line));
    }
  }

  async start(): Promise<Child<Ready>> {
    const { name, options, startTimeoutMs = START_TIMEOUT_MS } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    try {
      const ready = await new Promise<Ready>((resolve, reject) => {
        this.#process.on("message", (message: ChildMessage) => {
          if (message.kind === "ready") resolve(message.ready as Ready);
          else if (message.kind === "failed") reject(new Error(message.message));
          else this.#receive(message);
        });
        const fail = (what: string): void =>
          reject(new Error([`${name} ${what}`, ...this.#printed].join("\n  ")));
        this.#process.once("error", (error) => fail(`could not be started: ${error.message}`));
        this.#process.once("exit", (code, signal) =>
          // Its last words may still be in the pipe.
          setImmediate(() => fail(`ended before it was ready (${signal ?? `code ${code}`}).`)),
        );
        timer = setTimeout(() => fail(`was not ready after ${startTimeoutMs} ms.`), startTimeoutMs);
        this.#send({ kind: "open", options });
      });
      return this.#handle(ready);
    } catch (error) {
      await this.kill();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    if (this.#hasEnded()) return;
    this.#send({ kind: "stop" });
    const timer = setTimeout(() => void this.kill(), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  async kill(): Promise<void> {
    if (this.#process.pid !== undefined && !this.#hasEnded()) await killTree(this.#process.pid);
    if (this.#process.pid !== undefined) await this.#exited;
  }

  ask(question: string, argument: unknown = null): Promise<unknown> {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      if (this.#hasEnded()) return reject(this.#endedError());
      this.#answers.set(id, { resolve, reject });
      this.#send({ kind: "ask", id, question, argument });
    });
  }

  #handle(ready: Ready): Child<Ready> {
    return {
      pid: this.#process.pid ?? 0,
      ready,
      ask: (question, argument) => this.ask(question, argument),
      stop: () => this.stop(),
      kill: () => this.kill(),
      exited: this.#exited,
    };
  }

  #receive(message: ChildMessage): void {
    if (message.kind === "log") this.#options.log?.(message.line);
    if (message.kind !== "answer" && message.kind !== "refusal") return;
    const answer = this.#answers.get(message.id);
    this.#answers.delete(message.id);
    if (message.kind === "answer") answer?.resolve(message.value);
    else answer?.reject(new Error(message.message));
  }

  #print(line: string): void {
    this.#printed.push(line);
    if (this.#printed.length > KEPT_LINES) this.#printed.shift();
    this.#options.log?.(line);
  }

  #send(message: ParentMessage): void {
    // It may have ended a moment ago; then its exit says so.
    if (this.#process.connected) this.#process.send(message, () => {});
  }

  #refuseQuestions(): void {
    for (const answer of this.#answers.values()) answer.reject(this.#endedError());
    this.#answers.clear();
  }

  #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  #endedError(): Error {
    return new Error(`${this.#options.name} (pid ${this.#process.pid}) has ended.`);
  }
}
