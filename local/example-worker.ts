/**
 * An example worker beside the stack, as a customer's process would be: it gets an address and a
 * token, and nothing else. Restarted when its source changes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** It may finish what it runs; then it is killed. */
const DRAIN_TIMEOUT_MS = 5_000;

export class ExampleWorker {
  #module: string;
  #environment: Record<string, string>;
  #running: ChildProcess | undefined;

  constructor(module: string, environment: Record<string, string>) {
    this.#module = module;
    this.#environment = environment;
  }

  start(): void {
    const running = spawn(process.execPath, [this.#module], {
      detached: true, // Ctrl-C is for the stack, which stops the worker first.
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...this.#environment },
    });
    this.#running = running;
    for (const stream of [running.stdout, running.stderr]) {
      createInterface({ input: stream }).on("line", (line) => console.log(`worker | ${line}`));
    }
    running.once("error", (error) => console.error(`worker | could not start: ${error.message}`));
    running.once("exit", (code, signal) => {
      if (this.#running !== running) return;
      this.#running = undefined;
      console.log(`worker | ended (${signal ?? `code ${code}`}); change a file to start it again.`);
    });
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined || running.pid === undefined || running.exitCode !== null) return;
    const exited = once(running, "exit");
    running.kill("SIGTERM");
    const timer = setTimeout(() => running.kill("SIGKILL"), DRAIN_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }

  async restart(): Promise<void> {
    await this.stop();
    this.start();
  }

  /** For the end of this program, where nothing can be waited for. */
  kill(): void {
    this.#running?.kill("SIGKILL");
  }
}
