/**
 * The process above workerd: runs a built Worker in it through Miniflare's API, which is not stable
 * yet, and is used nowhere else. workerd listens itself; no proxy stands before the Worker.
 */
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { Log, LogLevel, Miniflare } from "miniflare";
import { serveParent } from "./child-side.ts";
import { descendantsOf } from "./process-tree.ts";

/** From `workerd.ts`. */
export interface WorkerdChildOptions {
  bundle: string;
  port: number;
  persist: string;
  variables: Record<string, string>;
}

export interface WorkerdChildReady {
  workerdPid: number;
}

/** What of a shard is to be forgotten; Miniflare's own words. */
export interface ShardEviction {
  /** The Durable Object's name. */
  name: string;
  /** Whether its sockets break, or stay and wake a new instance. */
  webSockets: "close" | "hibernate";
}

/** Of a Worker's handle, whose type depends on which Workers types are in scope. */
interface Scheduled {
  scheduled(event: { cron: string }): Promise<{ outcome: string }>;
}

/** The same, for the other worker. */
interface Fetched {
  fetch(url: string): Promise<{ ok: boolean; text(): Promise<string> }>;
}

const WORKER = "skein";
const SHARD_CLASS = "DispatcherShard";
const DRAIN_CLASS = "QueueDrain";
const CLOCK_CLASS = "ScheduleClock";
/** As `scripts/queue-bindings.ts` makes them; here they are Miniflare's own, and idle with pgmq. */
const QUEUES = { commands: "skein-commands", events: "skein-events" };
const CONSUMER = { maxBatchSize: 100, maxBatchTimeout: 0, maxRetries: 100 };
const COMPATIBILITY_DATE = "2026-10-20";
/** A Worker beside ours that nobody can call but us: only such a one may end other Workers' objects. */
const CRASHER = "crasher";
const CRASHER_SOURCE = `
  import unsafe from "workerd:unsafe";
  export default {
    async fetch() {
      await unsafe.abortAllDurableObjects();
      return new Response();
    },
  };`;
const MODULE_TYPES = { ".js": "esm", ".mjs": "esm", ".wasm": "wasm", ".txt": "text" } as const;

serveParent<WorkerdChildOptions, WorkerdChildReady>(async (options, { log }) => {
  const { bundle, port, persist, variables } = options;
  const texts = Object.entries(variables).map(
    ([name, value]) => [name, { type: "text" as const, value }] as const,
  );
  const miniflare = new Miniflare({
    host: "127.0.0.1",
    port: 0,
    cf: false,
    logRequests: false,
    log: new Log(LogLevel.WARN),
    handleStructuredLogs: ({ message }) => log(message),
    handleUncaughtError: (error) => log(error.stack ?? String(error)),
    resourcePersistencePath: persist,
    telemetry: { enabled: false },
    enableDevRegistry: false,
    unsafeLocalExplorer: false,
    unsafeObservability: false,
    workers: [
      {
        config: {
          name: WORKER,
          compatibilityDate: COMPATIBILITY_DATE,
          manifest: {
            mainModule: "index.js",
            modulesRoot: bundle,
            modules: readModules(bundle),
          },
          env: {
            ...Object.fromEntries(texts),
            DISPATCHER: { type: "durable-object", worker: WORKER, exportName: SHARD_CLASS },
            QUEUE_DRAIN: { type: "durable-object", worker: WORKER, exportName: DRAIN_CLASS },
            SCHEDULE_CLOCK: { type: "durable-object", worker: WORKER, exportName: CLOCK_CLASS },
            COMMANDS_QUEUE: { type: "queue", name: QUEUES.commands },
            EVENTS_QUEUE: { type: "queue", name: QUEUES.events },
          },
          exports: {
            [SHARD_CLASS]: { type: "durable-object", storage: "sqlite" },
            [DRAIN_CLASS]: { type: "durable-object", storage: "sqlite" },
            [CLOCK_CLASS]: { type: "durable-object", storage: "sqlite" },
          },
          triggers: Object.values(QUEUES).map((name) => ({ type: "queue", name, ...CONSUMER })),
        },
        dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port, proxy: false }] },
      },
      {
        config: {
          name: CRASHER,
          compatibilityDate: COMPATIBILITY_DATE,
          compatibilityFlags: ["unsafe_module"],
          manifest: {
            mainModule: "index.js",
            modulesRoot: bundle,
            modules: { "index.js": { type: "esm", contents: Buffer.from(CRASHER_SOURCE) } },
          },
        },
      },
    ],
  });
  await miniflare.ready;
  const [workerdPid = 0] = descendantsOf(process.pid);
  return {
    ready: { workerdPid },
    answers: {
      async evictShard(argument) {
        const { name, webSockets } = argument as ShardEviction;
        await miniflare.unsafeEvictDurableObject(WORKER, SHARD_CLASS, { name, webSockets });
      },
      async crashShards() {
        const crasher: unknown = await miniflare.getWorker(CRASHER);
        const answer = await (crasher as Fetched).fetch("http://crasher/");
        if (!answer.ok) throw new Error(`The shards were not crashed: ${await answer.text()}`);
      },
      async runScheduled(cron) {
        const worker: unknown = await miniflare.getWorker(WORKER);
        const { outcome } = await (worker as Scheduled).scheduled({ cron: String(cron) });
        if (outcome !== "ok") throw new Error(`The scheduled event ended with "${outcome}".`);
      },
    },
    close: () => miniflare.dispose(),
  };
});

interface Module {
  type: (typeof MODULE_TYPES)[keyof typeof MODULE_TYPES];
  contents: Uint8Array<ArrayBuffer>;
}

function readModules(bundle: string): Record<string, Module> {
  const modules: Record<string, Module> = {};
  for (const name of readdirSync(bundle)) {
    const type = MODULE_TYPES[extname(name) as keyof typeof MODULE_TYPES];
    if (type !== undefined) {
      modules[name] = { type, contents: readFileSync(join(bundle, name)) };
    }
  }
  return modules;
}
