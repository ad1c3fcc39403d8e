/**
 * Versions of a workflow: what they are, how they differ, which new runs are bound to, and who changed that.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { listChanges, listVersions, readVersion } from "../../database/read-versions.ts";
import { readWorkflow, shownWorkflow } from "../../database/read-workflows.ts";
import {
  activateVersion,
  type ChangeReply,
  type ChangeRequest,
  endPromotion,
  promoteVersion,
} from "../../database/workflow-changes.ts";
import type { Workflow } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { DEFAULT_ROLLBACK_RUNS, DEFAULT_ROLLBACK_WINDOW_MS } from "../../protocol/limits.ts";
import { forgetDefinitions } from "../definitions/definitions.ts";
import { diffDefinitions } from "../definitions/diff.ts";
import { WHOLE_SHARE } from "../definitions/promotion.ts";
import type { AppTypes } from "../environment.ts";
import { wakeForCrons } from "../schedules/schedule-clock.ts";
import { nameParameters, pageOf } from "./fields.ts";
import { answers, BODY_PROBLEMS, json, optionalJson, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import {
  activateVersionSchema,
  diffQuery,
  endPromotionQuery,
  listChangesQuery,
  listVersionsQuery,
  promoteVersionSchema,
  rollBackSchema,
  versionDiffSchema,
  versionParameters,
  versionSummarySchema,
  workflowChangeSchema,
} from "./version-schemas.ts";
import { queryOf, readsOf } from "./tenant-data.ts";
import { definitionSchema, workflowSchema } from "./workflow-schemas.ts";
import { refuseUnknownWorkflow } from "./workflows.ts";

const tags = ["Versions"];

const list = createRoute({
  method: "get",
  path: "/workflows/{name}/versions",
  tags,
  operationId: "listVersions",
  summary: "List a workflow's versions",
  request: { params: nameParameters, query: listVersionsQuery },
  responses: answers({ 200: ["Newest first", pageOf(versionSummarySchema)] }, [
    "workflow_not_found",
    "invalid_request",
  ]),
});

const read = createRoute({
  method: "get",
  path: "/workflows/{name}/versions/{number}",
  tags,
  operationId: "readVersion",
  summary: "Read a version",
  request: { params: versionParameters },
  responses: answers(
    { 200: ["The version", versionSummarySchema.extend({ definition: definitionSchema })] },
    ["workflow_not_found", "version_not_found", "invalid_request"],
  ),
});

const diff = createRoute({
  method: "get",
  path: "/workflows/{name}/diff",
  tags,
  operationId: "diffVersions",
  summary: "Tell what differs between two versions",
  description:
    "What a definition leaves out counts as its default, and steps are told apart by their names.",
  request: { params: nameParameters, query: diffQuery },
  responses: answers({ 200: ["What differs", versionDiffSchema] }, [
    "workflow_not_found",
    "version_not_found",
    "invalid_request",
  ]),
});

const changes = createRoute({
  method: "get",
  path: "/workflows/{name}/changes",
  tags,
  operationId: "listWorkflowChanges",
  summary: "List what was changed about a workflow, by whom and when",
  request: { params: nameParameters, query: listChangesQuery },
  responses: answers({ 200: ["Newest first", pageOf(workflowChangeSchema)] }, [
    "workflow_not_found",
    "invalid_request",
  ]),
});

const CHANGE_PROBLEMS = [
  ...BODY_PROBLEMS,
  "workflow_not_found",
  "version_not_found",
  "version_unusable",
] as const;

const activate = createRoute({
  method: "post",
  path: "/workflows/{name}/activate",
  tags,
  operationId: "activateVersion",
  summary: "Bind new runs to a version",
  description:
    "All of them: a promotion ends. Runs that have been started keep their version. Repeated it changes nothing.",
  request: { params: nameParameters, body: json(activateVersionSchema) },
  responses: answers({ 200: ["As it is now", workflowSchema] }, [...CHANGE_PROBLEMS]),
});

const rollback = createRoute({
  method: "post",
  path: "/workflows/{name}/rollback",
  tags,
  operationId: "rollBack",
  summary: "Bind new runs to an older version again",
  description:
    "To the newest version older than the active one that has been active, unless another one is named; each call goes one further back, unless `from` says from where. Workers that start with a newer version don't undo it.",
  request: { params: nameParameters, body: optionalJson(rollBackSchema) },
  responses: answers({ 200: ["As it is now", workflowSchema] }, [
    ...CHANGE_PROBLEMS,
    "nothing_to_roll_back",
  ]),
});

const promote = createRoute({
  method: "put",
  path: "/workflows/{name}/promotion",
  tags,
  operationId: "promoteVersion",
  summary: "Have a version take a share of new runs",
  description:
    "Beside the active version, until another one is activated or the promotion is deleted. Runs of one key are on one side, and stay there while the share rises. What starts the workflow by itself (events, filters) is the active version's.",
  request: { params: nameParameters, body: json(promoteVersionSchema) },
  responses: answers({ 200: ["As it is now", workflowSchema] }, [
    ...CHANGE_PROBLEMS,
    "version_active",
  ]),
});

const end = createRoute({
  method: "delete",
  path: "/workflows/{name}/promotion",
  tags,
  operationId: "endPromotion",
  summary: "Bind all new runs to the active version again",
  description: "Without a promotion it changes nothing.",
  request: { params: nameParameters, query: endPromotionQuery },
  responses: answers({ 200: ["As it is now", workflowSchema] }, [
    "workflow_not_found",
    "invalid_request",
  ]),
});

export const versions = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(list, async (context) => {
    const { name } = context.req.valid("param");
    const page = context.req.valid("query");
    const found = await listVersions(readsOf(context), context.var.tenant, name, page);
    return context.json(found ?? refuseUnknownWorkflow(name), 200);
  })
  .openapi(read, async (context) => {
    const { name, number } = context.req.valid("param");
    return context.json(await versionOf(context, name, number), 200);
  })
  .openapi(diff, async (context) => {
    const { name } = context.req.valid("param");
    const { from, to } = context.req.valid("query");
    const before = await versionOf(context, name, from);
    const after =
      to === undefined ? await activeOf(context, name) : await versionOf(context, name, to);
    const found = diffDefinitions(before.definition, after.definition);
    return context.json({ from, to: after.number, ...found }, 200);
  })
  .openapi(changes, async (context) => {
    const { name } = context.req.valid("param");
    const page = context.req.valid("query");
    const found = await listChanges(readsOf(context), context.var.tenant, name, page);
    return context.json(found ?? refuseUnknownWorkflow(name), 200);
  })
  .openapi(activate, async (context) => {
    const { name } = context.req.valid("param");
    const { version: number, reason } = context.req.valid("json");
    const request = { ...changeOf(context, name, reason), number, rollback: false };
    const reply = await activateVersion(queryOf(context), request);
    const workflow = changed(context, reply, name, "workflow.activated", number);
    await wakeForCrons(context, workflow.definition);
    return context.json(workflow, 200);
  })
  .openapi(rollback, async (context) => {
    const { name } = context.req.valid("param");
    const { version: number, from, reason } = context.req.valid("json");
    const request = { ...changeOf(context, name, reason), number, from, rollback: true };
    const reply = await activateVersion(queryOf(context), request);
    const workflow = changed(context, reply, name, "workflow.rolled_back", number);
    await wakeForCrons(context, workflow.definition);
    return context.json(workflow, 200);
  })
  .openapi(promote, async (context) => {
    const { name } = context.req.valid("param");
    const { version: number, percent, key, rollbackWhen, reason } = context.req.valid("json");
    const reply = await promoteVersion(queryOf(context), {
      ...changeOf(context, name, reason),
      number,
      share: Math.round((percent / 100) * WHOLE_SHARE),
      key: key?.split("."),
      rollbackWhen: rollbackWhen && {
        windowMs: DEFAULT_ROLLBACK_WINDOW_MS,
        minimumRuns: DEFAULT_ROLLBACK_RUNS,
        ...rollbackWhen,
      },
    });
    return context.json(changed(context, reply, name, "workflow.promoted", number), 200);
  })
  .openapi(end, async (context) => {
    const { name } = context.req.valid("param");
    const { reason } = context.req.valid("query");
    const reply = await endPromotion(queryOf(context), changeOf(context, name, reason));
    return context.json(changed(context, reply, name, "workflow.promotion_ended"), 200);
  });

type AppContext = Context<AppTypes>;

function changeOf(context: AppContext, name: string, reason: string | undefined): ChangeRequest {
  const { tenant, token: actor } = context.var;
  return { tenant, name, change: newId(), actor, ...(reason !== undefined && { reason }) };
}

function changed(
  context: AppContext,
  reply: ChangeReply,
  name: string,
  event: string,
  number?: number,
): Workflow {
  if ("workflow" in reply) {
    const { tenant, log } = context.var;
    const { workflow } = reply;
    forgetDefinitions(tenant);
    log.info(event, { workflow_id: workflow.id, version: number ?? workflow.version.number });
    return shownWorkflow(workflow);
  }
  if ("unknownLimits" in reply) {
    const names = reply.unknownLimits.map((limit) => `"${limit}"`).join(", ");
    throw new ProblemError(
      "version_unusable",
      `The version uses the limits ${names}, which have been deleted. Store them again with PUT /api/v1/limits/{name}, or choose another version.`,
    );
  }
  switch (reply.refused) {
    case "workflow_not_found":
      return refuseUnknownWorkflow(name);
    case "version_not_found":
      return refuseUnknownVersion(name, number);
    case "version_active":
      throw new ProblemError(
        "version_active",
        `Version ${number} of "${name}" is the active one: it has all new runs that no promotion takes. To roll it back gradually, activate the older version and promote this one.`,
      );
    case "nothing_to_roll_back":
      throw new ProblemError(
        "nothing_to_roll_back",
        `No older version of "${name}" has been active. GET /api/v1/workflows/${name}/versions lists them all; POST /api/v1/workflows/${name}/activate takes any.`,
      );
  }
}

async function versionOf(
  context: AppContext,
  name: string,
  number: number,
): Promise<NonNullable<Awaited<ReturnType<typeof readVersion>>>> {
  const reads = readsOf(context);
  const { tenant } = context.var;
  const found = await readVersion(reads, tenant, name, number);
  if (found !== undefined) return found;
  if ((await readWorkflow(reads, tenant, name)) === undefined) refuseUnknownWorkflow(name);
  return refuseUnknownVersion(name, number);
}

async function activeOf(
  context: AppContext,
  name: string,
): Promise<{ number: number; definition: Workflow["definition"] }> {
  const found = await readWorkflow(readsOf(context), context.var.tenant, name);
  const { version, definition } = found ?? refuseUnknownWorkflow(name);
  return { number: version.number, definition };
}

function refuseUnknownVersion(name: string, number: number | undefined): never {
  throw new ProblemError(
    "version_not_found",
    `The workflow "${name}" has no version ${number}. GET /api/v1/workflows/${name}/versions lists those that it has.`,
  );
}
