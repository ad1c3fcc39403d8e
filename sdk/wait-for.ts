/**
 * What a step waits for, as it is written: checked here, where it is written, and turned into milliseconds.
 */
import type { AwaitedCondition, WaitFor } from "../protocol/wait-bodies.ts";
import { MAX_LOOK_BACK_MS, MAX_WAIT_CONDITIONS, MAX_WAIT_MS } from "../protocol/limits.ts";
import { TIMEOUT_CHOICES, type TimeoutChoice } from "../protocol/states.ts";
import { type Duration, durationMs } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import { checkedExpression } from "./expression.ts";
import { checkEventKey } from "./names.ts";

/**
 * An event that comes after the wait has begun.
 *
 * @example
 * { event: "order:paid", if: "event.payload.id == input.id", within: "1h" }
 */
export interface AwaitedEvent {
  /** Its key, in full. */
  event: string;
  /**
   * CEL over `event.key`, `event.payload`, `event.metadata`, the run's `input` and `metadata`, and `parents`.
   * One that can't be evaluated is not met. Where it equates something of the event with something of the run, as
   * in the example, a published event finds its waits by that, however many there are. Default: any such event.
   */
  if?: string | undefined;
  /** It may have come so long before the wait; the latest counts. At most 7d. Default: it may not. */
  within?: Duration | undefined;
}

/** So long from when the wait has begun. At most 365d. */
export interface AwaitedSleep {
  sleep: Duration;
}

/** An event, a sleep, or a group: `any` of them is enough, or it takes `all`. */
export type Awaitable =
  | AwaitedEvent
  | AwaitedSleep
  | { any: readonly (AwaitedEvent | AwaitedSleep)[] }
  | { all: readonly (AwaitedEvent | AwaitedSleep)[] };

/** When a wait is over whatever has come, and what becomes of the task then. */
export interface WaitTimeoutOptions {
  /** From when the wait has begun. At most 365d. Default: never. */
  timeout?: Duration | undefined;
  /**
   * `fail` (with `wait_timeout`, the default), `skip`, or `continue`: it runs, and `ctx.waited.isMet` is
   * false.
   */
  onTimeout?: TimeoutChoice | undefined;
}

/**
 * What a step waits for once its parents have ended, holding nothing: an event, a sleep, or groups of them,
 * which may be in one other group. At most 10 events and sleeps. What has come is in `ctx.waited`.
 *
 * @example
 * waitFor: { event: "order:paid", if: "event.payload.id == input.id", timeout: "2d", onTimeout: "skip" }
 * @example
 * waitFor: { any: [{ event: "order:approved" }, { sleep: "1h" }] }
 */
export type WaitForOptions = WaitTimeoutOptions &
  (AwaitedEvent | AwaitedSleep | { any: readonly Awaitable[] } | { all: readonly Awaitable[] });

const EXAMPLE = "event.payload.id == input.id";
const MAX_NESTING = 2;

/** All that a condition may say, as a program without types may say it. */
interface Said extends Partial<AwaitedEvent>, Partial<AwaitedSleep> {
  any?: readonly Said[];
  all?: readonly Said[];
}

export function checkedWaitFor(options: WaitForOptions, of: string): WaitFor {
  const what = `waitFor of ${of}`;
  const { timeout, onTimeout, ...condition } = options;
  if (onTimeout !== undefined && !TIMEOUT_CHOICES.includes(onTimeout)) {
    throw new DefinitionError(
      `The onTimeout of ${of} is "${String(onTimeout)}": give one of ${TIMEOUT_CHOICES.join(", ")}`,
    );
  }
  if (onTimeout !== undefined && timeout === undefined) {
    throw new DefinitionError(`${what} has onTimeout but no timeout: say how long it waits`);
  }
  const checked = checkedCondition(condition, what, MAX_NESTING);
  const count = countOf(checked);
  if (count > MAX_WAIT_CONDITIONS) {
    throw new DefinitionError(
      `${what} has ${count} events and sleeps: use at most ${MAX_WAIT_CONDITIONS}`,
    );
  }
  return {
    ...checked,
    ...(timeout === undefined
      ? {}
      : { timeoutMs: durationMs(timeout, `The timeout of ${what}`, { maximumMs: MAX_WAIT_MS }) }),
    ...(onTimeout === undefined ? {} : { onTimeout }),
  };
}

function checkedCondition(said: Said, what: string, nesting: number): WaitFor {
  const kinds = (["event", "sleep", "any", "all"] as const).filter(
    (kind) => said[kind] !== undefined,
  );
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    const has = kind === undefined ? "none" : kinds.join(" and ");
    throw new DefinitionError(`${what} must have one of event, sleep, any, all, and has ${has}`);
  }
  if (kind === "any" || kind === "all") {
    return { [kind]: checkedGroup(said[kind] ?? [], `${kind} of ${what}`, nesting) };
  }
  return checkedAwaited(said, what);
}

function checkedGroup(parts: readonly Said[], what: string, nesting: number): WaitFor[] {
  if (nesting === 0) throw new DefinitionError(`${what} is a group too deep: use two at most`);
  if (parts.length === 0) throw new DefinitionError(`${what} is empty: name what it waits for`);
  return parts.map((part, index) => checkedCondition(part, `[${index}] of ${what}`, nesting - 1));
}

function checkedAwaited(
  { event, if: condition, within, sleep }: Said,
  what: string,
): AwaitedCondition {
  if (sleep !== undefined) {
    return { sleepMs: durationMs(sleep, `The sleep of ${what}`, { maximumMs: MAX_WAIT_MS }) };
  }
  checkEventKey(event ?? "", what);
  const bounds = { maximumMs: MAX_LOOK_BACK_MS };
  return {
    event: event ?? "",
    ...(condition === undefined
      ? {}
      : { if: checkedExpression(condition, `The condition of ${what}`, EXAMPLE) }),
    ...(within === undefined ? {} : { withinMs: durationMs(within, `within of ${what}`, bounds) }),
  };
}

function countOf({ any = [], all = [] }: WaitFor): number {
  const parts: WaitFor[] = [...any, ...all];
  return parts.length === 0 ? 1 : parts.reduce((count, part) => count + countOf(part), 0);
}
