/** Why a task waits for a limit that another shard counts, or whose permits another shard has. */
import { beforeEach, expect, test } from "vitest";
import type { LimitState, WaitReason, Why } from "../../protocol/limit-bodies.ts";
import { taskId } from "../../protocol/ids.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import { limitStateSchema } from "../../workers/api/limit-schemas.ts";
import { whySchema } from "../../workers/api/why-schemas.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer } from "./answers.ts";

const BOTH = { shards: [0, 1] };
/** The shard that counts `llm`, and the other one; and a key by which runs go to each. */
const OWNER = shardOfKey("llm ", 2);
const OTHER = 1 - OWNER;
const AT = [0, 1].map((shard) => keyAt(shard));

let world: World;
let workers: FakeWorker[];

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.call("PUT", "/tenant/shards", { count: 2 });
});

function keyAt(shard: number): string {
  for (let n = 0; ; n++) if (shardOfKey(`job#1 k${n}`, 2) === shard) return `k${n}`;
}

/** A workflow of which each run is where its input says, and whose step is under the limit. */
async function begin(limit: object): Promise<void> {
  await world.call("PUT", "/limits/llm", limit);
  const steps = [{ name: "only", limits: [{ limit: "llm" }] }];
  await world.register({ name: "job", limits: [{ key: "input.at", concurrency: 100 }], steps });
  workers = [];
  for (const shard of [0, 1]) {
    workers.push(await world.connectWorker({ actions: ["job:only"], slots: 9 }, shard));
  }
}

const start = async (shard: number): Promise<string> =>
  (await world.startRun({ workflow: "job", input: { at: AT[shard] ?? "" } })).id;

async function startHeld(shard: number): Promise<TaskFrame> {
  const run = await start(shard);
  return await received(shard, run);
}

/** Shards that can't answer each other yet are asked again a little later: lets time pass until it has come. */
async function received(shard: number, run: string): Promise<TaskFrame> {
  return await eventually(async () => {
    const frames = (await workers[shard]?.unreadWhenQuiet()) ?? [];
    return frames.find((frame) => frame.type === "task" && frame.run === run) as TaskFrame;
  });
}

/** Lets time pass, a little and again, until there is one. */
async function eventually<Found>(find: () => Promise<Found | undefined>): Promise<Found> {
  for (let tries = 0; tries < 100; tries++) {
    const found = await find();
    if (found !== undefined) return found;
    await world.advance(50, BOTH);
  }
  throw new Error("It has not come in five seconds");
}

async function whyOf(run: string): Promise<Why> {
  const asked = await ask(world, "GET", `/tasks/${taskId(run, 0)}/why`);
  return expectAnswer(asked, 200, whySchema);
}

async function stateOf(): Promise<LimitState["keys"]> {
  const asked = await ask(world, "GET", "/limits/llm");
  return expectAnswer(asked, 200, limitStateSchema).keys;
}

const heldBy = ({ run, task }: TaskFrame) => ({ run, task, attempt: 1 });

test.each([
  ["the shard that counts it", OWNER, OTHER],
  ["another shard, to a task at the one that counts it", OTHER, OWNER],
])("a task waits for a permit that is held at %s", async (_, holding, waiting) => {
  await begin({ concurrency: 1 });
  const held = await startHeld(holding);
  const run = await start(waiting);
  const { reason, sentence } = await whyOf(run);
  expect(reason).toEqual({
    kind: "concurrency",
    limit: "llm",
    key: "",
    held: 1,
    bound: 1,
    holders: [heldBy(held)],
    line: { position: 1, length: 1, isExact: true },
  });
  expect(sentence).toContain('It waits for limit "llm": 1 of 1 permits are held, and one must');
  expect(await stateOf()).toEqual([
    { key: "", held: 1, limit: 1, holders: [heldBy(held)], waiting: 1 },
  ]);

  workers[holding]?.complete(held);
  await received(waiting, run);
});

test("holders at both shards are told, each once, and so are those who wait at both", async () => {
  await begin({ concurrency: 2 });
  const here = await startHeld(OWNER);
  const there = await startHeld(OTHER);
  const first = await start(OTHER);
  const second = await start(OWNER);
  // The owner has been told of the one that waits elsewhere.
  await eventually(async () => {
    const { reason } = await whyOf(second);
    return "line" in reason && reason.line.length === 2 ? reason : undefined;
  });
  const holders = expect.toSatisfy(
    (found: unknown[]) => found.length === 2,
    "two holders",
  ) as unknown;
  for (const run of [first, second]) {
    const { reason } = await whyOf(run);
    expect(reason).toMatchObject({ kind: "concurrency", held: 2, bound: 2, holders });
    if (reason.kind !== "concurrency") throw new Error("unreachable");
    expect(reason.holders).toEqual(expect.arrayContaining([heldBy(here), heldBy(there)]));
    expect(reason.line).toMatchObject({ length: 2, isExact: false });
  }
  expect(await stateOf()).toMatchObject([{ key: "", held: 2, limit: 2, waiting: 2, holders }]);
});

test("a task waits for units that others have taken at the shard that counts them", async () => {
  await begin({ rate: [{ units: 1, perMs: 60_000 }] });
  await startHeld(OWNER);
  const run = await start(OTHER);
  const { reason } = await whyOf(run);
  expect(reason).toMatchObject({ kind: "rate", limit: "llm", units: 1, isPaused: false });
  expect(reason).not.toHaveProperty("doubt");
  if (reason.kind !== "rate") throw new Error("unreachable");
  const inMs = Date.parse(reason.availableAt) - Date.now();
  expect(inMs).toBeGreaterThan(0);
  const [state, ...others] = await stateOf();
  expect(others).toEqual([]);
  expect(state).toMatchObject({ key: "", waiting: 1 });
  expect(state?.available).toBeLessThan(1);
  await world.advance(inMs - 1, BOTH);
  const early = (await workers[OTHER]?.unreadWhenQuiet()) ?? [];
  expect(early.filter(({ type }) => type === "task")).toEqual([]);
  await received(OTHER, run);
});

test("a task in the queue is told likewise", async () => {
  await begin({ concurrency: 1 });
  const held = await startHeld(OWNER);
  const inputs = Array.from({ length: 60 }, () => ({ at: AT[OTHER] ?? "" }));
  await world.startRuns("job", inputs);
  await world.settled();
  const [row] = await world.sql(
    "select max(task_id::text) as last from v1.queue_item where tenant_id = $1",
    [world.tenant],
  );
  const asked = await ask(world, "GET", `/tasks/${String(row?.["last"])}/why`);
  const { reason }: { reason: WaitReason } = expectAnswer(asked, 200, whySchema);
  expect(reason).toMatchObject({
    kind: "concurrency",
    held: 1,
    bound: 1,
    holders: [heldBy(held)],
    line: { isExact: false },
  });
});
