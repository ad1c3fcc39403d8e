/**
 * The Worker in workerd, seen from the program that starts it. It can be killed and started again on
 * the same port, and finds the storage of its Durable Objects. Nothing of Miniflare shows here; only
 * `workerd-child.ts` knows it.
 */
import { resolve } from "node:path";
import { type Child, startChild } from "./child.ts";
import { freePort, refuseTakenPort } from "./free-port.ts";
import type { ShardEviction, WorkerdChildOptions, WorkerdChildReady } from "./workerd-child.ts";

export type { ShardEviction } from "./workerd-child.ts";

export interface WorkerdOptions {
  /** A directory from `buildWorker`. Read at every start. */
  bundle: string;
  /** Default any free one. */
  port?: number | undefined;
  /** The Worker's variables and secrets. */
  variables: Record<string, string>;
  /** Where Durable Objects keep their storage. */
  persist: string;
  /** Each line the Worker logs, and what workerd has to say. */
  log?: ((line: string) => void) | undefined;
}

export interface Workerd {
  /** Such as http://127.0.0.1:8787; the same after `restart()`. */
  url: string;
  /** Of workerd itself. */
  readonly pid: number;
  stop(): Promise<void>;
  /** SIGKILL to workerd and the process above it. */
  kill(): Promise<void>;
  /**
   * Starts it again, with another bundle if one is given; stops it first when it runs. When the
   * other bundle does not start it throws, and the one before runs again.
   */
  restart(bundle?: string): Promise<void>;
  /**
   * Drops a shard's instance from memory once it is quiet, as hibernation does; the next event makes
   * a new one from its storage.
   */
  evictShard(eviction: ShardEviction): Promise<void>;
  /** Ends every shard in the middle of whatever it does, its sockets broken, as a deploy does. */
  crashShards(): Promise<void>;
  /** Resolves when the running process has ended, for whatever reason. */
  readonly exited: Promise<void>;
  /** Runs the Worker's scheduled duties: nothing else does so locally. */
  runScheduled(cron?: string): Promise<void>;
}

/** Without these the local runtime stores every trace (five times slower) and asks Cloudflare for data. */
const ENVIRONMENT = {
  X_LOCAL_OBSERVABILITY: "false",
  X_LOCAL_EXPLORER: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const port = options.port ?? (await freePort());
  await refuseTakenPort(port);
  const start = (bundle: string): Promise<Child<WorkerdChildReady>> => {
    const childOptions: WorkerdChildOptions = {
      bundle: resolve(bundle),
      port,
      persist: resolve(options.persist),
      variables: options.variables,
    };
    return startChild<WorkerdChildReady>({
      module: new URL("workerd-child.ts", import.meta.url),
      name: "workerd",
      options: childOptions,
      environment: ENVIRONMENT,
      log: options.log,
    });
  };
  let bundle = options.bundle;
  let child = await start(bundle);
  return {
    url: `http://127.0.0.1:${port}`,
    get pid() {
      return child.ready.workerdPid;
    },
    get exited() {
      return child.exited;
    },
    stop: () => child.stop(),
    kill: () => child.kill(),
    async restart(next = bundle) {
      await child.stop();
      try {
        child = await start(next);
        bundle = next;
      } catch (error) {
        if (next !== bundle) child = await start(bundle);
        throw error;
      }
    },
    async evictShard(eviction) {
      await child.ask("evictShard", eviction);
    },
    async crashShards() {
      await child.ask("crashShards");
    },
    async runScheduled(cron = "* * * * *") {
      await child.ask("runScheduled", cron);
    },
  };
}
