/**
 * A program of an example as a process of its own: started, killed without a warning, or stopped. It gets
 * some variables of the environment and nothing else, and says one thing to its parent: that it is ready.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** Milliseconds a program has to be ready, and then to stop. */
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;

/** Characters of a program's last words that are kept for when it ends by itself. */
const MAX_LAST_WORDS = 2_000;

export class Program {
  readonly name: string;
  /** Rejects when the process ends though nobody ended it. */
  readonly failed: Promise<never>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #isEnding = false;
  #lastWords = "";

  constructor(name: string, module: URL, environment: Record<string, string>) {
    this.name = name;
    this.#child = spawn(process.execPath, [fileURLToPath(module.href)], {
      detached: true, // Ctrl-C is for the parent, which stops its programs itself.
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      env: { ...process.env, ...environment },
    });
    this.#exited = once(this.#child, "exit").catch(() => undefined);
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-MAX_LAST_WORDS);
    });
    this.failed = new Promise((_, reject) => {
      this.#child.once("error", reject);
      // "close" comes after the last words, "exit" may come before them.
      this.#child.once("close", (code, signal) => {
        if (this.#isEnding) return;
        const how = signal ?? `code ${code}`;
        reject(new Error(`${name} ended by itself (${how}).\n${this.#lastWords.trim()}`));
      });
    });
    this.failed.catch(() => undefined); // Whoever waits for it is told; nobody may be waiting yet.
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves with what the program says when it is ready: of a server its address. */
  async ready(): Promise<string> {
    const timeout = AbortSignal.timeout(START_TIMEOUT_MS);
    const message = once(this.#child, "message", { signal: timeout }).catch(() => {
      throw new Error(
        `${this.name} was not ready within ${START_TIMEOUT_MS / 1_000} s.\n${this.#lastWords.trim()}`,
      );
    });
    const [said] = await Promise.race([message, this.failed]);
    return String(said);
  }

  /** SIGKILL: the process runs no line more, and tells nobody. */
  kill(): void {
    this.#isEnding = true;
    this.#child.kill("SIGKILL");
  }

  /** SIGTERM: it ends in order; one that does not is killed. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
  }
}
