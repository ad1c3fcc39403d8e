/**
 * The gateway: every completion of every customer goes through one step, under the two limits of the
 * provider, and in an order that gives each customer their share.
 */
import { type RateOptions, workflow } from "@skein/sdk";
import { z } from "zod";
import { askProvider } from "./provider-client.ts";

const input = z.object({
  customer: z.string(),
  plan: z.enum(["bronze", "silver", "gold"]),
  prompt: z.string(),
  maxTokens: z.int().positive(),
});
export type CompletionInput = z.output<typeof input>;

export const completion = workflow({
  name: "llm-completion",
  description: "One completion, within the provider's limits",
  input,
});

const complete = completion.step("complete", {
  timeout: "1m",
  retries: 3,
  limits: [
    { limit: "provider-requests" },
    // The most that it can take: four characters are a token. What was not used is settled below.
    { limit: "provider-tokens", units: "size(input.prompt) / 4 + 1 + input.maxTokens" },
    // Bounds nothing: it says whose turn it is.
    {
      key: "input.customer",
      weight: "input.plan == 'gold' ? 4 : input.plan == 'silver' ? 2 : 1",
    },
  ],
  run: async (ctx) => {
    const answer = await askProvider(ctx.input, ctx);
    // The provider is asked for nothing more, by any worker, until it wants to be.
    if (answer.isRefused) {
      return ctx.rateLimited("provider-tokens", { retryAfter: answer.retryAfterMs });
    }
    ctx.settle("provider-tokens", answer.usedTokens);
    return answer.text;
  },
});

/** Whoever asks gets the text. */
export const completeText = completion.returns(complete);

/** What the provider allows a minute, as the stored limits that the step names. */
export function limitsOf(allowed: { requests: number; tokens: number }): [string, RateOptions][] {
  return [
    ["provider-requests", rateOf(allowed.requests)],
    ["provider-tokens", rateOf(allowed.tokens)],
  ];
}

/**
 * The safety margin. The rate is the whole of the provider's: nothing is taken off it, or it would never be
 * used. What is smaller is the burst. A request counts here when it starts, and at the provider when it
 * arrives; one that was held up on its way arrives together with those that started later. The provider's
 * bucket must have room for them all: what it holds more than ours, five seconds' worth to two, is the delay
 * that it forgives. And two seconds are enough to lose nothing while a task starts.
 */
const BURST_SECONDS = 2;

function rateOf(perMinute: number): RateOptions {
  return { units: perMinute, per: "1m", burst: (perMinute / 60) * BURST_SECONDS };
}
