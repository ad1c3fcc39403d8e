/**
 * The workflows of the stories, most of them three steps in a row. A step that is told to `hold` waits until the
 * test lets go, so that a process can be killed at a moment that is known.
 */
import { existsSync, renameSync, watch, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { type TaskContext, workflow, type WorkflowOptions } from "../../sdk/index.ts";

const input = z.object({
  n: z.number(),
  /** The second step waits for this file. */
  hold: z.string().optional(),
});

export const counted = inThreeSteps({
  name: "chain",
  on: { events: ["number:given"] },
  cancelOn: [{ event: "number:taken", if: "event.payload.n == input.n" }],
});

/** As many at once as a story has under way: none waits for another, and each has to be counted. */
export const limited = inThreeSteps({ name: "limited", limits: [{ concurrency: 8 }] });

function inThreeSteps(options: Omit<WorkflowOptions<typeof input>, "input">) {
  const chain = workflow({ ...options, input });
  const double = chain.step("double", { run: ({ input: { n } }) => ({ n: n * 2 }) });
  const wait = chain.step("wait", {
    parents: [double],
    timeout: "5m",
    run: async (ctx) => {
      if (ctx.input.hold !== undefined) await fileExists(ctx.input.hold, ctx);
      return { n: ctx.parents.double.n + 1, worker: process.pid, token: ctx.fencingToken };
    },
  });
  const report = chain.step("report", {
    parents: [wait],
    run: ({ parents }) => ({ ...parents.wait, reported: true }),
  });
  return chain.returns(report);
}

export const broken = workflow({ name: "broken", input: z.object({ message: z.string() }) });
broken.step("fails", {
  run: ({ input: { message }, log }) => {
    log.warn("about to fail", { message });
    throw new TypeError(message);
  },
});

/** Started by large orders only, and tells why. */
export const chosen = workflow({
  name: "chosen",
  on: { events: ["order:placed"] },
  filters: [{ expression: "input.amount > payload.least", payload: { least: 100 } }],
});
chosen.step("tells", { run: ({ filter }) => filter?.payload });

/** Started by the clock: says when it was to be, in a file. */
export const clocked = workflow({
  name: "clocked",
  input: z.object({ file: z.string() }).nullable(),
  crons: [{ name: "new year", cron: "0 0 1 1 *", timezone: "Europe/Berlin", input: null }],
});
clocked.step("tells", {
  run: ({ input: asked, scheduledFor }) => {
    if (asked !== null) tell(asked.file, String(scheduledFor?.toISOString()));
  },
});

/** Resolves when the file is there, told by the file system. */
export async function fileExists(file: string, ctx?: Pick<TaskContext, "signal">): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const watcher = watch(dirname(file), () => existsSync(file) && resolve());
  ctx?.signal.addEventListener("abort", () => reject(ctx.signal.reason));
  if (existsSync(file)) resolve();
  await promise.finally(() => watcher.close());
}

/** Writes a file in one piece: whoever waits for it finds all of it. */
export function tell(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}
