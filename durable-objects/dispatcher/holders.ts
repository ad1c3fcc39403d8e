/** Holders of a limit, as people are told of them. */
import { runIdOf } from "../../protocol/ids.ts";
import type { LimitHolder } from "../../protocol/limit-bodies.ts";
import type { Holder } from "./permits.ts";

/** Holders that one answer names. */
export const MAX_HOLDERS = 20;

export function runOfHolder(holder: Holder): string {
  const [task = holder] = holder.split("/");
  return runIdOf(task);
}

export function shown(holder: Holder): LimitHolder {
  const run = runOfHolder(holder);
  const [task, attempt] = holder.split("/");
  return attempt === undefined || task === undefined
    ? { run }
    : { run, task, attempt: Number(attempt) };
}

/** One that several shards name is one. At most as many as one answer names. */
export function distinct(holders: readonly LimitHolder[]): LimitHolder[] {
  const byName = new Map(holders.map((of) => [`${of.task ?? of.run} ${of.attempt ?? ""}`, of]));
  return [...byName.values()].slice(0, MAX_HOLDERS);
}
