/** Places two orders, one that succeeds and one that is undone, and prints what became of each. */
import { Client, type Task, worker } from "@skein/sdk";
import { placeOrder } from "./workflow.ts";

const skein = new Client();
const shop = worker({ client: skein, workflows: [placeOrder], log: false });
await shop.start();

for (const to of ["Paris", "the moon"]) {
  const { id } = await skein.start(placeOrder, { item: "lamp", to });
  const { state } = await skein.runs.result(id);
  console.log(`\nA lamp to ${to}: ${state}`);
  const [run, logs] = await Promise.all([skein.runs.get(id), skein.runs.logs(id)]);
  for (const task of run.tasks.toSorted(byEnd)) {
    console.log(`  ${task.step.padEnd(20)}${triesOf(task)}`);
    for (const line of logs.items.filter((logged) => logged.task === task.id)) {
      console.log(`  ${"".padEnd(20)}"${line.message}"`);
    }
  }
}

await shop.stop();

function byEnd(left: Task, right: Task): number {
  return (left.finishedAt ?? "").localeCompare(right.finishedAt ?? "");
}

/** How each attempt of the task has ended. */
function triesOf({ attempts }: Task): string {
  return attempts.map(({ outcome, error }) => error?.message ?? outcome).join(", then ");
}
