/**
 * Finds a real Postgres on this machine for tests and measurements, and can install one with apt.
 * It starts nothing; `postgres.ts` does.
 */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

export interface FoundPostgres {
  /** The directory of `initdb` and `postgres`. */
  bin: string;
  /** Such as 15.18. */
  version: string;
}

/** What Neon's oldest version in our list has, and our SQL needs. */
const OLDEST_MAJOR = 15;
const DEBIAN_ROOT = "/usr/lib/postgresql";
const CREATE_CLUSTER_CONFIG = "/etc/postgresql-common/createcluster.conf";
const INSTALL_TIMEOUT_MS = 5 * 60_000;

/** The newest Postgres, on PATH or where Debian puts it; undefined when there is none from 15 up. */
export function findPostgres(): FoundPostgres | undefined {
  const onPath = (process.env["PATH"] ?? "").split(delimiter).filter((bin) => bin !== "");
  const debian = existsSync(DEBIAN_ROOT)
    ? readdirSync(DEBIAN_ROOT).map((major) => join(DEBIAN_ROOT, major, "bin"))
    : [];
  return [...onPath, ...debian]
    .filter((bin) => existsSync(join(bin, "initdb")) && existsSync(join(bin, "postgres")))
    .map((bin) => ({ bin, version: versionOf(bin) }))
    .filter(({ version }) => Number.parseInt(version) >= OLDEST_MAJOR)
    .toSorted((left, right) => Number(right.version) - Number(left.version))
    .at(0);
}

/** Installs Debian's Postgres when none is here, and we may; else says why not. */
export async function installPostgres(
  log: (line: string) => void = console.log,
): Promise<{ found: FoundPostgres } | { reason: string }> {
  const present = findPostgres();
  if (present !== undefined) return { found: present };
  if (process.getuid?.() !== 0) {
    return {
      reason: `Postgres ${OLDEST_MAJOR} or newer is not here, and only root can install it.`,
    };
  }
  if (!existsSync("/usr/bin/apt-get")) {
    return {
      reason: `Install Postgres ${OLDEST_MAJOR} or newer: there is no apt-get to do it with.`,
    };
  }
  preventCluster();
  const run = promisify(execFile);
  const options = {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    timeout: INSTALL_TIMEOUT_MS,
  };
  try {
    log("Installing Postgres with apt-get.");
    await run("apt-get", ["update"], options);
    const keepConfig = ["-o", "Dpkg::Options::=--force-confold"];
    const install = ["install", "-y", "--no-install-recommends", ...keepConfig, "postgresql"];
    await run("apt-get", install, options);
  } catch (error) {
    return { reason: `apt-get could not install Postgres: ${String(error)}` };
  }
  const found = findPostgres();
  return found ? { found } : { reason: `Debian's Postgres is older than ${OLDEST_MAJOR}.` };
}

function versionOf(bin: string): string {
  try {
    const text = execFileSync(join(bin, "postgres"), ["--version"], { encoding: "utf8" });
    return /\d+(?:\.\d+)?/.exec(text)?.[0] ?? "0";
  } catch {
    return "0"; // Not one that runs here.
  }
}

/** Debian starts a server of its own with the package unless it is told not to. */
function preventCluster(): void {
  if (existsSync(CREATE_CLUSTER_CONFIG)) return;
  mkdirSync("/etc/postgresql-common", { recursive: true });
  writeFileSync(CREATE_CLUSTER_CONFIG, "create_main_cluster = false\nstart_conf = 'manual'\n");
}
