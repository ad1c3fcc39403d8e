/**
 * The condition of a filter: whether an event starts a run. Checked when the filter is stored, asked by
 * the edge Worker for each event. The same names for both.
 */
import type { Json, Metadata } from "../protocol/json.ts";
import type { Signature } from "./compile.ts";

export const FILTER_CONDITION = {
  variables: {
    input: "any",
    metadata: "any",
    event: { key: "string", id: "string", scope: "string" },
    payload: "any",
  },
  result: "bool",
} as const satisfies Signature;

/** An event as filters see it. */
export interface FilteredEvent {
  id: string;
  key: string;
  scope?: string | undefined;
  payload: Json;
  metadata: Metadata;
}

/** What an event gives to every filter's condition; the filter's own payload is not among it. */
export type EventValues = Readonly<Record<"input" | "metadata" | "event", Json>>;

export function valuesOfEvent({
  id,
  key,
  scope = "",
  payload,
  metadata,
}: FilteredEvent): EventValues {
  return { input: payload, metadata, event: { key, id, scope } };
}
