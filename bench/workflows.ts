/**
 * The workflows that are measured, with handlers that do nothing but note when they ran. A
 * handler notes only runs whose input asks for it: under load the notes would cost more than the
 * handlers.
 */
import { workflow } from "@skein/sdk";
import { machineMs } from "./clock.ts";

/** What a run carries, about the size of a small real one. */
export interface BenchInput {
  value: number;
  user: string;
  note: string;
  /** When its API call was sent, by `machineMs`; only runs whose latency is measured have it. */
  sentAt?: number;
}

/** Milliseconds, one entry a measured run (`stepToStep`: one a measured edge). */
export interface Observations {
  /** From the API call to the first handler's first line. */
  start: number[];
  /** From a handler's end to the first line of the next. */
  stepToStep: number[];
  /** From the API call to the last handler's end. */
  lastEnd: number[];
}

export const NOTHING_OBSERVED: Observations = { start: [], stepToStep: [], lastEnd: [] };

let observed = structuredClone(NOTHING_OBSERVED);
const endedAt = new Map<string, number>();

/** What was noted since the last call. */
export function takeObservations(): Observations {
  const taken = observed;
  observed = structuredClone(NOTHING_OBSERVED);
  endedAt.clear();
  return taken;
}

/** Handlers that have noted their start since the last call of `takeObservations`. */
export function countStarted(): number {
  return observed.start.length;
}

export const ONE_STEP = "bench-one-step";
export const THREE_STEPS = "bench-three-steps";
export const ONE_A_KEY = "bench-one-a-key";

export const oneStep = workflow({ name: ONE_STEP });
oneStep.step("only", { run: (context) => run(context, true, true) });

export const threeSteps = workflow({ name: THREE_STEPS });
const first = threeSteps.step("first", { run: (context) => run(context, true, false) });
const second = threeSteps.step("second", {
  parents: [first],
  run: (context) => run(context, false, false),
});
threeSteps.step("third", { parents: [second], run: (context) => run(context, false, true) });

export const oneAKey = workflow({ name: ONE_A_KEY });
oneAKey.step("only", {
  limits: [{ key: "input.user", concurrency: 1 }],
  run: (context) => run(context, true, true),
});

/** Of a run that is counted by this key. What is noted is the moment when it began. */
export function keyedInputOf(user: string, isNoted: boolean): BenchInput {
  return { ...inputOf(0), user, ...(isNoted && { sentAt: 0 }) };
}

export function inputOf(value: number): BenchInput {
  return { value, user: "user-123456", note: "x".repeat(40) };
}

/** What every handler returns. */
export function outputOf({ value }: BenchInput): { isDone: boolean; value: number } {
  return { isDone: true, value };
}

function run(
  context: { input: unknown; runId: string },
  isFirst: boolean,
  isLast: boolean,
): ReturnType<typeof outputOf> {
  const input = context.input as BenchInput;
  if (input.sentAt === undefined) return outputOf(input);
  const startedAt = machineMs();
  if (isFirst) observed.start.push(startedAt - input.sentAt);
  const before = endedAt.get(context.runId);
  if (before !== undefined) observed.stepToStep.push(startedAt - before);
  const output = outputOf(input);
  const now = machineMs();
  if (isLast) observed.lastEnd.push(now - input.sentAt);
  endedAt.set(context.runId, now);
  return output;
}
