/** One workflow of one step under limits, its runs and workers: for the tests of limits. */
import type { LimitUse } from "../../protocol/limit-bodies.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, type World } from "../support/world.ts";

export const BY_CUSTOMER = { key: "input.customer" };

export async function begin(limits: LimitUse[], ofRun: LimitUse[] = []): Promise<World> {
  const world = await createWorld();
  const only = { name: "only", ...(limits.length > 0 && { limits }) };
  await world.register({ name: "job", steps: [only], ...(ofRun.length > 0 && { limits: ofRun }) });
  return world;
}

export function connect(world: World, slots = 10): Promise<FakeWorker> {
  return world.connectWorker({ actions: ["job:only"], slots });
}

export function start(world: World, ...customers: string[]): Promise<string[]> {
  return world.startRuns(
    "job",
    customers.map((customer) => ({ customer })),
  );
}

/** The worker's next socket, after its shard has crashed. */
export async function resume(
  world: World,
  { welcome }: FakeWorker,
  ...tasks: TaskFrame[]
): Promise<FakeWorker> {
  const back = await world.openSocket();
  const running = tasks.map(({ task, attempt }) => ({ task, attempt }));
  await back.hello({ actions: ["job:only"], session: welcome?.session ?? "", running });
  return back;
}

/** Tasks that have come once all is quiet, by run. */
export async function runsOf(worker: FakeWorker): Promise<string[]> {
  const frames = await worker.unreadWhenQuiet();
  return frames.flatMap((frame) => (frame.type === "task" ? [frame.run] : []));
}
