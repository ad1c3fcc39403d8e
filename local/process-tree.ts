/**
 * Processes as the system knows them: who is alive, since when, whose child it is, and ending one
 * with everything below it. Always by pid; a pid alone does not name a process, since pids are used
 * again, so whoever keeps one keeps its start time too.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

interface ProcessRow {
  pid: number;
  parent: number;
  isZombie: boolean;
  /** In ticks since the machine started; "0" where the system does not say. */
  startedAt: string;
}

/** When this process started, or undefined when it is not alive. */
export function startTimeOf(pid: number): string | undefined {
  const row = readProcess(pid);
  if (row !== undefined) return row.isZombie ? undefined : row.startedAt;
  if (hasProc()) return undefined;
  return isAlive(pid) ? "0" : undefined;
}

export function isAlive(pid: number): boolean {
  if (readProcess(pid)?.isZombie) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It exists, and is somebody else's.
    return isErrorCode(error, "EPERM");
  }
}

/** Children, their children, and so on. */
export function descendantsOf(pid: number): number[] {
  const rows = readProcesses();
  const found = [pid];
  for (const ancestor of found) {
    for (const row of rows) if (row.parent === ancestor) found.push(row.pid);
  }
  return found.slice(1);
}

/** A signal to a process and everything below it. */
export function signalTree(root: number, name: NodeJS.Signals): void {
  for (const pid of [root, ...descendantsOf(root)]) signal(pid, name);
}

/** SIGKILL to a process and everything below it; resolves when all of them are gone. */
export async function killTree(root: number): Promise<void> {
  // Stopped first, so that it can't start another one while we look.
  signal(root, "SIGSTOP");
  const pids = [root, ...descendantsOf(root)];
  for (const pid of pids) signal(pid, "SIGSTOP");
  const all = new Set([...pids, ...descendantsOf(root)]);
  for (const pid of all) signal(pid, "SIGKILL");
  await waitUntilGone([...all]);
}

/** There is no event for the end of a process that is not our child: it is looked for. */
export async function waitUntilGone(pids: number[], timeoutMs = 5_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (pids.some(isAlive)) {
    if (Date.now() > deadline) throw new Error(`Processes ${pids.filter(isAlive)} do not end.`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function isErrorCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!isErrorCode(error, "ESRCH")) throw error;
  }
}

function hasProc(): boolean {
  return readProcess(process.pid) !== undefined;
}

function readProcess(pid: number): ProcessRow | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined; // No such process, or a system without /proc.
  }
  // The command stands in brackets and may contain anything, brackets too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const isZombie = fields[0] === "Z" || fields[0] === "X";
  return { pid, parent: Number(fields[1]), isZombie, startedAt: fields[19] ?? "0" };
}

function readProcesses(): ProcessRow[] {
  if (hasProc()) {
    const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
    return pids.map(readProcess).filter((row) => row !== undefined);
  }
  const listed = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  return listed
    .trim()
    .split("\n")
    .map((line) => {
      const [pid = 0, parent = 0] = line.trim().split(/\s+/).map(Number);
      return { pid, parent, isZombie: false, startedAt: "0" };
    });
}
