/**
 * What dispatch is told of a version and of its steps: limits, priority and where tasks may go. What a
 * definition leaves as it is by default is left out. Pure.
 */
import type { StepDispatch, VersionDispatch } from "../../database/definition-rows.ts";
import type { StepDefinition, WorkflowDefinition } from "../../protocol/http.ts";
import { DEFAULT_PRIORITY } from "../../protocol/limits.ts";

export function versionDispatch({
  limits = [],
  priority = DEFAULT_PRIORITY,
  versioning,
}: WorkflowDefinition): VersionDispatch | undefined {
  return unlessEmpty({
    ...(limits.length > 0 && { limits }),
    ...(priority !== DEFAULT_PRIORITY && { priority }),
    ...(versioning === "pinned" && { isPinned: true }),
  });
}

export function stepDispatch(
  { limits = [], slots = 1, labels = {} }: StepDefinition,
  sticky: WorkflowDefinition["sticky"] = "none",
): StepDispatch | undefined {
  return unlessEmpty({
    ...(sticky !== "none" && { sticky }),
    ...(limits.length > 0 && { limits }),
    ...(slots !== 1 && { slots }),
    ...(Object.keys(labels).length > 0 && { labels }),
  });
}

/** Of what comes after a failure: it must come, also when the run's own worker has gone. */
export function laterDispatch(
  sticky: WorkflowDefinition["sticky"] = "none",
): StepDispatch | undefined {
  return sticky === "none" ? undefined : { sticky: "soft" };
}

/** The stored limits that a definition names, and where. */
export function namedLimits({
  limits = [],
  steps,
}: WorkflowDefinition): { name: string; path: string }[] {
  const ofRun = limits.map(({ limit }, index) => ({ limit, path: `limits[${index}].limit` }));
  const ofSteps = steps.flatMap((step, number) =>
    (step.limits ?? []).map(({ limit }, index) => ({
      limit,
      path: `steps[${number}].limits[${index}].limit`,
    })),
  );
  return [...ofRun, ...ofSteps].flatMap(({ limit, path }) =>
    limit === undefined ? [] : [{ name: limit, path }],
  );
}

function unlessEmpty<Dispatch extends object>(dispatch: Dispatch): Dispatch | undefined {
  return Object.keys(dispatch).length > 0 ? dispatch : undefined;
}
