/**
 * What a shard is told to start: a run of a workflow as the definitions know it. Pure.
 */
import type { Original } from "../../database/read-originals.ts";
import type { StartRow } from "../../database/rows.ts";
import { newRunId } from "../../protocol/ids.ts";
import { ProblemError } from "../api/problems.ts";
import type { DefinedWorkflow, Definitions } from "./definitions.ts";
import { isPromoted } from "./promotion.ts";

/** What a run is given: input, metadata, what starts it, its idempotency key, its priority. */
export type GivenToRun = Pick<StartRow, "i" | "m" | "e" | "k" | "pr" | "f" | "fp">;

/** A run of the workflow's active version, or of the one that is promoted beside it. */
export function startRow(
  definitions: Definitions,
  workflow: DefinedWorkflow,
  given: GivenToRun,
): StartRow {
  const row = activeRow(definitions, workflow, given);
  const { promoted } = workflow;
  const run = { input: given.i, metadata: given.m };
  if (promoted === undefined || !isPromoted(promoted, run, given.k ?? row.id)) return row;
  const { version: v, steps: n, timeoutMs: u, cancelOn: c } = promoted;
  return { ...row, v, n, u, c };
}

function activeRow(
  { version }: Definitions,
  workflow: DefinedWorkflow,
  given: GivenToRun,
): StartRow {
  return {
    id: newRunId(),
    w: workflow.id,
    v: workflow.version,
    d: version,
    n: workflow.steps,
    u: workflow.timeoutMs,
    h: workflow.paused === "hold" ? true : undefined,
    c: workflow.cancelOn,
    ...given,
  };
}

/** A run that repeats another one; the outputs of `reused` steps are the other's. */
export function replayRow(
  definitions: Definitions,
  original: Original,
  replay: { isOfActiveVersion: boolean; reused: number[] } & Partial<GivenToRun>,
): StartRow {
  const workflow = workflowToStart(definitions, original.workflow);
  const { isOfActiveVersion, reused, i = original.input, m = original.metadata, k } = replay;
  const pr = original.priority ?? undefined;
  const filter =
    original.filterId === null ? {} : { f: original.filterId, fp: original.filterPayload };
  const row = { ...activeRow(definitions, workflow, { i, m, k, pr, ...filter }), ro: original.id };
  if (isOfActiveVersion) return row;
  return {
    ...row,
    v: original.versionId,
    n: original.steps - reused.length,
    u: original.timeoutMs ?? undefined,
    c: original.cancelOn === null ? undefined : true,
    ru: reused.length > 0 ? reused : undefined,
  };
}

/**
 * The workflow of a name, if it takes runs; else a problem. `where` says which run of the request
 * asks for it, when there are several.
 */
export function workflowToStart(
  { workflows }: Definitions,
  name: string,
  where = "",
): DefinedWorkflow {
  const workflow = workflows.get(name);
  if (workflow === undefined) {
    throw new ProblemError(
      "workflow_not_found",
      `${where}No workflow "${name}" is registered. Start a worker that has it, or register it with PUT /api/v1/workflows/${name}.`,
    );
  }
  if (workflow.paused === "drop") {
    throw new ProblemError(
      "workflow_paused",
      `${where}The workflow "${name}" is paused and takes no runs. Resume it with DELETE /api/v1/workflows/${name}/pause, or pause it with the mode hold to have them wait.`,
    );
  }
  return workflow;
}

/** Whether the problem may be due to definitions that are older than what the caller knows. */
export function mayBeOutdated(error: unknown): boolean {
  return (
    error instanceof ProblemError &&
    (error.code === "workflow_not_found" || error.code === "workflow_paused")
  );
}
