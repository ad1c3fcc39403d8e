/**
 * A whole Skein of one story: stack, tenant, client and worker processes, all gone after the test
 * file. Real time, real processes; a story waits for signals and results, never for a clock.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { expect } from "vitest";
import { localToken } from "../../local/local-tenant.ts";
import { type Stack, startStack } from "../../local/stack.ts";
import { Client, type Run } from "../../sdk/index.ts";

export class FlowWorld {
  readonly stack: Stack;
  readonly client: Client;
  readonly tenant: string;
  #token: string;
  #directory: string;
  #workers = new Set<ChildProcess>();
  #held = 0;

  private constructor(stack: Stack, directory: string, token: string, tenant: string) {
    this.stack = stack;
    this.#directory = directory;
    this.#token = token;
    this.tenant = tenant;
    this.client = new Client({ url: stack.url, token });
  }

  static async start(options: { databaseUrl?: string | undefined } = {}): Promise<FlowWorld> {
    const directory = mkdtempSync(join(tmpdir(), "skein-flow-"));
    const stack = await startStack({ directory, log: "none", ...options });
    const token = await localToken(stack, directory);
    const { rows } = await query(
      stack.databaseUrl,
      "select id from v1.tenant where name = 'local'",
    );
    return new FlowWorld(stack, directory, token, String(rows[0]?.["id"]));
  }

  /** A second stack on the directory of a running one. */
  static async startAgain(world: FlowWorld): Promise<Stack> {
    return await startStack({ directory: world.#directory, log: "none" });
  }

  async stop(): Promise<void> {
    for (const process of this.#workers) process.kill("SIGKILL");
    await this.stack.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A worker process that is connected. */
  async startWorker(slots = 20): Promise<ChildProcess> {
    const process = fork(join(import.meta.dirname, "worker.ts"), {
      env: {
        ...globalThis.process.env,
        SKEIN_URL: this.stack.url,
        SKEIN_TOKEN: this.#token,
        SLOTS: String(slots),
      },
    });
    this.#workers.add(process);
    process.on("exit", () => this.#workers.delete(process));
    const [message] = (await once(process, "message")) as [string];
    expect(message).toBe("ready");
    return process;
  }

  /** A file that handlers can wait for, and what makes it. */
  holdFile(): { hold: string; release: () => void } {
    const hold = join(this.#directory, `release-${++this.#held}`);
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
    const left = await query(
      this.stack.databaseUrl,
      `select (select count(*)::integer from v1.queue_item where tenant_id = $1) as queued,
              (select count(*)::integer from v1.workflow_run
                 where tenant_id = $1 and state in ('queued', 'running')) as running,
              (select count(*)::integer from v1.task_output) as outputs,
              (select count(*)::integer from v1.task where state = 'completed') as completed`,
      [this.tenant],
    );
    const [row] = left.rows;
    expect(row).toMatchObject({ queued: 0, running: 0 });
    expect(row?.["outputs"]).toBe(row?.["completed"]);
  }
}

async function query(
  databaseUrl: string,
  text: string,
  values: unknown[] = [],
): Promise<{ rows: Record<string, unknown>[] }> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return await client.query(text, values);
  } finally {
    await client.end();
  }
}
