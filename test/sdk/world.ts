/** A shard and a worker for one test, and their end after it. It never outlives the test. */
import { onTestFinished } from "vitest";
import { z } from "zod";
import {
  Client,
  type TaskContext,
  type Worker,
  type WorkerOptions,
  worker,
  workflow,
} from "../../sdk/index.ts";
import { FakeShard, type FakeSession, TOKEN } from "./fake-shard.ts";
import { Queue } from "./queue.ts";

/** One handler's call, in the hands of the test. */
export interface Call {
  ctx: TaskContext<{ id: string }>;
  finish: (output?: unknown) => void;
  fail: (error: unknown) => void;
}

export interface World {
  shard: FakeShard;
  client: Client;
  lines: string[];
  /** Calls of the handler of `order:charge`, which end when the test says so. */
  calls: Queue<Call>;
  /** Makes a worker of the `order` workflow; it is stopped after the test. */
  makeWorker: (options?: Partial<WorkerOptions>) => Worker;
  /** A started worker, and its welcomed session. */
  connect: (options?: Partial<WorkerOptions>) => Promise<{ worker: Worker; session: FakeSession }>;
}

export async function createWorld(): Promise<World> {
  const shard = await FakeShard.start();
  onTestFinished(() => shard.stop());
  const client = new Client({ url: shard.url, token: TOKEN, random: () => 0 });
  const calls = new Queue<Call>();
  const open: (() => void)[] = [];
  const lines: string[] = [];
  const order = workflow({ name: "order", input: z.object({ id: z.string() }) });
  order.step("charge", {
    run: (ctx) =>
      new Promise<unknown>((resolve, reject) => {
        open.push(() => resolve(null));
        calls.push({ ctx, finish: resolve, fail: reject });
      }),
  });
  const makeWorker: World["makeWorker"] = (options = {}) => {
    const made = worker({
      workflows: [order],
      client,
      name: "tester",
      signals: [],
      log: (_level, line) => lines.push(line),
      ...options,
    });
    onTestFinished(async () => {
      shard.welcomeEverybody().recordEverything();
      for (const end of open) end();
      await made.stop({ graceMs: 0 }).catch(() => undefined); // It may have failed on purpose.
    });
    return made;
  };
  const connect: World["connect"] = async (options) => {
    const made = makeWorker(options);
    const started = made.start();
    const session = (await shard.session()).welcome();
    await started;
    return { worker: made, session };
  };
  return { shard, client, lines, calls, makeWorker, connect };
}

/** The reason of a signal, once it is aborted. */
export function signalOf(signal: AbortSignal): Promise<Error> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason as Error);
    else signal.addEventListener("abort", () => resolve(signal.reason as Error), { once: true });
  });
}
