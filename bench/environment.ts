/**
 * On what the figures were measured. Figures without this mean nothing; what can't be found out is
 * null, never guessed.
 */
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { cpus, totalmem } from "node:os";
import type { Effort } from "./scenarios.ts";

export interface BenchEnvironment {
  date: string;
  /** Of this repository, and whether its files differ from it. */
  commit: string | null;
  isModified: boolean | null;
  effort: Effort["name"];
  isAnalyzed: boolean;
  cores: number;
  cpu: string;
  memoryBytes: number;
  node: string;
  workerd: string | null;
  /** The servers' versions; null where none was measured. */
  postgres: string | null;
  pglite: string | null;
}

export function readEnvironment(effort: Effort): BenchEnvironment {
  const status = git("status", "--porcelain");
  return {
    date: new Date().toISOString(),
    commit: git("rev-parse", "HEAD"),
    isModified: status === null ? null : status !== "",
    effort: effort.name,
    isAnalyzed: effort.isAnalyzed,
    cores: cpus().length,
    cpu: cpus()[0]?.model ?? "unknown",
    memoryBytes: totalmem(),
    node: process.versions.node,
    workerd: workerdVersion(),
    postgres: null,
    pglite: null,
  };
}

function git(...words: string[]): string | null {
  try {
    const cwd = import.meta.dirname;
    return execFileSync("git", words, { cwd, encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    return null; // No git, or not a repository.
  }
}

/** The workerd that Miniflare runs, which need not be the only one installed. */
function workerdVersion(): string | null {
  try {
    const miniflare = createRequire(import.meta.resolve("miniflare"));
    const { version } = miniflare("workerd/package.json") as { version: string };
    return version;
  } catch {
    return null;
  }
}
