/** How much memory a process has. Only where the system has /proc; elsewhere zero. */
import { readFileSync } from "node:fs";

/** MiB that the process has in memory. */
export function readMemory(pid: number): number {
  try {
    const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kilobytes ?? 0) / 1_024;
  } catch {
    return 0;
  }
}
