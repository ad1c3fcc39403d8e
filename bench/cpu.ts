/**
 * How much processor each process used, to say where the time goes. Only where the system has
 * /proc; elsewhere there is nothing to say, and nothing fails.
 */
import { readFileSync } from "node:fs";
import { descendantsOf } from "../local/process-tree.ts";

/** Processes by what they are, each with its pid. */
export interface Watched {
  name: string;
  pid: number;
  /** Also all below it, ended ones too, as Postgres has a process for each connection. */
  hasChildren?: boolean;
}

/** Milliseconds of processor time by name, since the processes started. */
export type CpuTimes = Map<string, number>;

const TICK_MS = 10; // Linux counts in hundredths of a second, whatever its own clock

export function readCpuTimes(watched: readonly Watched[]): CpuTimes {
  const times: CpuTimes = new Map();
  for (const { name, pid, hasChildren = false } of watched) {
    const pids = hasChildren ? [pid, ...descendantsOf(pid)] : [pid];
    const ticks = pids
      .map((each) => ticksOf(each, hasChildren))
      .reduce((total, count) => total + count, 0);
    times.set(name, (times.get(name) ?? 0) + ticks * TICK_MS);
  }
  return times;
}

/** Shares of one core, as in `{ workerd: 0.45 }`. */
export function cpuShares(
  before: CpuTimes,
  after: CpuTimes,
  elapsedMs: number,
): Record<string, number> {
  return Object.fromEntries(
    [...after].map(([name, ms]) => [name, (ms - (before.get(name) ?? 0)) / elapsedMs]),
  );
}

function ticksOf(pid: number, hasEnded: boolean): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command stands in brackets and may contain anything, brackets too.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // Its own in user and system mode, then the same of children that have ended.
    const counted = fields.slice(11, hasEnded ? 15 : 13).map(Number);
    return counted.reduce((total, ticks) => total + ticks, 0);
  } catch {
    return 0; // It has ended, or the system has no /proc.
  }
}
