/**
 * A thread that runs seeds, one at a time, as it is asked: the product's modules are hooked here,
 * and here alone. Its mutant, if it has one, is given at its start and stays.
 */
import { parentPort, workerData } from "node:worker_threads";
import { replaceGlobals } from "./globals.ts";
import { hookModules } from "./module-hooks.ts";
import { type Mutant, rewriterOf } from "./mutants.ts";
import { Postgres } from "./postgres.ts";
import type { Asked } from "./scenario.ts";
import type { SeedResult } from "./simulate-seed.ts";

export interface ThreadData {
  mutant?: Mutant | undefined;
}

/** What a thread is asked to run. */
export interface Order extends Asked {
  seed: number;
  isVerbose?: boolean | undefined;
}

/** What it answers: a result, the error that kept it from one, or lines of the trace before. */
export type Report =
  | { kind: "result"; result: SeedResult }
  | { kind: "error"; seed: number; error: string }
  | { kind: "lines"; text: string };

const port = parentPort;
if (port === null) throw new Error("This module runs as a thread: see crew.ts");
const { mutant } = workerData as ThreadData;
const rewriter = rewriterOf(mutant);
hookModules(rewriter.rewrite);
replaceGlobals();
const { simulateSeed } = await import("./simulate-seed.ts");
const { BEGINS_AT } = await import("./simulation.ts");
const postgres = await Postgres.open(BEGINS_AT, rewriter.rewrite);
rewriter.checkApplied();

port.on("message", (order: Order) => {
  void answer(order).then((report) => port.postMessage(report));
});

async function answer({ seed, isVerbose, ...asked }: Order): Promise<Report> {
  const lines: string[] = [];
  const print = isVerbose ? (line: string) => void lines.push(line) : undefined;
  try {
    return { kind: "result", result: await simulateSeed(seed, { postgres, print, ...asked }) };
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { kind: "error", seed, error: text };
  } finally {
    if (lines.length > 0) {
      port?.postMessage({ kind: "lines", text: lines.join("\n") } satisfies Report);
    }
  }
}
