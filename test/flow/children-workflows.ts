/** A handler that starts runs and waits for them, and the runs that it starts. */
import { z } from "zod";
import { type TaskAbortedError, workflow } from "../../sdk/index.ts";
import { fileExists, tell } from "./workflows.ts";

const leafInput = z.object({
  n: z.number(),
  /** Written when it begins, and when its signal is aborted. */
  began: z.string().optional(),
  told: z.string().optional(),
  /** It waits for this file. */
  hold: z.string().optional(),
});

const single = workflow({ name: "leaf", input: leafInput });
const double = single.step("double", {
  run: async (ctx) => {
    const { n, began, told, hold } = ctx.input;
    ctx.signal.addEventListener("abort", () => {
      if (told !== undefined) tell(told, (ctx.signal.reason as TaskAbortedError).code);
    });
    if (began !== undefined) tell(began, "");
    if (hold !== undefined) await fileExists(hold, ctx);
    return { doubled: 2 * n };
  },
});
export const leaf = single.returns(double);

/** One child by `spawn`, which may outlive it, the others by `spawnMany`. */
const parent = workflow({
  name: "family",
  input: z.object({
    eldest: leafInput,
    others: z.array(leafInput),
    isDetached: z.boolean().optional(),
    metadata: z.record(z.string(), z.string()).optional(),
  }),
});
const gather = parent.step("gather", {
  run: async (ctx) => {
    const { eldest, others, isDetached: detached, metadata } = ctx.input;
    const first = await ctx.spawn(leaf, eldest, { key: "eldest", detached, metadata });
    const rest = await ctx.spawnMany(
      leaf,
      others.map((input) => ({ input, key: `other-${input.n}`, metadata })),
    );
    const results = await Promise.all([first, ...rest].map((child) => child.result()));
    const sum = results.reduce((total, { doubled }) => total + doubled, 0);
    return { sum, attempt: ctx.attempt, children: [first, ...rest].map(({ id }) => id) };
  },
});
export const family = parent.returns(gather);
