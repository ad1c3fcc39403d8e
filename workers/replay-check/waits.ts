/**
 * How a task's wait would have ended under another `waitFor`: by what the run recorded, and at its times. Pure.
 */
import type { AwaitedRow, WaitRow } from "../../database/definition-rows.ts";
import type { ExpressionCache } from "../../expressions/cache.ts";
import type { StepData } from "../../expressions/step-condition.ts";
import { judgeWait, type WaitData } from "../../expressions/wait-condition.ts";
import { timeOfId } from "../../protocol/ids.ts";
import type { MetCondition, TaskWait } from "../../protocol/wait-bodies.ts";
import { durationText, millisecondsAt } from "./recorded.ts";

/** Alarms are late, and what has come is noted when the shard is told. */
const TOLERANCE_MS = 5_000;

type End =
  | { kind: "met"; afterMs: number; conditions: number[] }
  | { kind: "timed out"; afterMs: number }
  | { kind: "never" };

/** What became of the wait then and would become of it now; undefined: the same. */
export function compareWaits(
  wait: WaitRow,
  recorded: TaskWait,
  data: StepData,
  conditions: ExpressionCache<"bool">,
): { was: string; would: string } | undefined {
  const { since, endedAt, isMet, met } = recorded;
  const [began, ended] = [millisecondsAt(since), millisecondsAt(endedAt)];
  if (began === undefined || ended === undefined || isMet === null) return undefined; // cut short
  const tookMs = ended - began;
  const now = endOf(wait, { began, tookMs, met, data, conditions });
  const was = isMet
    ? `what it waited for had come after ${durationText(tookMs)}`
    : `its wait was over after ${durationText(tookMs)}`;
  if (now.kind === "never") return { was, would: `it would still wait for ${describe(wait)}` };
  const isSameTime = Math.abs(now.afterMs - tookMs) <= TOLERANCE_MS;
  if (now.kind === "timed out") {
    if (!isMet && isSameTime) return undefined;
    return { was, would: `its wait would be over after ${durationText(now.afterMs)}` };
  }
  const numbers = met.map(({ condition }) => condition).toSorted();
  if (isMet && isSameTime && String(numbers) === String(now.conditions.toSorted()))
    return undefined;
  const which = now.conditions.map((number) => describeOne(wait.conditions[number])).join(" and ");
  return { was, would: `${which} would end its wait, after ${durationText(now.afterMs)}` };
}

interface Facts {
  began: number;
  tookMs: number;
  met: MetCondition[];
  data: StepData;
  conditions: ExpressionCache<"bool">;
}

function endOf(wait: WaitRow, facts: Facts): End {
  const comeAfter = wait.conditions.map((row) => comesAfter(row, facts));
  const ends = wait.sets.map((set) => {
    const numbers = wait.conditions.map(({ n }) => n).filter((n) => (set & (1 << n)) !== 0);
    const afterMs = Math.max(...numbers.map((n) => comeAfter[n] ?? Number.POSITIVE_INFINITY));
    return { numbers, afterMs };
  });
  const [first] = ends.toSorted((a, b) => a.afterMs - b.afterMs);
  const metAfterMs = first?.afterMs ?? Number.POSITIVE_INFINITY;
  const { timeoutMs = Number.POSITIVE_INFINITY } = wait;
  if (timeoutMs < metAfterMs) {
    // What would have come between is not recorded.
    return timeoutMs > facts.tookMs + TOLERANCE_MS
      ? { kind: "never" }
      : { kind: "timed out", afterMs: timeoutMs };
  }
  if (metAfterMs > facts.tookMs + TOLERANCE_MS) return { kind: "never" };
  // What has come by then is told to the handler, also beyond what was enough.
  const conditions = wait.conditions
    .map(({ n }) => n)
    .filter((n) => (comeAfter[n] ?? Number.POSITIVE_INFINITY) <= metAfterMs);
  return { kind: "met", afterMs: metAfterMs, conditions };
}

/** Milliseconds after the wait's beginning; infinite: it is not known to have come. */
function comesAfter(row: AwaitedRow, { began, met, data, conditions }: Facts): number {
  if ("sleepMs" in row) return row.sleepMs;
  for (const { event, at } of met) {
    if (event === undefined || event.key !== row.event) continue;
    if (timeOfId(event.id) < began - (row.withinMs ?? 0) - TOLERANCE_MS) continue;
    const { key, payload, metadata } = event;
    const values = { event: { key, payload, metadata }, ...data } as WaitData;
    if (judgeWait(conditions, row.if, values).isMatch) return Math.max(0, at - began);
  }
  return Number.POSITIVE_INFINITY;
}

/** What a wait is for, in words. */
export function describe({ conditions }: WaitRow): string {
  return conditions.map(describeOne).join(", ");
}

function describeOne(row: AwaitedRow | undefined): string {
  if (row === undefined) return "nothing";
  if ("sleepMs" in row) return `a sleep of ${durationText(row.sleepMs)}`;
  return row.if === "true" ? `"${row.event}"` : `"${row.event}" with ${row.if}`;
}
