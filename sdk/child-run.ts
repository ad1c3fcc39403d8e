/**
 * Runs that a handler starts: `ctx.spawn()`. Inputs are checked here, against the child's schema and
 * the protocol's bounds, so that nothing is sent that the shard would end the session for.
 */
import { PROBLEMS } from "../protocol/errors.ts";
import type { Metadata } from "../protocol/json.ts";
import {
  MAX_IDEMPOTENCY_KEY_LENGTH,
  MAX_METADATA_BYTES,
  MAX_NAME_LENGTH,
  MAX_PAYLOAD_BYTES,
} from "../protocol/limits.ts";
import { checkedDelay, type DelayOptions } from "./delay.ts";
import { DefinitionError, RunFailedError, SkeinError } from "./errors.ts";
import { byteLength, encodeJson, exceedsBytes, isStorable } from "./json.ts";
import type { Runs } from "./runs.ts";
import type { Attempt } from "./session/attempt.ts";
import type { Child, ChildWaitOptions, Spawn } from "./session/child.ts";
import type { Workflow } from "./workflow.ts";

export type { ChildWaitOptions } from "./session/child.ts";

export interface SpawnOptions extends DelayOptions {
  /**
   * What the child is known by within its task: a later attempt that spawns the same key gets the
   * same run, whatever its input. Default `workflow:n`, n counted from 1 in the order of the calls,
   * which must then be the same in every attempt. At most 255 characters.
   */
  key?: string | undefined;
  /** Labels to find the child's run by; at most 16 KiB. Default none. */
  metadata?: Metadata | undefined;
  /** It outlives its parent: it isn't cancelled with it. Default false. */
  detached?: boolean | undefined;
}

/** One of many children. */
export interface SpawnItem<Input> extends SpawnOptions {
  input: Input;
}

/** A run that a handler has started. */
export interface ChildRun<Result = unknown> {
  /** Of the run. */
  readonly id: string;
  /** What it is known by within its task. */
  readonly key: string;
  /**
   * Waits until the child has finished, however long that takes, without asking. Throws
   * `RunFailedError` when it failed or was cancelled, and what `ctx.signal` was aborted with when
   * this attempt is over first.
   *
   * While a handler waits so, its slot and its step's permits are other tasks' and its timeout stands
   * still; it has them again before this settles. Several waits at once are one: they are back before
   * the last of them settles. So a handler that works while a wait is open asks for `keepSlot`, and one that
   * needs a child no more (after a `Promise.race`, say) aborts its `signal`.
   */
  result(options?: ChildWaitOptions): Promise<Result>;
}

/** Starts children of one workflow; the runs are in the order of the items. */
export async function spawnChildren<Input, Value, Result>(
  attempt: Attempt,
  runs: Runs,
  workflow: Workflow<Input, Value, Result>,
  items: readonly SpawnItem<Input>[],
): Promise<ChildRun<Result>[]> {
  attempt.throwIfOver();
  const { children } = attempt;
  // Before anything is awaited, so that keys are counted in the order of the calls.
  const keys: string[] = [];
  try {
    for (const { key } of items) keys.push(children.claimKey(workflow.name, key));
    await Promise.all(items.map(({ input }) => workflow.validate(input)));
    const spawns = items.map((item, index) => spawnOf(workflow.name, keys[index] ?? "", item));
    attempt.throwIfOver();
    const spawned = await children.spawn(spawns);
    const ids = await Promise.all(spawned.map((child) => child.run));
    return spawned.map((child, index) => childRun(child, ids[index] ?? "", runs, workflow));
  } catch (error) {
    for (const key of keys) children.freeKey(key);
    throw error;
  }
}

function childRun<Input, Value, Result>(
  child: Child,
  id: string,
  runs: Runs,
  workflow: Workflow<Input, Value, Result>,
): ChildRun<Result> {
  const result = async (options?: ChildWaitOptions): Promise<Result> => {
    const { state, outputs, error } = await child.wait(options);
    if (state !== "completed") throw new RunFailedError(id, state, error);
    // Too large to be pushed: fetched, once, for it has finished.
    return workflow.resultOf(outputs ?? (await runs.outputs(id, { signal: options?.signal })));
  };
  return { id, key: child.key, result: (options) => quiet(result(options)) };
}

/** A promise whose rejection ends no process: one that nobody waits for is rejected by every abort. */
export function quiet<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => undefined);
  return promise;
}

function spawnOf(
  workflow: string,
  key: string,
  { input, metadata = {}, detached = false, ...options }: SpawnItem<unknown>,
): Spawn {
  const what = `child ${JSON.stringify(key)} of workflow "${workflow}"`;
  checkKey(key, workflow);
  checkMetadata(metadata, what);
  const text = encodeJson(input ?? null, `The input of ${what}`);
  if (exceedsBytes(text, MAX_PAYLOAD_BYTES)) {
    const { status } = PROBLEMS.payload_too_large;
    const detail = `The input of ${what} is ${byteLength(text)} bytes of JSON: it may be ${MAX_PAYLOAD_BYTES}`;
    throw new SkeinError({ status, code: "payload_too_large", detail });
  }
  const delay = checkedDelay(options, what);
  return {
    key,
    workflow,
    input: text,
    metadata,
    isDetached: detached,
    ...(delay === undefined
      ? {}
      : "delayMs" in delay
        ? delay
        : { startAt: delay.startAt.getTime() }),
  };
}

function checkKey(key: string, workflow: string): void {
  if (key !== "" && key.length <= MAX_IDEMPOTENCY_KEY_LENGTH && isStorable(key)) return;
  throw new DefinitionError(
    `A child of workflow "${workflow}" has the key ${JSON.stringify(key)}: give 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH} characters, without U+0000`,
  );
}

function checkMetadata(metadata: Metadata, what: string): void {
  const bad = Object.entries(metadata).find(
    ([label, value]) =>
      label === "" || label.length > MAX_NAME_LENGTH || !isStorable(label) || !isStorable(value),
  );
  if (bad !== undefined) {
    throw new DefinitionError(
      `The metadata of ${what} has ${JSON.stringify(bad[0])}: give labels of 1 to ${MAX_NAME_LENGTH} characters texts as values, without U+0000`,
    );
  }
  if (!exceedsBytes(JSON.stringify(metadata), MAX_METADATA_BYTES)) return;
  throw new DefinitionError(
    `The metadata of ${what} is too large: it may be ${MAX_METADATA_BYTES} bytes of JSON`,
  );
}
