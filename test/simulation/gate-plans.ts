/** What steps of a simulation pass before they run: conditions that are known, and waits that end by themselves. */
import type { Random } from "./random.ts";
import type { ConditionOptions } from "../../sdk/conditions.ts";
import type { Span } from "./weather.ts";

export type GatePlan =
  | { kind: "passes" }
  | { kind: "skips" }
  | { kind: "sleeps"; ms: number }
  | { kind: "waits"; event: string; withinMs: number; timeoutMs: number; isSkipped: boolean };

const GATED = 0.3; // of the steps, where there are gates
const SLEEP_MS: Span = [1, 5_000];
const WITHIN_MS: Span = [1_000, 20_000];
const TIMEOUT_MS: Span = [500, 15_000];

export function drawGate(random: Random, events: readonly string[]): GatePlan | undefined {
  if (!random.chance(GATED)) return undefined;
  const kind = random.weighted({ passes: 1, skips: 1, sleeps: 1, waits: 3 });
  const event = random.pick(events) ?? "";
  const ms = random.skewed(...SLEEP_MS);
  const withinMs = random.chance(0.5) ? random.between(...WITHIN_MS) : 0;
  const timeoutMs = random.between(...TIMEOUT_MS);
  const isSkipped = random.chance(0.5);
  if (kind === "sleeps") return { kind, ms };
  return kind === "waits" ? { kind, event, withinMs, timeoutMs, isSkipped } : { kind };
}

export function gateOptions(plan: GatePlan | undefined): ConditionOptions {
  switch (plan?.kind) {
    case undefined:
      return {};
    case "passes":
      return { runIf: "size(parents) >= 0 && size(metadata) >= 0", cancelIf: "false" };
    case "skips":
      return { skipIf: "size(metadata) >= 0" };
    case "sleeps":
      return { waitFor: { sleep: plan.ms } };
    case "waits": {
      const { event, withinMs, timeoutMs: timeout, isSkipped } = plan;
      const awaited = { event, ...(withinMs > 0 && { within: withinMs }) };
      return {
        waitFor: {
          any: [awaited, { all: [awaited, { sleep: 1 }] }],
          timeout,
          onTimeout: isSkipped ? "skip" : "continue",
        },
      };
    }
  }
}
