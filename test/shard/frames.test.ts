/** Messages that break the protocol: an error, a close code, and nothing has changed. */
import { expect, test } from "vitest";
import { SESSION_ERRORS, type SessionErrorCode } from "../../protocol/errors.ts";
import { newRunId, taskId } from "../../protocol/ids.ts";
import {
  MAX_LABELS,
  MAX_LIMIT_NAME_LENGTH,
  MAX_MESSAGE_BYTES,
  MAX_NAME_LENGTH,
  MAX_RATE_PAUSE_MS,
  MAX_RATE_UNITS,
} from "../../protocol/limits.ts";
import { PROTOCOL_VERSION } from "../../protocol/session.ts";
import { createWorld, useVirtualTime } from "../support/world.ts";

useVirtualTime();

const HELLO = {
  type: "hello",
  worker: "w",
  sdk: "test/0",
  slots: 5,
  actions: ["simple:only"],
  versions: [],
  running: [],
};
const ID = taskId(newRunId(), 0);
const COMPLETED = {
  type: "completed",
  task: ID,
  attempt: 1,
  shard: 0,
  output: null,
  startedAt: 1,
  finishedAt: 2,
};
const { output: _output, ...WITHOUT_OUTPUT } = COMPLETED;
const SETTLE = { type: "settle", task: ID, attempt: 1, limit: "tokens", used: 1 };
const RATE_LIMITED = { ...WITHOUT_OUTPUT, type: "rate_limited", retryAfterMs: 1 };
const LONG_LIMIT = "x".repeat(MAX_LIMIT_NAME_LENGTH + 1);
const LONG = "x".repeat(MAX_NAME_LENGTH + 1);

function labelsOf(count: number): { [label: string]: number } {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`label-${index}`, index]));
}

function message(...frames: unknown[]): string {
  return JSON.stringify({ v: PROTOCOL_VERSION, frames });
}

const BROKEN: [what: string, code: SessionErrorCode, text: string | ArrayBuffer][] = [
  ["not JSON", "malformed_message", "hello?"],
  ["binary", "malformed_message", new Uint8Array(new TextEncoder().encode(message(HELLO))).buffer],
  ["not an object", "malformed_message", "[]"],
  ["without frames", "malformed_message", JSON.stringify({ v: PROTOCOL_VERSION })],
  ["of another version", "unsupported_version", JSON.stringify({ v: 99, frames: [] })],
  ["of no version", "unsupported_version", JSON.stringify({ frames: [] })],
  ["too large", "message_too_large", `"${"x".repeat(MAX_MESSAGE_BYTES)}"`],
  ["with an unknown frame", "unknown_frame", message({ type: "shrug" })],
  [
    "with a frame named like an object's own member",
    "unknown_frame",
    message({ type: "toString" }),
  ],
  ["with a frame of no type", "unknown_frame", message({})],
  ["with a frame that is no object", "unknown_frame", message(null)],
  ["with a missing field", "invalid_frame", message(WITHOUT_OUTPUT)],
  ["with an extra field", "invalid_frame", message({ ...COMPLETED, extra: 1 })],
  ["with a field of the wrong type", "invalid_frame", message({ ...COMPLETED, attempt: "1" })],
  ["with an attempt of zero", "invalid_frame", message({ ...COMPLETED, attempt: 0 })],
  ["with an attempt beyond counting", "invalid_frame", message({ ...COMPLETED, attempt: 2 ** 40 })],
  ["with a task that is no id", "invalid_frame", message({ ...COMPLETED, task: "x".repeat(36) })],
  ["with a time after all times", "invalid_frame", message({ ...COMPLETED, startedAt: 1e300 })],
  ["with a second, broken frame", "invalid_frame", message(COMPLETED, WITHOUT_OUTPUT)],
  ["with less than nothing used", "invalid_frame", message({ ...SETTLE, used: -1 })],
  ["with more used than counts", "invalid_frame", message({ ...SETTLE, used: MAX_RATE_UNITS + 1 })],
  [
    "with more used than a number holds",
    "invalid_frame",
    message({ ...SETTLE, used: "ALL" }).replace('"ALL"', "1e400"),
  ],
  ["with a limit of too long a name", "invalid_frame", message({ ...SETTLE, limit: LONG_LIMIT })],
  [
    "with a pause of less than nothing",
    "invalid_frame",
    message({ ...RATE_LIMITED, retryAfterMs: -1 }),
  ],
  [
    "with a pause of more than a day",
    "invalid_frame",
    message({ ...RATE_LIMITED, retryAfterMs: MAX_RATE_PAUSE_MS + 1 }),
  ],
  ["with half a millisecond", "invalid_frame", message({ ...RATE_LIMITED, retryAfterMs: 0.5 })],
  ["with labels that are a list", "invalid_frame", message({ type: "labels", labels: [] })],
  ["with labels that are not there", "invalid_frame", message({ type: "labels" })],
];

