/**
 * What no single field of a delay tells. Pure, but for the clock.
 */
import { type Delay, isDelayInBounds } from "../../protocol/delay.ts";
import { MAX_DELAY_MS } from "../../protocol/limits.ts";
import type { Broken } from "./limit-rules.ts";

const DAYS = MAX_DELAY_MS / 86_400_000;

export function brokenInDelay(delay: Delay): Broken[] {
  const { delayMs, startAt } = delay;
  if (delayMs !== undefined && startAt !== undefined) {
    return [{ path: ["startAt"], message: "can't be given together with delayMs" }];
  }
  if (isDelayInBounds(delay, Date.now())) return [];
  return [
    {
      path: [delayMs === undefined ? "startAt" : "delayMs"],
      message: `is more than ${DAYS} days ahead: make it a schedule, with POST /api/v1/schedules and \`at\``,
    },
  ];
}
