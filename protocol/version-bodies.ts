/**
 * Bodies of the HTTP API about versions: which new runs are bound to, what differs between two of them, and
 * who changed what.
 */
import type { WorkflowVersion } from "./http.ts";
import type { Json } from "./json.ts";
import type { ActivationChoice, WorkflowChangeKind } from "./states.ts";

/** When a promotion ends by itself, and all new runs are bound to the active version again. */
export interface RollbackRule {
  /** The part of its runs that may fail, above 0 up to 1: as much, and it ends. */
  failureRate: number;
  /** Milliseconds that are looked back at: from a minute, the default is ten, to a day. */
  windowMs?: number;
  /** Runs that must have ended in that time before anything is concluded. Default 20. */
  minimumRuns?: number;
}

export interface PromoteVersion {
  /** The version's number. */
  version: number;
  /** Of new runs, from 0 to 100, with at most two decimals. */
  percent: number;
  /**
   * Where in a run the value is by which runs stay together: `input.customer`, `metadata.region`. Default each
   * by its idempotency key, or for itself.
   */
  key?: string;
  /** Default never. */
  rollbackWhen?: RollbackRule;
  /** Why, as the list of changes shows it. */
  reason?: string;
}

/** A version that takes a share of new runs beside the active one. */
export interface Promotion {
  version: number;
  percent: number;
  key: string | null;
  rollbackWhen: Required<RollbackRule> | null;
  startedAt: string;
}

export interface ActivateVersion {
  version: number;
  reason?: string;
}

export interface RollBack {
  /** Default the newest version older than the active one that has been active. */
  version?: number;
  /** The active version that is to be left: when it is no longer active, nothing happens. */
  from?: number;
  reason?: string;
}

/** How a registration treats the active version: see `RegisterOptions` of the SDK. */
export interface RegisterQuery {
  activate?: ActivationChoice;
}

/** A version in a list. */
export interface VersionSummary extends WorkflowVersion {
  isActive: boolean;
  /** Of new runs that are bound to it. */
  percent: number;
  /** The name of the API token that registered it; null: it is not known. */
  registeredBy: string | null;
}

/** One difference; `from` or `to` is absent where there was or is nothing. */
export interface Difference {
  /** Where, such as `retries` or `limits[0].concurrency`. */
  path: string;
  from?: Json;
  to?: Json;
}

/** What differs between two versions. Defaults count as if they had been written down. */
export interface VersionDiff {
  from: number;
  to: number;
  isSame: boolean;
  /** Outside of its steps. */
  workflow: Difference[];
  steps: {
    added: string[];
    removed: string[];
    changed: { name: string; differences: Difference[] }[];
  };
}

/** Something that was changed about a workflow. */
export interface WorkflowChange {
  id: string;
  at: string;
  kind: WorkflowChangeKind;
  /** The version that it is about. */
  version: number;
  /** The one that was active before, where that has changed. */
  previousVersion: number | null;
  /** Whether `version` is the active one since. */
  isActive: boolean;
  /** The name of the API token; null: Skein itself. */
  by: string | null;
  reason: string | null;
  details: Json;
}