for (const [what, code, text] of BROKEN) {
  test(`a message ${what} ends the socket with ${code} and changes nothing`, async () => {
    const world = await createWorld();
    await world.register({ name: "simple", steps: [{ name: "only" }] });
    const worker = await world.connectWorker({ actions: ["simple:only"] });
    const run = await world.startRun({ workflow: "simple" });
    const task = await worker.receiveTask();
    const named = typeof text === "string" ? text.replaceAll(ID, task.task) : text;

    worker.sayText(named);
    const { detail } = await worker.receive("error", { code });
    expect(detail.length).toBeGreaterThan(20);
    expect(await worker.closed).toMatchObject({ code: SESSION_ERRORS[code].close, reason: code });
    expect(await world.readRun(run.id)).toMatchObject({ state: "queued" });

    const back = await world.openSocket();
    const running = [{ task: task.task, attempt: 1 }];
    const session = worker.welcome?.session ?? "";
    const welcome = await back.hello({ actions: ["simple:only"], session, running });
    expect(welcome.resumed).toEqual(running);
  });
}

const BROKEN_HELLOS: [what: string, hello: object][] = [
  ["more slots than there may be", { slots: 1e9 }],
  ["a name that can't be stored", { worker: "a\0b" }],
  ["a name with half a character", { worker: "\ud800" }],
  ["an action of no name", { actions: [""] }],
  ["more labels than there may be", { labels: labelsOf(MAX_LABELS + 1) }],
  ["a label of no name", { labels: { "": 1 } }],
  ["a label of too long a name", { labels: { [LONG]: 1 } }],
  ["a label of too long a value", { labels: { a: LONG } }],
  ["a label that can't be stored", { labels: { a: "\0" } }],
  ["a label that is neither text nor number", { labels: { a: true } }],
];

for (const [what, part] of BROKEN_HELLOS) {
  test(`a hello with ${what} is refused`, async () => {
    const world = await createWorld();
    const socket = await world.openSocket();
    socket.sayText(message({ ...HELLO, ...part }));
    await socket.receive("error", { code: "invalid_frame" });
    expect(await socket.closed).toMatchObject({ code: 4400 });
  });
}

test("a frame before hello ends the socket", async () => {
  const world = await createWorld();
  const socket = await world.openSocket();
  socket.sayText(message(COMPLETED, HELLO));
  await socket.receive("error", { code: "hello_expected" });
  expect(await socket.closed).toMatchObject({ code: 4401 });
  expect(socket.unread).toEqual([]);
});

test("a second hello ends the socket", async () => {
  const world = await createWorld();
  const worker = await world.connectWorker({ actions: ["simple:only"] });
  worker.sayText(message(HELLO));
  await worker.receive("error", { code: "hello_repeated" });
  expect(await worker.closed).toMatchObject({ code: 4400 });
});

test("frames of one message are taken in order, and answered in one", async () => {
  const world = await createWorld();
  await world.register({ name: "simple", steps: [{ name: "only" }] });
  const worker = await world.connectWorker({ actions: ["simple:only"] });
  await world.startRuns("simple", [1, 2]);
  const tasks = await worker.receiveTasks(2);
  const frames = tasks.map(({ task, attempt }) => ({ ...COMPLETED, task, attempt }));
  worker.sayText(message(...frames));
  await worker.receive("recorded", { task: tasks[0]?.task });
  await worker.receive("recorded", { task: tasks[1]?.task });
});

test("labels, settlements and pauses as large as they may be are taken", async () => {
  const world = await createWorld();
  await world.register({ name: "simple", steps: [{ name: "only" }] });
  const labels = { ...labelsOf(MAX_LABELS - 1), ["x".repeat(MAX_NAME_LENGTH)]: "" };
  const worker = await world.connectWorker({ actions: ["simple:only"], labels });
  await world.startRun({ workflow: "simple" });
  const { task } = await worker.receiveTask();
  const limit = "x".repeat(MAX_LIMIT_NAME_LENGTH);
  worker.sayText(
    message(
      { type: "labels", labels },
      { ...SETTLE, task, limit, used: MAX_RATE_UNITS },
      { ...RATE_LIMITED, task, limit, retryAfterMs: MAX_RATE_PAUSE_MS },
    ),
  );
  await worker.receive("recorded", { task });
});

test("what was used is believed once: a worker says it again on every socket", async () => {
  const world = await createWorld();
  const limits = [{ rate: [{ units: 10, perMs: 600_000 }], units: 10 }];
  await world.register({ name: "simple", steps: [{ name: "only", limits }] });
  const worker = await world.connectWorker({ actions: ["simple:only"] });
  const [, second, third] = await world.startRuns("simple", [1, 2, 3]);
  const { task } = await worker.receiveTask();
  const settle = { ...SETTLE, task, limit: "simple:only#1", used: 0 };
  worker.sayText(message(settle, settle));
  await worker.receiveTask({ run: second });
  worker.sayText(message(settle));
  await world.settled();
  expect(worker.unread).toEqual([]);
  expect(await world.readRun(third ?? "")).toMatchObject({ state: "queued" });
});

test("a worker that changes its labels gets the tasks that waited for them", async () => {
  const world = await createWorld();
  const labels = { model: { value: "llama", isRequired: true } };
  await world.register({ name: "simple", steps: [{ name: "only", labels }] });
  const worker = await world.connectWorker({ actions: ["simple:only"] });
  const run = await world.startRun({ workflow: "simple" });
  await world.settled();
  expect(worker.unread).toEqual([]);
  worker.sayText(message({ type: "labels", labels: { model: "llama" } }));
  await worker.receiveTask({ run: run.id });
});
