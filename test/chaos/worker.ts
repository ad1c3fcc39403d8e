/**
 * A process with one worker or many, as the SDK makes them. Its handlers are as bad as a user's may
 * be: they never look at their signal, so an attempt that was taken away goes on to the end and is
 * stopped by nothing but its fencing token.
 */
import { setTimeout as pause } from "node:timers/promises";
import { Client, type TaskContext, worker } from "../../sdk/index.ts";
import { listen } from "./ear.ts";
import type { Effect } from "./ledger.ts";
import { type OrderInput, orderWorkflow } from "./order.ts";
import { Outside } from "./outside.ts";

const outside = new Outside();
listen((note) => outside.note(note));
const client = new Client();
const names = String(process.env["WORKER_NAMES"]).split(",");
const slots = Number(process.env["SLOTS"]);
const workers = names.map((name) => {
  const perform = performAs(name);
  const workflows = [orderWorkflow(perform)];
  return worker({ workflows, slots, name, client, signals: [], log: false });
});

process.on("disconnect", () => process.exit(0)); // A chaos that was itself killed leaves nobody behind.
process.on("SIGTERM", () => {
  void Promise.allSettled(workers.map((one) => one.stop())).then(() => process.exit(0));
});
for (const one of workers) one.stopped.catch(fail);
await Promise.all(workers.map((one) => one.start()));

function performAs(name: string) {
  return async (ctx: TaskContext<OrderInput>, after: readonly Effect[]): Promise<Effect> => {
    const ref = { run: ctx.runId, step: ctx.step, attempt: ctx.fencingToken, worker: name };
    await outside.begin(ref);
    await pause(ctx.input.workMs);
    return await outside.apply(
      ref,
      after.map(({ number }) => number),
    );
  };
}

function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}
