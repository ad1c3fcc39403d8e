/**
 * A tenant of two shards with a worker at each, and a stored limit that one of them counts. A run is where the test
 * wants it: its workflow's first limit, which bounds nothing that is in the way, is counted there.
 */
import { expect } from "vitest";
import type { PutLimit } from "../../protocol/limit-bodies.ts";
import { PING_INTERVAL_MS, type TaskFrame } from "../../protocol/session.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import type { FakeWorker } from "./fake-worker.ts";
import { createWorld, type World } from "./world.ts";

/** The alarms of both go off while time passes. */
export const BOTH = { shards: [0, 1] };
/** The shard that counts `llm`, and the other one. */
export const OWNER = shardOfKey("llm ", 2);
export const OTHER = 1 - OWNER;
/** A key by which runs go to each. */
export const AT = [0, 1].map((shard) => keyAt(shard));

const ACTIONS = ["job:only"];

function keyAt(shard: number): string {
  for (let n = 0; ; n++) if (shardOfKey(`job#1 k${n}`, 2) === shard) return `k${n}`;
}

interface Job {
  /** The limit is each run's, not each task's. */
  isOfRun?: boolean;
  timeoutMs?: number;
}

export class TwoShards {
  readonly world: World;
  /** By shard. */
  readonly workers: FakeWorker[] = [];

  private constructor(world: World) {
    this.world = world;
  }

  static async begin(
    limit: PutLimit,
    { isOfRun = false, timeoutMs }: Job = {},
  ): Promise<TwoShards> {
    const world = await createWorld();
    await world.call("PUT", "/tenant/shards", { count: 2 });
    await world.call("PUT", "/limits/llm", limit);
    const place = { key: "input.at", concurrency: 100 };
    const counted = [{ limit: "llm" }];
    const step = { name: "only", ...(timeoutMs !== undefined && { timeoutMs }) };
    await world.register({
      name: "job",
      limits: isOfRun ? [place, ...counted] : [place],
      steps: [isOfRun ? step : { ...step, limits: counted }],
    });
    const shards = new TwoShards(world);
    for (const shard of [0, 1]) await shards.connect(shard);
    return shards;
  }

  /** A worker of the shard, in place of the one that was there; `running`: it resumes that one's session. */
  async connect(shard: number, running?: TaskFrame[]): Promise<FakeWorker> {
    const session = running && this.workers[shard]?.welcome?.session;
    const refs = running?.map(({ task, attempt }) => ({ task, attempt })) ?? [];
    const hello = { actions: ACTIONS, slots: 20, running: refs, ...(session && { session }) };
    const worker = await this.world.connectWorker(hello, shard);
    this.workers[shard] = worker;
    return worker;
  }

  at(shard: number): FakeWorker {
    const worker = this.workers[shard];
    if (worker === undefined) throw new Error(`There is no shard ${shard}`);
    return worker;
  }

  async start(shard: number): Promise<string> {
    const { id } = await this.world.startRun({ workflow: "job", input: { at: AT[shard] ?? "" } });
    return id;
  }

  /** A run that has begun. */
  async startHeld(shard: number): Promise<TaskFrame> {
    return await this.received(shard, await this.start(shard));
  }

  /** Shards that can't answer each other yet are asked again a little later: lets time pass until it has come. */
  async received(shard: number, run: string): Promise<TaskFrame> {
    await eventually(this.world, async () => {
      const frames = await this.at(shard).unreadWhenQuiet();
      return frames.find((frame) => frame.type === "task" && frame.run === run);
    });
    return this.at(shard).take("task", ({ run: of }) => of === run);
  }

  /** Lets so much time pass that whatever shards have to say to each other is said; what has begun at either since. */
  async begun(ms = 5_000): Promise<TaskFrame[]> {
    await this.world.advance(ms, BOTH);
    const begun: TaskFrame[] = [];
    for (const worker of this.workers) {
      const frames = await worker.unreadWhenQuiet();
      for (const { run } of frames.filter((frame) => frame.type === "task")) {
        begun.push(worker.take("task", ({ run: of }) => of === run));
      }
    }
    return begun;
  }

  /** As `begun`, while the workers ping: nothing begins meanwhile. */
  async nothingBegins(ms: number): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += PING_INTERVAL_MS) {
      expect(await this.begun(Math.min(PING_INTERVAL_MS, ms - passedMs))).toEqual([]);
      for (const [shard, worker] of this.workers.entries()) await this.world.ping(worker, shard);
    }
  }

  complete(task: TaskFrame): void {
    this.at(task.shard).complete(task);
  }
}

/** Lets time pass, a little and again, until there is one. */
export async function eventually<Found>(
  world: World,
  find: () => Promise<Found | undefined>,
): Promise<Found> {
  for (let tries = 0; tries < 100; tries++) {
    const found = await find();
    if (found !== undefined) return found;
    await world.advance(50, BOTH);
  }
  throw new Error("It has not come in five seconds");
}
