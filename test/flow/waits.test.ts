/** Conditions and waits with the real SDK, over the real stack: from a publication to a handler's context. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { RunFailedError } from "../../sdk/index.ts";
import { parcels } from "./waiting-workflows.ts";
import { FlowWorld } from "./world.ts";

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
  await world.startWorker();
});
afterAll(() => world?.stop());

test("a run waits for its event, skips what its condition says, and its handlers know of both", async () => {
  const paid = (id: string) => world.client.publish("parcel:paid", { charge: `charge-${id}` });
  const early = await world.client.start(parcels, { id: "early", isGift: true, isFraud: false });
  const late = await world.client.start(parcels, { id: "late", isGift: false, isFraud: false });
  await paid("early"); // before the wait, or during it, or after: it counts
  expect(await early.result()).toEqual({
    wrapping: "wrapped",
    paid: [{ charge: "charge-early" }],
    isMet: false,
  });
  await paid("late");
  expect(await late.result()).toMatchObject({
    wrapping: "none",
    paid: [{ charge: "charge-late" }],
  });
  const run = await world.client.runs.get(late.id);
  expect(run.tasks.map(({ step, state }) => [step, state])).toEqual([
    ["pay", "completed"],
    ["wrap", "skipped"],
    ["ship", "completed"],
    ["tell", "completed"],
  ]);
  expect(run.tasks[2]?.waited).toMatchObject({
    isMet: true,
    met: [{ condition: 0, event: { key: "parcel:paid", payload: { charge: "charge-late" } } }],
  });
});

test("a run that is cancelled by a condition says so to its caller", async () => {
  const run = await world.client.start(parcels, { id: "x", isGift: true, isFraud: true });
  const failure: unknown = await run.result().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(RunFailedError);
  expect(String(failure)).toContain('cancelled by step "wrap": Its cancelIf is true');
});
