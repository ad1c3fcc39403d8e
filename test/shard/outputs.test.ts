/** Outputs that can't be kept: each fails its own task, and no other. */
import { expect, test } from "vitest";
import { MAX_PAYLOAD_BYTES } from "../../protocol/limits.ts";
import { PROTOCOL_VERSION, type TaskFrame } from "../../protocol/session.ts";
import { createWorld, useVirtualTime } from "../support/world.ts";

useVirtualTime();

const SIMPLE = { name: "simple", steps: [{ name: "only" }] };

function completed({ task, attempt, shard }: TaskFrame, output: string): string {
  const times = `"startedAt":1,"finishedAt":2`;
  return `{"type":"completed","task":"${task}","attempt":${attempt},"shard":${shard},${times},"output":${output}}`;
}

/** Outputs, as JSON: what becomes of them. */
const OUTPUTS: [what: string, output: string, code: string | undefined][] = [
  ["of the largest size", `"${"x".repeat(MAX_PAYLOAD_BYTES - 2)}"`, undefined],
  ["one byte too large", `"${"x".repeat(MAX_PAYLOAD_BYTES - 1)}"`, "payload_too_large"],
  [
    "too large in bytes, not in characters",
    `"${"€".repeat(MAX_PAYLOAD_BYTES / 2)}"`,
    "payload_too_large",
  ],
  ["with a zero character", String.raw`"a\u0000b"`, "invalid_output"],
  ["with half a character", String.raw`["\ud800"]`, "invalid_output"],
  ["nested too deep for Postgres", "[".repeat(3e4) + "]".repeat(3e4), "invalid_output"],
  ["nested too deep to be written", "[".repeat(1e5) + "]".repeat(1e5), "invalid_output"],
  ["large and nested too deep", "[".repeat(4e5) + "]".repeat(4e5), "invalid_output"],
];

for (const [what, output, code] of OUTPUTS) {
  test(`an output ${what} ${code ? `fails its task alone with ${code}` : "is kept"}`, async () => {
    const world = await createWorld();
    await world.register(SIMPLE);
    const worker = await world.connectWorker({ actions: ["simple:only"] });
    const runs = await world.startRuns("simple", [0, 1, 2, 3, 4]);
    const tasks = await worker.receiveTasks(runs.length);
    const frames = tasks.map((task, index) => completed(task, index === 2 ? output : "1"));
    worker.sayText(`{"v":${PROTOCOL_VERSION},"frames":[${frames.join(",")}]}`);
    for (const _task of tasks) await worker.receive("recorded");

    const states = await Promise.all(runs.map((run) => world.readRun(run)));
    expect(states.map(({ tasks: [task] }) => task?.error?.code)).toEqual(
      [0, 1, 2, 3, 4].map((index) => (index === 2 ? code : undefined)),
    );
    expect(states.map(({ state }) => state)).toEqual(
      [0, 1, 2, 3, 4].map((index) => (index === 2 && code ? "failed" : "completed")),
    );
  });
}

test("an error that can't be kept still fails its task", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const worker = await world.connectWorker({ actions: ["simple:only"] });
  const run = await world.startRun({ workflow: "simple" });
  worker.fail(await worker.receiveTask(), "a\0b");
  await worker.receive("recorded");
  expect(await world.readRun(run.id)).toMatchObject({ state: "failed" });
});

test("a log line that can't be kept takes nothing with it", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const worker = await world.connectWorker({ actions: ["simple:only"] });
  const run = await world.startRun({ workflow: "simple" });
  const task = await worker.receiveTask();
  const { task: id, attempt } = task;
  const line = { level: "info" as const, message: "a\0b", at: 1 };
  worker.say(
    { type: "log", task: id, attempt, first: 0, lines: [line] },
    { type: "log", task: id, attempt, first: 1, lines: [{ ...line, message: "kept" }] },
  );
  worker.complete(task);
  await worker.receive("recorded");
  const { body } = await world.call<{ items: object[] }>("GET", `/runs/${run.id}/logs`);
  expect(body.items).toMatchObject([{ message: "kept" }]);
});
