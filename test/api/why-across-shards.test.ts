/** Why a task waits for a limit that another shard counts, or whose permits another shard has. */
import { expect, test } from "vitest";
import type { LimitState, PutLimit, WaitReason, Why } from "../../protocol/limit-bodies.ts";
import { taskId } from "../../protocol/ids.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import { limitStateSchema } from "../../workers/api/limit-schemas.ts";
import { whySchema } from "../../workers/api/why-schemas.ts";
import { AT, BOTH, eventually, OTHER, OWNER, TwoShards } from "../support/two-shards.ts";
import { useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer } from "./answers.ts";

let shards: TwoShards;
let world: World;

useVirtualTime();

async function begin(limit: PutLimit): Promise<void> {
  shards = await TwoShards.begin(limit);
  ({ world } = shards);
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
  const held = await shards.startHeld(holding);
  const run = await shards.start(waiting);
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

  shards.complete(held);
  await shards.received(waiting, run);
});

test("holders at both shards are told, each once, and so are those who wait at both", async () => {
  await begin({ concurrency: 2 });
  const here = await shards.startHeld(OWNER);
  const there = await shards.startHeld(OTHER);
  const first = await shards.start(OTHER);
  const second = await shards.start(OWNER);
  // The owner has been told of the one that waits elsewhere.
  await eventually(world, async () => {
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
  await shards.startHeld(OWNER);
  const run = await shards.start(OTHER);
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
  const early = await shards.at(OTHER).unreadWhenQuiet();
  expect(early.filter(({ type }) => type === "task")).toEqual([]);
  await shards.received(OTHER, run);
});

test("a task in the queue is told likewise", async () => {
  await begin({ concurrency: 1 });
  const held = await shards.startHeld(OWNER);
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

test("a task for which there are workers at other shards alone is told so, in memory and in the queue", async () => {
  await begin({ concurrency: 100 });
  shards.at(OTHER).vanish();
  await world.advance(10_000, BOTH);
  const runs = await Promise.all(Array.from({ length: 30 }, () => shards.start(OTHER)));
  for (const run of [runs[0] ?? "", runs.at(-1) ?? ""]) {
    const { reason, sentence } = await whyOf(run);
    expect(reason).toMatchObject({
      kind: "no_worker",
      action: "job:only",
      elsewhere: { shard: OTHER, shards: [OWNER] },
    });
    expect(sentence).toContain(`connected to shard ${OTHER}, where it waits`);
    expect(sentence).toContain("`affinity`");
  }
  shards.at(OWNER).say({ type: "pause" });
  const paused = await whyOf(runs[0] ?? "");
  expect(paused.reason).toMatchObject({ kind: "no_worker" });
  expect(paused.reason).not.toHaveProperty("elsewhere");
});

test("a worker that has given all its slots to another shard is busy there, not too small", async () => {
  await begin({ concurrency: 100 });
  shards.at(OTHER).vanish();
  await world.advance(10_000, BOTH);
  await world.connectWorker({ actions: ["job:only"], slots: 0, of: 4, worker: "busy" }, OTHER);
  const run = await shards.start(OTHER);
  await world.advance(1_000, BOTH);
  expect((await whyOf(run)).reason).toMatchObject({ kind: "no_free_slot" });
});
