/** When a run that is started later begins: `delay` or `startAt` of a start. */
import { isDelayInBounds } from "../protocol/delay.ts";
import { MAX_DELAY_MS } from "../protocol/limits.ts";
import { type Duration, durationMs } from "./duration.ts";
import { DefinitionError } from "./errors.ts";

export interface DelayOptions {
  /** The run begins so much later, at most 30d. Not together with `startAt`. Default at once. */
  delay?: Duration | undefined;
  /** The run begins then, at most 30 days ahead. A time that has passed is now. */
  startAt?: Date | undefined;
}

/** The delay in milliseconds, or the moment. `what` names the start in the `DefinitionError` of a bad one. */
export function checkedDelay(
  { delay, startAt }: DelayOptions,
  what: string,
): { delayMs: number } | { startAt: Date } | undefined {
  if (delay !== undefined && startAt !== undefined) {
    throw new DefinitionError(`${what} has delay and startAt: give one of them`);
  }
  if (delay !== undefined) {
    const bounds = { minimumMs: 0, maximumMs: MAX_DELAY_MS };
    return { delayMs: durationMs(delay, `The delay of ${what}`, bounds) };
  }
  if (startAt === undefined) return undefined;
  if (Number.isNaN(startAt.getTime())) {
    throw new DefinitionError(`The startAt of ${what} is no date`);
  }
  if (!isDelayInBounds({ startAt: startAt.getTime() }, Date.now())) {
    throw new DefinitionError(
      `The startAt of ${what} is more than 30 days ahead: store it with client.schedules.create`,
    );
  }
  return { startAt };
}
