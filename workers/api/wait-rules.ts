/**
 * What the fields of a wait may say together: rules that no field can be held to alone. Pure.
 */
import type { AwaitedCondition, WaitFor } from "../../protocol/wait-bodies.ts";
import { MAX_WAIT_CONDITIONS } from "../../protocol/limits.ts";
import type { Broken } from "./limit-rules.ts";

const KINDS = ["event", "sleepMs", "any", "all"] as const;

/** However deep; the schema says how deep that may be. */
interface Part extends AwaitedCondition {
  any?: readonly Part[];
  all?: readonly Part[];
}

export function brokenInWaitFor({ timeoutMs, onTimeout, ...condition }: WaitFor): Broken[] {
  const broken = brokenInCondition(condition, []);
  if (onTimeout !== undefined && timeoutMs === undefined) {
    broken.push({ path: ["onTimeout"], message: "does nothing without timeoutMs" });
  }
  const count = countOf(condition);
  if (count > MAX_WAIT_CONDITIONS) {
    const message = `waits for ${count} events and sleeps: at most ${MAX_WAIT_CONDITIONS}`;
    broken.push({ path: [], message });
  }
  return broken;
}

function brokenInCondition(condition: Part, path: Broken["path"]): Broken[] {
  const broken: Broken[] = [];
  const given = KINDS.filter((kind) => condition[kind] !== undefined);
  if (given.length !== 1) {
    const what = given.length === 0 ? "has none" : `has ${given.join(" and ")}`;
    broken.push({ path, message: `must have one of ${KINDS.join(", ")}, and ${what}` });
  }
  for (const field of ["if", "withinMs"] as const) {
    if (condition[field] === undefined || condition.event !== undefined) continue;
    broken.push({ path: [...path, field], message: "does nothing without event" });
  }
  for (const group of ["any", "all"] as const) {
    for (const [index, part] of condition[group]?.entries() ?? []) {
      broken.push(...brokenInCondition(part, [...path, group, index]));
    }
  }
  return broken;
}

function countOf({ any = [], all = [], event, sleepMs }: Part): number {
  const own = event === undefined && sleepMs === undefined ? 0 : 1;
  return [...any, ...all].reduce((count, part) => count + countOf(part), own);
}
