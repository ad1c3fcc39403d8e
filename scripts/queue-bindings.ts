/**
 * The bindings that a deployment with Cloudflare Queues as its broker needs, and one with pgmq must not
 * have: the queues would have to exist. So one line of wrangler.toml chooses, and this does the rest.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, runStep } from "./steps.ts";

const QUEUES = ["commands", "events"];

/** Beside wrangler.toml, because paths in it are relative. */
const MADE = "wrangler.queues.toml";

/**
 * The configuration to deploy with: wrangler.toml, or that with the queues, which are made first unless
 * `isDryRun`. Undefined: they could not be made, and that has been said.
 */
export async function deployedConfiguration(isDryRun: boolean): Promise<string | undefined> {
  const configuration = readFileSync(join(ROOT, "wrangler.toml"), "utf8");
  if (!usesCloudflareQueues(configuration)) return "wrangler.toml";
  writeFileSync(join(ROOT, MADE), withQueues(configuration));
  if (isDryRun) return MADE;
  for (const queue of QUEUES) {
    const name = `skein-${queue}`;
    // `info` succeeds when it is there.
    const isThere = await runStep({
      name: `the queue ${name} is there`,
      command: ["wrangler", "queues", "info", name],
      isQuiet: true,
    });
    if (isThere) continue;
    const isMade = await runStep({
      name: `the queue ${name} is made`,
      command: ["wrangler", "queues", "create", name],
    });
    if (!isMade) return undefined;
  }
  return MADE;
}

export function usesCloudflareQueues(configuration: string): boolean {
  return /^MESSAGE_BROKER\s*=\s*"cloudflare-queues"/m.test(configuration);
}

/** A message that can't be handled for a hundred tries is found by the clock, and is never lost. */
export function withQueues(configuration: string): string {
  const bindings = QUEUES.map(
    (queue) => `
[[queues.producers]]
binding = "${queue.toUpperCase()}_QUEUE"
queue = "skein-${queue}"

[[queues.consumers]]
queue = "skein-${queue}"
max_batch_size = 100
max_batch_timeout = 0
max_retries = 100
`,
  );
  return `# Made by scripts/queue-bindings.ts from wrangler.toml.\n${configuration}${bindings.join("")}`;
}
