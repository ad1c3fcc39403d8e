/**
 * Runs commands one after another, each with its name, its time and, when it fails, its output.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "..");

export interface Step {
  /** What it makes sure of, for people. */
  name: string;
  /** A program of `node_modules/.bin`, and its arguments. */
  command: readonly [string, ...string[]];
  /** Shows what it prints while it runs. */
  isShown?: boolean;
  /** That it may fail is expected: nothing is said of it. */
  isQuiet?: boolean;
}

/** Runs a step; true when it ended with 0. What it printed is shown when it did not. */
export async function runStep(step: Step): Promise<boolean> {
  const { name, command, isShown = false, isQuiet = false } = step;
  const began = performance.now();
  const [program, ...parameters] = command;
  const child = spawn(join(ROOT, "node_modules", ".bin", program), parameters, {
    cwd: ROOT,
    stdio: ["ignore", isShown ? "inherit" : "pipe", isShown ? "inherit" : "pipe"],
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_HIDE_BANNER: "true" },
  });
  let printed = "";
  child.stdout?.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const code = await new Promise<number>((resolve) => {
    child.on("error", (error) => {
      printed += error.message;
      resolve(1);
    });
    child.on("close", (status) => resolve(status ?? 1));
  });
  if (isQuiet) return code === 0;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${code === 0 ? "ok    " : "FAILED"}  ${name} (${seconds} s)`);
  if (code !== 0 && !isShown) console.log(printed);
  return code === 0;
}

/** Makes the types of the platform and of the SDK's package, which the compiler needs. */
export const PREPARATION: Step[] = [
  { name: "the platform's types are generated", command: ["wrangler", "types"] },
  { name: "the SDK builds", command: ["tsc", "-p", "sdk"] },
];

/** What can be said of the code without running it. */
export const STATIC_CHECKS: Step[] = [
  { name: "the code is formatted", command: ["oxfmt", "--check"] },
  { name: "the linter finds nothing", command: ["oxlint", "--type-aware", "--deny-warnings"] },
  { name: "the types hold", command: ["tsc", "--noEmit"] },
];
