/** Labels: as workers have them and steps ask for them, and what a shard is told when they change. */
import { expect, test } from "vitest";
import { MAX_LABEL_WEIGHT, MAX_LABELS, MAX_NAME_LENGTH } from "../../protocol/limits.ts";
import { Client, DefinitionError, type LabelOptions, worker, workflow } from "../../sdk/index.ts";
import { shardOf, TOKEN } from "./fake-shard.ts";
import { createWorld } from "./world.ts";

const GPU = { gpu: "yes", memory: 16 };

function askFor(labels: LabelOptions): unknown {
  const order = workflow({ name: "order" });
  order.step("charge", { run: () => 1, labels });
  return order.definition().steps[0]?.labels;
}

function tooMany(): { [label: string]: number } {
  return Object.fromEntries(Array.from({ length: MAX_LABELS + 1 }, (_, n) => [`label-${n}`, n]));
}

test("a label that a step gives as a value is required; others are as they are written", () => {
  const memory = { comparator: ">=", value: 8, weight: 50 } as const;
  expect(askFor({ gpu: "yes", zone: 3, memory })).toEqual({
    gpu: { value: "yes", isRequired: true },
    zone: { value: 3, isRequired: true },
    memory,
  });
});

test.each<[string, object, RegExp]>([
  ["too many labels", tooMany(), /asks for 51 labels: use at most 50/],
  ["a label of no name", { "": 1 }, /empty name/],
  ["a value that is no number", { a: Number.NaN }, /give a number, or a text/],
  ["a value that is neither", { a: { value: true } }, /give a number, or a text/],
  ["a value that is too long", { a: "x".repeat(MAX_NAME_LENGTH + 1) }, /at most 200/],
  ["an unknown comparator", { a: { value: 1, comparator: "~" } }, /use one of == != < <= > >=/],
  ["a weight of nothing", { a: { value: 1, weight: 0 } }, /more than 0/],
  ["a weight beyond all", { a: { value: 1, weight: MAX_LABEL_WEIGHT + 1 } }, /at most 1000000/],
  ["a weight of what must be", { a: { value: 1, weight: 1, isRequired: true } }, /is required/],
])("a step that asks for %s is refused where it is written", (_what, labels, message) => {
  expect(() => askFor(labels as LabelOptions)).toThrow(message);
  expect(() => askFor(labels as LabelOptions)).toThrow(DefinitionError);
});

test.each<[string, object, RegExp]>([
  ["too many", tooMany(), /has 51 labels: use at most 50/],
  ["a name that no step can ask for", { "a b": 1 }, /A label of a worker is named "a b"/],
  ["a number without end", { a: Number.POSITIVE_INFINITY }, /give a number, or a text/],
  ["a text that can't be stored", { a: "\0" }, /without U\+0000/],
  ["what is neither text nor number", { a: true }, /give a number, or a text/],
])("a worker's labels are refused, made and set: %s", (_what, labels, message) => {
  const client = new Client({ url: "http://127.0.0.1:1", token: TOKEN });
  const one = workflow({ name: "one" });
  one.step("a", { run: () => 1 });
  expect(() => worker({ workflows: [one], client, labels: labels as never })).toThrow(message);
  const made = worker({ workflows: [one], client });
  expect(() => made.setLabels(labels as never)).toThrow(message);
});

test("a worker says its labels with every hello, and none when it has none", async () => {
  const { connect, shard } = await createWorld();
  const { session } = await connect({ labels: GPU });
  expect(await session.hello).toMatchObject({ labels: GPU });
  session.vanish();
  expect(await (await shard.session()).hello).toMatchObject({ labels: GPU });
  const { session: other } = await (await createWorld()).connect();
  expect(await other.hello).not.toHaveProperty("labels");
});

test("labels that are set before the start are those of the hello", async () => {
  const { makeWorker, shard } = await createWorld();
  const made = makeWorker({ labels: GPU });
  made.setLabels({ gpu: "no" });
  void made.start();
  const session = (await shard.session()).welcome();
  expect(await session.hello).toMatchObject({ labels: { gpu: "no" } });
  await session.settled();
  expect(session.count("labels")).toBe(0);
});

test("changed labels are said to every shard at once, and in the hellos that follow", async () => {
  const { makeWorker, shard } = await createWorld();
  shard.shards = [0, 1];
  const made = makeWorker({ labels: GPU });
  const started = made.start();
  const sessions = [await shard.session(), await shard.session()];
  for (const session of sessions) session.welcome();
  await started;
  const labels = { memory: 24 };
  made.setLabels(labels);
  for (const session of sessions) {
    expect(await session.next("labels")).toEqual({ type: "labels", labels });
  }
  sessions[0]?.vanish();
  const again = (await shard.session()).welcome();
  expect(await again.hello).toMatchObject({ labels });
  await again.settled();
  expect(again.count("labels")).toBe(0);
});

test("labels that change between hello and welcome are said after the welcome", async () => {
  const { connect, shard } = await createWorld();
  const { session, worker: made } = await connect({ labels: GPU });
  session.vanish();
  const back = await shard.session();
  made.setLabels({});
  back.welcome();
  expect(await back.next("labels")).toEqual({ type: "labels", labels: {} });
});

test("a shard that comes later is told the labels as they are then", async () => {
  const { connect, shard } = await createWorld();
  const { session, worker: made } = await connect({ labels: GPU });
  made.setLabels({ gpu: "no" });
  await session.next("labels");
  shard.welcomeEverybody();
  session.send({ type: "shards", version: 1, shards: [0, 1].map(shardOf) });
  await session.answerSlots();
  const added = await shard.session();
  expect(await added.hello).toMatchObject({ labels: { gpu: "no" } });
});
