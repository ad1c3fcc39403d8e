/**
 * Holding recorded runs against another definition, before it takes any. Nothing is executed, and nothing changes.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { readImport } from "../../database/imports.ts";
import {
  findHistories,
  findHistoriesById,
  type FoundHistory,
  readHistories,
} from "../../database/read-histories.ts";
import { readVersion } from "../../database/read-versions.ts";
import { readWorkflow } from "../../database/read-workflows.ts";
import type { Reads } from "../../database/reads.ts";
import type { RunExport } from "../../protocol/history-bodies.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { DEFAULT_CHECKED_RUNS } from "../../protocol/limits.ts";
import type { CheckReplay } from "../../protocol/replay-check-bodies.ts";
import { isFinishedRun } from "../../protocol/states.ts";
import { firstOf, rowsOf } from "../definitions/registration.ts";
import type { AppTypes } from "../environment.ts";
import { type Candidate, prepareCandidate } from "../replay-check/candidate.ts";
import { checkRun } from "../replay-check/check-run.ts";
import { takePortions } from "../replay-check/portions.ts";
import { Tally } from "../replay-check/tally.ts";
import { nameParameters } from "./fields.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { checkReplaySchema, partsOfCursor, replayCheckSchema } from "./replay-check-schemas.ts";
import { refuseUnknownRun } from "./runs.ts";
import { readsOf } from "./tenant-data.ts";

const check = createRoute({
  method: "post",
  path: "/workflows/{name}/check",
  tags: ["Workflows"],
  operationId: "checkReplay",
  summary: "Hold recorded runs against another definition",
  description:
    "Tells where it would have gone another way with the same inputs and outputs. Finished runs of any version, exports and imports are checked; no handler runs, and nothing changes. With `nextCursor` call again.",
  request: { params: nameParameters, body: json(checkReplaySchema) },
  responses: answers({ 200: ["What was found", replayCheckSchema] }, [
    ...BODY_PROBLEMS,
    "invalid_workflow",
    "workflow_not_found",
    "version_not_found",
    "run_not_found",
    "run_not_finished",
    "import_not_found",
  ]),
});

export const replayCheck = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid }).openapi(
  check,
  async (context) => {
    const { name } = context.req.valid("param");
    const asked = context.req.valid("json") as CheckReplay;
    const of = { reads: readsOf(context), tenant: context.var.tenant, name };
    const candidate = prepareCandidate(await definitionOf(of, asked));
    const tally = new Tally();
    for (const document of asked.documents ?? []) {
      refuseForeign(name, document.run);
      tally.add(checkRun(document, candidate));
    }
    for (const id of asked.imports ?? []) {
      tally.add(checkRun(await importedDocument(of, id), candidate));
    }
    const isOfDocuments = asked.documents !== undefined || asked.imports !== undefined;
    const { tooLarge, nextCursor } =
      asked.runs !== undefined || !isOfDocuments
        ? await checkHistory(of, asked, candidate, tally)
        : { tooLarge: [], nextCursor: null };
    const version = asked.version ?? null;
    const body = { workflow: name, version, ...tally.counts(), tooLarge, nextCursor };
    return context.json(body, 200);
  },
);

interface Of {
  reads: Reads;
  tenant: string;
  /** Of the workflow. */
  name: string;
}

async function definitionOf(
  { reads, tenant, name }: Of,
  { definition, version = 0 }: CheckReplay,
): Promise<WorkflowDefinition> {
  if (definition === undefined) {
    const found = await readVersion(reads, tenant, name, version);
    if (found !== undefined) return found.definition;
    await refuseUnknownWorkflow({ reads, tenant, name });
    throw new ProblemError("version_not_found", `Workflow "${name}" has no version ${version}.`);
  }
  if (definition.name !== name) {
    throw new ProblemError(
      "invalid_request",
      `The address names "${name}", the definition "${definition.name}". Make them the same.`,
    );
  }
  try {
    rowsOf(definition);
  } catch (error) {
    if (!(error instanceof ProblemError) || error.fields === undefined) throw error;
    const fields = error.fields.map((field) => ({ ...field, path: `definition.${field.path}` }));
    throw new ProblemError(error.code, firstOf(fields), { fields });
  }
  return definition;
}

async function importedDocument({ reads, tenant, name }: Of, id: string): Promise<RunExport> {
  const found = await readImport(reads, tenant, id);
  if (found === undefined) {
    throw new ProblemError("import_not_found", `There is no import ${id}.`);
  }
  refuseForeign(name, found.document.run);
  return found.document;
}

/** Goes through recorded runs, a portion at a time, and forgets each. */
async function checkHistory(
  of: Of,
  { runs = {}, cursor }: CheckReplay,
  candidate: Candidate,
  tally: Tally,
): Promise<{ tooLarge: string[]; nextCursor: string | null }> {
  const { reads, tenant, name } = of;
  const { before, left } = (cursor === undefined ? undefined : partsOfCursor(cursor)) ?? {
    before: undefined,
    left: runs.ids?.length ?? runs.last ?? DEFAULT_CHECKED_RUNS,
  };
  const found =
    runs.ids === undefined
      ? await findHistories(reads, tenant, name, runs, { before, limit: left })
      : (await namedHistories(of, runs.ids)).filter(
          ({ id }) => before === undefined || id < before,
        );
  if (found.length === 0) await refuseUnknownWorkflow(of);
  const { portions, tooLarge, last, isCut } = takePortions(found);
  let checked = tooLarge.length;
  for (const ids of portions) {
    for (const history of await readHistories(reads, tenant, ids)) {
      tally.add(checkRun(history, candidate));
    }
    checked += ids.length;
  }
  return { tooLarge, nextCursor: isCut ? `${last}/${left - checked}` : null };
}

async function namedHistories(of: Of, ids: string[]): Promise<FoundHistory[]> {
  const found = await findHistoriesById(of.reads, of.tenant, ids);
  const known = new Set(found.map(({ id }) => id));
  for (const id of ids) if (!known.has(id)) refuseUnknownRun(id);
  for (const run of found) refuseForeign(of.name, run);
  return found;
}

/** Only finished runs of the workflow itself can be held against it. */
function refuseForeign(
  name: string,
  { id, workflow, state }: Pick<FoundHistory, "id" | "workflow" | "state">,
): void {
  if (workflow !== name) {
    throw new ProblemError(
      "invalid_request",
      `The run ${id} is of workflow "${workflow}": check it at /api/v1/workflows/${workflow}/check.`,
    );
  }
  if (isFinishedRun(state)) return;
  throw new ProblemError(
    "run_not_finished",
    `The run ${id} is ${state}. Only runs that have finished can be checked.`,
  );
}

async function refuseUnknownWorkflow({ reads, tenant, name }: Of): Promise<void> {
  if ((await readWorkflow(reads, tenant, name)) !== undefined) return;
  throw new ProblemError(
    "workflow_not_found",
    `No workflow "${name}" is registered. GET /api/v1/workflows lists those that are.`,
  );
}
