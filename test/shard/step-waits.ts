/** A step that waits, for the tests of what ends its wait. */
import { expect } from "vitest";
import type { PublishedEvent, Task } from "../../protocol/http.ts";
import type { WaitFor } from "../../protocol/wait-bodies.ts";
import type { Json } from "../../protocol/json.ts";
import { createWorld, type World } from "../support/world.ts";

export const MINUTE = 60_000;
export const BY_ID: WaitFor = { event: "order:paid", if: "event.payload.id == input.id" };
export const ACTIONS = ["order:ship", "order:tell"];

/** `ship` waits for what is said; `tell` follows it. */
export async function begin(waitFor: WaitFor, more: object = {}): Promise<World> {
  const world = await createWorld();
  const steps = [
    { name: "ship", waitFor, ...more },
    { name: "tell", parents: ["ship"] },
  ];
  await world.register({ name: "order", steps });
  return world;
}

/** A run that waits, once it does. */
export async function start(world: World, id: Json = 7): Promise<string> {
  const run = await world.startRun({ workflow: "order", input: { id } });
  await world.settled();
  return run.id;
}

/** Publishes it, and waits until all that follows has happened. */
export async function pay(world: World, id: Json = 7, key = "order:paid"): Promise<string> {
  const { status, body } = await world.call<PublishedEvent>("POST", "/events", {
    key,
    payload: { id },
    metadata: { by: "card" },
  });
  expect(status, JSON.stringify(body)).toBe(201);
  await world.settled();
  return body.id;
}

export async function ship(world: World, run: string): Promise<Task> {
  await world.settled();
  const [task] = (await world.readRun(run)).tasks;
  if (task === undefined) throw new Error(`Run ${run} has no task`);
  return task;
}

/** That nothing is left that would wake the shard, or be found by an event. */
export async function expectNothingOpen(world: World): Promise<void> {
  await world.settled();
  for (const table of ["timer", "match"]) {
    const rows = await world.sql(`select * from v1.${table} where tenant_id = $1`, [world.tenant]);
    expect(rows, table).toEqual([]);
  }
}
