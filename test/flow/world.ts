/**
 * A whole Skein of one story: stack, tenant, client and worker processes, all gone after the test
 * file. Real time, real processes; a story waits for signals and results, never for a clock.
 */
import { type ChildProcess, fork } from "node:child_process";
import { on, once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject } from "vitest";
import { type Stack, startStack } from "../../local/stack.ts";
import type { Client, Run } from "../../sdk/index.ts";
import { ask, type OpenStack, openStack } from "../support/open-stack.ts";
import type { WorkerSettings } from "./worker.ts";
import { fileExists } from "./workflows.ts";

export class FlowWorld {
  readonly stack: Stack;
  readonly client: Client;
  readonly tenant: string;
  #open: OpenStack;
  #workers = new Set<ChildProcess>();
  #files = 0;

  private constructor(open: OpenStack) {
    this.#open = open;
    this.stack = open.stack;
    this.client = open.client;
    this.tenant = open.tenant;
  }

  static async start(options: { databaseUrl?: string | undefined } = {}): Promise<FlowWorld> {
    return new FlowWorld(await openStack(options));
  }

  /** On the test run's Postgres; without one on a PGlite of its own, which can be killed too. */
  static async startOnMain(): Promise<FlowWorld> {
    const { name, ownerUrl } = inject("main");
    return await FlowWorld.start({ databaseUrl: name === "Postgres" ? ownerUrl : undefined });
  }

  /** Where Skein is and a token for it, for a program of its own. */
  get environment(): { SKEIN_URL: string; SKEIN_TOKEN: string } {
    return { SKEIN_URL: this.stack.url, SKEIN_TOKEN: this.#open.token };
  }

  /** A second stack on the directory of a running one. */
  static async startAgain(world: FlowWorld): Promise<Stack> {
    return await startStack({ directory: world.#open.directory, log: "none" });
  }

  async stop(): Promise<void> {
    for (const process of this.#workers) process.kill("SIGKILL");
    await this.#open.close();
  }

  /** A worker process that is connected. */
  async startWorker(settings: WorkerSettings = {}): Promise<ChildProcess> {
    const process = fork(join(import.meta.dirname, "worker.ts"), {
      env: {
        ...globalThis.process.env,
        ...this.environment,
        SETTINGS: JSON.stringify(settings),
      },
    });
    this.#workers.add(process);
    process.on("exit", () => this.#workers.delete(process));
    await said(process, /^ready$/);
    return process;
  }

  /** The worker process ends by itself; with SIGKILL at once. */
  async stopWorker(process: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const exited = once(process, "exit");
    process.kill(signal);
    await exited;
  }

  /** Every worker that is left, so that the next story has its own. */
  async stopWorkers(): Promise<void> {
    await Promise.all([...this.#workers].map((process) => this.stopWorker(process, "SIGTERM")));
  }

  /** A file that nobody has written yet. */
  newFile(): string {
    return join(this.#open.directory, `file-${++this.#files}`);
  }

  /** What a handler writes to this file, as soon as it has. */
  async read(file: string): Promise<string> {
    await fileExists(file);
    return readFileSync(file, "utf8");
  }

  /** A file that handlers can wait for, and what makes it. */
  holdFile(): { hold: string; release: () => void } {
    const hold = this.newFile();
    return { hold, release: () => writeFileSync(hold, "") };
  }

  /** Evicts the tenant's shard from memory, its sockets closed: as a deploy does. */
  async evictShard(): Promise<void> {
    await this.stack.workerd.evictShard({ name: `${this.tenant}/0`, webSockets: "close" });
  }

  /** What must hold of finished runs, whatever happened to the processes that made them. */
  async expectCompletedOnce(ids: string[]): Promise<Run[]> {
    const runs = await Promise.all(ids.map((id) => this.client.runs.get(id)));
    for (const run of runs) {
      expect(run).toMatchObject({ state: "completed" });
      for (const task of run.tasks) {
        const completed = task.attempts.filter(({ outcome }) => outcome === "completed");
        expect(completed, `attempts of ${task.id}`).toHaveLength(1);
        const numbers = task.attempts.map(({ attempt }) => attempt);
        expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
      }
      const report = run.tasks.find(({ step }) => step === "report")?.output as { token: number };
      const wait = run.tasks.find(({ step }) => step === "wait");
      expect(report.token).toBe(wait?.attempts.at(-1)?.attempt);
    }
    return runs;
  }

  /** Nothing is left in a shard's hands or in the queue. */
  async expectNothingLeft(): Promise<void> {
    const [row] = await ask(
      this.stack.databaseUrl,
      `select (select count(*)::integer from v1.queue_item where tenant_id = $1) as queued,
              (select count(*)::integer from v1.workflow_run
                 where tenant_id = $1 and state in ('queued', 'running')) as running,
              (select count(*)::integer from v1.task_output) as outputs,
              (select count(*)::integer from v1.task where state = 'completed') as completed`,
      [this.tenant],
    );
    expect(row).toMatchObject({ queued: 0, running: 0 });
    expect(row?.["outputs"]).toBe(row?.["completed"]);
  }
}

/** Resolves with the next line that the worker process tells and that fits. */
export async function said(process: ChildProcess, pattern: RegExp): Promise<string> {
  for await (const [line] of on(process, "message", { close: ["exit"] })) {
    if (pattern.test(String(line))) return String(line);
  }
  throw new Error(`The worker ended before it said ${pattern}`);
}
