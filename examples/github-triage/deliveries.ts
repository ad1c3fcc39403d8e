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

/** The event that carries a delivery of some round. Publishing it twice publishes it once. */
export function eventOf({ kind, name, payload }: RealDelivery, round: number): DeliveryEvent {
  return {
    key: `github:${kind}`,
    payload,
    metadata: { kind, delivery: name, round: String(round) },
    idempotencyKey: `${name}#${round}`,
  };
}

export interface DeliveryEvent {
  key: string;
  payload: Json;
  metadata: Metadata;
  idempotencyKey: string;
}
