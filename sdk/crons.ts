/**
 * What starts runs by the clock, as it is written: the options that crons of a workflow and stored schedules share.
 * What an expression and a zone mean only the server knows.
 */
import type { Json, Metadata } from "../protocol/json.ts";
import {
  MAX_CATCH_UP_LIMIT,
  MAX_CRON_LENGTH,
  MAX_DECLARED_CRONS,
  MAX_JITTER_MS,
} from "../protocol/limits.ts";
import type {
  CronDefinition,
  ScheduleOptions as WireOptions,
} from "../protocol/schedule-bodies.ts";
import type { CatchUp, Overlap } from "../protocol/states.ts";
import { type Duration, durationMs } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import { encodeJson } from "./json.ts";
import { checkedPriority } from "./limits.ts";

/** What a schedule's runs are started with, and how. */
export interface ScheduleRunOptions<Input = unknown> {
  /** Of each of its runs. Default null. */
  input?: Input | undefined;
  metadata?: Metadata | undefined;
  /** 1 to 3, the most urgent. Default its workflow's. */
  priority?: number | undefined;
  /**
   * What becomes of a tick while the run before goes on: another run (`allow`, the default), none (`skip`), or
   * that one is cancelled (`cancel-previous`).
   */
  overlap?: Overlap | undefined;
  /**
   * Which of the ticks that were missed for more than a minute, as in an outage, start runs afterwards: `none`, the
   * `last` (the default), or `all`, the latest `catchUpLimit` of them.
   */
  catchUp?: CatchUp | undefined;
  /** With `all`. Default 100, at most 1,000. */
  catchUpLimit?: number | undefined;
  /** Each run starts up to so much after its tick, to spread load; at most 1h. Default 0. */
  jitter?: Duration | undefined;
}

/**
 * A schedule that a workflow declares.
 *
 * @example
 * { cron: "30 9 * * MON-FRI", timezone: "Europe/Berlin", overlap: "skip" }
 */
export interface CronOptions<Input = unknown> extends ScheduleRunOptions<Input> {
  /** What it is known by within its workflow. Default the expression and the zone. */
  name?: string | undefined;
  /** Minute, hour, day of the month, month, day of the week; seconds before them if there are six. */
  cron: string;
  /** IANA's name of the zone whose clock it follows. Default UTC. */
  timezone?: string | undefined;
}

/** Those that a workflow declares. */
export function checkedCrons(
  workflowName: string,
  crons: readonly CronOptions[],
): readonly CronDefinition[] {
  if (crons.length > MAX_DECLARED_CRONS) {
    throw new DefinitionError(
      `Workflow "${workflowName}" has ${crons.length} crons: use at most ${MAX_DECLARED_CRONS}, and store the others with client.schedules`,
    );
  }
  return crons.map(({ name, cron, timezone, ...options }, index) => {
    const of = `crons[${index}] of workflow "${workflowName}"`;
    return {
      ...(name === undefined ? {} : { name }),
      cron: checkedCron(cron, of),
      ...(timezone === undefined ? {} : { timezone }),
      ...checkedScheduleOptions(options, of),
    };
  });
}

export function checkedCron(cron: string, of: string): string {
  if (typeof cron === "string" && cron.trim() !== "" && cron.length <= MAX_CRON_LENGTH) return cron;
  throw new DefinitionError(
    `The expression of ${of} is none: give a text such as "30 9 * * MON-FRI"`,
  );
}

/** As they are sent. `of` names the schedule in the `DefinitionError` of a bad one. */
export function checkedScheduleOptions(
  { input, metadata, priority, overlap, catchUp, catchUpLimit, jitter }: ScheduleRunOptions,
  of: string,
): WireOptions {
  if (input !== undefined) encodeJson(input as Json, `The input of ${of}`);
  if (catchUpLimit !== undefined && !isCount(catchUpLimit)) {
    throw new DefinitionError(
      `The catchUpLimit of ${of} is ${catchUpLimit}: give a whole number from 1 to ${MAX_CATCH_UP_LIMIT}`,
    );
  }
  const bounds = { minimumMs: 0, maximumMs: MAX_JITTER_MS };
  return {
    ...(input === undefined ? {} : { input: input as Json }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(priority === undefined ? {} : { priority: checkedPriority(priority, of) }),
    ...(overlap === undefined ? {} : { overlap }),
    ...(catchUp === undefined ? {} : { catchUp }),
    ...(catchUpLimit === undefined ? {} : { catchUpLimit }),
    ...(jitter === undefined
      ? {}
      : { jitterMs: durationMs(jitter, `The jitter of ${of}`, bounds) }),
  };
}

function isCount(limit: number): boolean {
  return Number.isInteger(limit) && limit >= 1 && limit <= MAX_CATCH_UP_LIMIT;
}
