/**
 * The workflow of the chaos: three steps, two of which run side by side and are joined by the third.
 * Each has one effect in the outside world and gives it back as its output.
 */
import { z } from "zod";
import { type TaskContext, type Workflow, workflow } from "../../sdk/index.ts";
import type { Effect } from "./ledger.ts";

const input = z.object({
  /** Milliseconds each of its steps works: so long there is something to be killed. */
  workMs: z.number(),
});
export type OrderInput = z.output<typeof input>;

/** The steps and their parents. */
export const ORDER_STEPS: ReadonlyMap<string, readonly string[]> = new Map([
  ["charge", []],
  ["pack", []],
  ["ship", ["charge", "pack"]],
]);

/** What a step does: works, and has its effect, after those of its parents. */
export type Perform = (ctx: TaskContext<OrderInput>, after: readonly Effect[]) => Promise<Effect>;

/** The same definition whoever performs it: every worker has a handler of its own. */
export function orderWorkflow(perform: Perform): Workflow<OrderInput, OrderInput, Effect> {
  const order = workflow({ name: "chaos-order", input });
  const charge = order.step("charge", { run: (ctx) => perform(ctx, []) });
  const pack = order.step("pack", { run: (ctx) => perform(ctx, []) });
  const ship = order.step("ship", {
    parents: [charge, pack],
    run: (ctx) => perform(ctx, [ctx.parents.charge, ctx.parents.pack]),
  });
  return order.returns(ship);
}
