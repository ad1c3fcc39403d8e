/**
 * Keeps a data directory to one process: PGlite itself does not, and two of them in one directory
 * corrupt it silently. Every process that wants it first makes its own lock file, named after its
 * pid and start time, and then looks for others: of two that come together at least one sees the
 * other. A lock whose process is dead (a killed one, or a pid used again) is removed.
 */
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startTimeOf } from "./process-tree.ts";

export interface DirectoryLock {
  release(): void;
}

const LOCK_NAME = /^lock\.(\d+)\.(\d+)$/;
/** Two that start at the same instant both step back, and try again at different times. */
const TRIES = 4;
const LONGEST_PAUSE_MS = 150;

export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const own = `lock.${process.pid}.${startTimeOf(process.pid) ?? 0}`;
  const path = join(directory, own);
  for (let tries = 1; ; tries++) {
    writeFileSync(path, "", { flag: "wx", mode: 0o600 });
    const holder = findHolder(directory, own);
    if (holder === undefined) return { release: () => rmSync(path, { force: true }) };
    rmSync(path, { force: true });
    if (tries === TRIES) throw new Error(heldMessage(directory, holder));
    await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_PAUSE_MS));
  }
}

/** The pid of a living process, other than this one, that holds the directory. */
function findHolder(directory: string, own: string): number | undefined {
  for (const name of readdirSync(directory)) {
    const match = LOCK_NAME.exec(name);
    if (match === null || name === own) continue;
    const pid = Number(match[1]);
    if (startTimeOf(pid) === match[2]) return pid;
    rmSync(join(directory, name), { force: true });
  }
  return undefined;
}

function heldMessage(directory: string, pid: number): string {
  return (
    `The database in ${directory} is in use by process ${pid}. ` +
    `Stop that one (kill ${pid}), or give another directory with --directory.`
  );
}
