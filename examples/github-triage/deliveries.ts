/**
 * The real deliveries, as `@octokit/webhooks-examples` carries them: GitHub's own payloads, with
 * the kind that GitHub names in a header. Read from the package's file; nothing is changed.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Json, Metadata } from "@skein/sdk";
import * as z from "zod";

export interface RealDelivery {
  /** What GitHub calls the event: `issues`, `pull_request`. */
  kind: string;
  /** The kind and the place among its examples: `issues/4`. */
  name: string;
  payload: Json;
}

const FILE = "@octokit/webhooks-examples/api.github.com/index.json";

const fileSchema = z.array(z.object({ name: z.string(), examples: z.array(z.json()) }));

/** All deliveries: one of each kind in turn, as a feed mixes them, not kind by kind. */
export function readDeliveries(): RealDelivery[] {
  const path = fileURLToPath(import.meta.resolve(FILE));
  const kinds = fileSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  return kinds
    .flatMap(({ name: kind, examples }) =>
      examples.map((payload, index) => ({ kind, index, name: `${kind}/${index}`, payload })),
    )
    .toSorted((a, b) => a.index - b.index)
    .map(({ kind, name, payload }) => ({ kind, name, payload }));
}

/** What GitHub calls the event, from the header that the webhook keeps. */
export function kindOf(metadata: Metadata): string {
  return metadata["x-github-event"] ?? "";
}
