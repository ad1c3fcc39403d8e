/**
 * Workflows that go wrong as their input says: what fails, is late, or blocks its whole process. Their
 * handlers tell the test by files, so that nobody waits for a clock.
 */
import { appendFileSync, existsSync } from "node:fs";
import { z } from "zod";
import {
  NonRetryableError,
  RetryAfterError,
  type TaskAbortedError,
  type TaskContext,
  workflow,
} from "../../sdk/index.ts";
import { fileExists, tell } from "./workflows.ts";

class RefusedError extends Error {
  override readonly name = "RefusedError";
}

/** Each attempt fails as the input says for it; the one after those succeeds. */
export const flaky = workflow({
  name: "flaky",
  input: z.object({ failures: z.array(z.enum(["throws", "later", "never", "refused"])) }),
});
flaky.step("try", {
  retries: 2,
  backoff: { initial: "100ms", factor: 3, jitter: 0 },
  retryIf: 'error.name != "RefusedError"',
  run: ({ input, attempt }) => {
    const failure = input.failures[attempt - 1];
    if (failure === "throws") throw new TypeError("not this time");
    if (failure === "later") throw new RetryAfterError("not now", { retryAfter: "400ms" });
    if (failure === "never") throw new NonRetryableError("not ever");
    if (failure === "refused") throw new RefusedError("not like this");
    return { attempt };
  },
});

/** What the first attempt of a task was told by its signal. */
const toldByTask = new Map<string, string>();

/** The first attempt waits for `hold`, with the time of its step or with more; the second doesn't. */
const tooSlow = workflow({
  name: "slow",
  input: z.object({ hold: z.string(), extended: z.string().optional() }),
});
const wait = tooSlow.step("wait", {
  timeout: "1s",
  retries: 1,
  backoff: { initial: "10ms" },
  run: async (ctx) => {
    if (ctx.attempt > 1) return { attempt: ctx.attempt, told: toldByTask.get(ctx.taskId) ?? null };
    ctx.signal.addEventListener("abort", () => {
      toldByTask.set(ctx.taskId, (ctx.signal.reason as TaskAbortedError).code);
    });
    if (ctx.input.extended !== undefined) {
      await ctx.extendTimeout("1m");
      tell(ctx.input.extended, "");
    }
    await fileExists(ctx.input.hold, ctx);
    return { attempt: ctx.attempt, told: null };
  },
});
export const slow = tooSlow.returns(wait);

/** A saga: what the input names fails, and everything is written into the journal. */
const tripInput = z.object({ fails: z.array(z.string()), journal: z.string() });
export const trip = workflow({ name: "trip", input: tripInput });
const flight = trip.step("flight", {
  run: (ctx) => book(ctx, "flight"),
  compensate: (ctx, booked) => book(ctx, `undo ${booked}`),
});
const hotel = trip.step("hotel", {
  parents: [flight],
  run: (ctx) => book(ctx, `hotel after ${ctx.parents.flight}`),
  compensate: {
    retries: 1,
    backoff: { initial: "10ms" },
    run: (ctx, booked) => book(ctx, `undo ${booked}`),
  },
});
trip.step("car", { parents: [hotel], run: (ctx) => book(ctx, "car") });
trip.onFailure({
  run: (ctx) => {
    book(ctx, "see to it");
    return ctx.failures.map(({ step, error }) => `${step}: ${error.code}: ${error.message}`);
  },
});

function book(ctx: TaskContext<z.infer<typeof tripInput>>, what: string): string {
  appendFileSync(ctx.input.journal, `${what}\n`);
  if (ctx.input.fails.includes(what)) throw new Error(`no ${what}`);
  return what;
}

/** Its second step fails until a file is there: the fault that somebody mends. */
export const mended = workflow({ name: "mended", input: z.object({ fix: z.string() }) });
const before = mended.step("before", { run: () => crypto.randomUUID() });
const faulty = mended.step("faulty", {
  parents: [before],
  run: ({ input, parents }) => {
    if (!existsSync(input.fix)) throw new Error("not mended yet");
    return { before: parents.before, made: crypto.randomUUID() };
  },
});
mended.step("after", { parents: [faulty], run: ({ parents }) => parents.faulty.made });

/** Its first attempt blocks the process it runs in, and then reports as if nothing had been. */
const zombie = workflow({
  name: "blocking",
  input: z.object({ blockMs: z.number(), began: z.string() }),
});
const block = zombie.step("block", {
  run: ({ input, attempt }) => {
    const startedAt = Date.now();
    const endsAt = attempt === 1 ? startedAt + input.blockMs : startedAt;
    tell(input.began, String(startedAt));
    while (Date.now() < endsAt); // Blocks, as a careless calculation would.
    return { attempt };
  },
});
export const blocking = zombie.returns(block);
