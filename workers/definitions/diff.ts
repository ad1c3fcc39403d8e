/**
 * What differs between two definitions of a workflow. What one leaves out counts as its default, and a step is
 * known by its name, wherever it stands. Pure.
 */
import type { StepDefinition, WorkflowDefinition } from "../../protocol/http.ts";
import type { Json } from "../../protocol/json.ts";
import { DEFAULT_BACKOFF, DEFAULT_PRIORITY, DEFAULT_TIMEOUT_MS } from "../../protocol/limits.ts";
import type { Difference, VersionDiff } from "../../protocol/version-bodies.ts";
import { canonicalJson } from "./canonical-json.ts";

export type DefinitionDiff = Omit<VersionDiff, "from" | "to">;

type Members = { [member: string]: Json };

export function diffDefinitions(from: WorkflowDefinition, to: WorkflowDefinition): DefinitionDiff {
  const [before, after] = [stepsOf(from), stepsOf(to)];
  const workflow = differencesOf(workflowMembers(from), workflowMembers(to));
  const changed = [...after].flatMap(([name, step]) => {
    const known = before.get(name);
    const differences = known === undefined ? [] : differencesOf(known, step);
    return differences.length > 0 ? [{ name, differences }] : [];
  });
  const added = [...after.keys()].filter((name) => !before.has(name));
  const removed = [...before.keys()].filter((name) => !after.has(name));
  return {
    isSame: [workflow, changed, added, removed].every(({ length }) => length === 0),
    workflow,
    steps: { added, removed, changed },
  };
}

function workflowMembers(definition: WorkflowDefinition): Members {
  const { steps: _steps, onFailure, ...rest } = definition;
  return asJson({
    events: [],
    filters: [],
    cancelOn: [],
    limits: [],
    priority: DEFAULT_PRIORITY,
    sticky: "none",
    versioning: "compatible",
    ...rest,
    ...(onFailure && { onFailure: policyMembers(onFailure) }),
  });
}

function stepsOf({ name: workflow, steps }: WorkflowDefinition): Map<string, Members> {
  return new Map(
    steps.map((step) => {
      const { name, parents = [], compensate, ...rest } = step;
      const members = asJson({
        action: `${workflow}:${name}`,
        limits: [],
        labels: {},
        slots: 1,
        ...rest,
        ...policyMembers(step),
        parents: parents.toSorted(),
        ...(compensate && { compensate: policyMembers(compensate) }),
      });
      return [name, members];
    }),
  );
}

function policyMembers({
  timeoutMs = DEFAULT_TIMEOUT_MS,
  retries = 0,
  backoff,
  retryIf,
}: Pick<StepDefinition, "timeoutMs" | "retries" | "backoff" | "retryIf">): object {
  return {
    timeoutMs,
    retries,
    ...(retries > 0 && { backoff: { ...DEFAULT_BACKOFF, ...backoff } }),
    ...(retryIf !== undefined && { retryIf }),
  };
}

/** As it is once it has been sent: without what is undefined. */
function asJson(value: object): Members {
  return JSON.parse(JSON.stringify(value)) as Members;
}

function differencesOf(from: Json | undefined, to: Json | undefined, path = ""): Difference[] {
  if (from !== undefined && to !== undefined && canonicalJson(from) === canonicalJson(to)) {
    return [];
  }
  const [before, after] = [membersOf(from), membersOf(to)];
  if (before === undefined || after === undefined) {
    return [{ path, ...(from !== undefined && { from }), ...(to !== undefined && { to }) }];
  }
  const isList = Array.isArray(from);
  return [...new Set([...before.keys(), ...after.keys()])].toSorted().flatMap((member) => {
    const place = isList ? `${path}[${member}]` : path === "" ? member : `${path}.${member}`;
    return differencesOf(before.get(member), after.get(member), place);
  });
}

/** What is compared one by one. A list of texts or numbers is one thing. */
function membersOf(value: Json | undefined): Map<string, Json> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value) && !value.some((item) => typeof item === "object")) return undefined;
  return new Map(Object.entries(value));
}
