/**
 * History as documents: a run with everything that is known of it, exports that were imported for inspection,
 * and how long history is kept.
 */
import type { Run, RunLogLine, RunSummary, WorkflowDefinition, WorkflowVersion } from "./http.ts";
import type { Json, Metadata } from "./json.ts";
import type { TimerKind } from "./states.ts";

/** The name of the format, and its version: a reader refuses one that it does not know. */
export const EXPORT_FORMAT = "skein.run";
export const EXPORT_FORMAT_VERSION = 1;

/**
 * One run in one document. Of a finished run it is the same, byte for byte, whenever it is made, as long as the
 * run and its event are kept.
 */
export interface RunExport {
  format: typeof EXPORT_FORMAT;
  formatVersion: typeof EXPORT_FORMAT_VERSION;
  /** False: the run was going on, and is shown as it was then. */
  isFinished: boolean;
  /** As `GET /runs/{id}` shows it, with all of its children. */
  run: Run;
  workflow: { id: string; name: string };
  /** The version that it is bound to. */
  version: WorkflowVersion & { definition: WorkflowDefinition };
  /** The event that started it. Null: none has, or it is not kept any more: `run.eventId` tells. */
  event: ExportedEvent | null;
  /** What the filter that the event met gave it. */
  filter: { id: string; payload: Json } | null;
  /** Under which key its parent's handler started it. */
  parentKey: string | null;
  /** Of a replay: the steps whose outputs are the original's. */
  reusedSteps: string[];
  /** What was said at its start, else null. */
  priority: number | null;
  timeoutMs: number | null;
  /** Of an unfinished run: what is to happen, and when; null: when something else does. */
  timers: { task: string | null; kind: TimerKind; dueAt: string | null }[];
  /** Task by task, each oldest first. Null: they were left out. */
  logs: RunLogLine[] | null;
}

export interface ExportedEvent {
  id: string;
  key: string;
  scope: string | null;
  payload: Json;
  metadata: Metadata;
  replayOf: string | null;
  publishedAt: string;
}

/** An export that was brought here to be looked at. */
export interface ImportSummary {
  id: string;
  /** The run's id, where it was. */
  run: string;
  workflow: string;
  version: number;
  state: RunSummary["state"];
  bytes: number;
  importedAt: string;
}

/** The answer to an import: `created` is false when the same document was here. */
export interface CreatedImport extends ImportSummary {
  created: boolean;
}

export interface Import extends ImportSummary {
  document: RunExport;
}

/** How long a tenant may read a run after its end, and an event after its publication. */
export interface Retention {
  /** From 1 to 3,650; null: for ever. */
  days: number | null;
}
