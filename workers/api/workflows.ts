/**
 * Workflows: registration, which makes a version when the definition is new, reading, and pausing.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { registerWorkflow } from "../../database/functions.ts";
import { listWorkflows, readWorkflow, shownWorkflow } from "../../database/read-workflows.ts";
import { pauseWorkflow, resumeWorkflow } from "../../database/workflow-changes.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { checksumOf } from "../definitions/canonical-json.ts";
import { forgetDefinitions } from "../definitions/definitions.ts";
import { refuseUnknownLimits, rowsOf } from "../definitions/registration.ts";
import type { AppTypes } from "../environment.ts";
import { wakeForCrons } from "../schedules/schedule-clock.ts";
import { nudgeShards } from "../shard-calls.ts";
import { nameParameters, pageOf } from "./fields.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { queryOf, readsOf } from "./tenant-data.ts";
import { registerQuery } from "./version-schemas.ts";
import {
  definitionSchema,
  listWorkflowsQuery,
  pauseWorkflowSchema,
  registeredWorkflowSchema,
  workflowSchema,
} from "./workflow-schemas.ts";

const register = createRoute({
  method: "put",
  path: "/workflows/{name}",
  tags: ["Workflows"],
  operationId: "registerWorkflow",
  summary: "Register a workflow",
  description:
    "Makes a new version when the definition differs from those that are there, and nothing otherwise: safe to call at every start of a worker. New runs are bound to a new version at once, unless `activate` says otherwise; a version that was there becomes active only if it says `always`.",
  request: { params: nameParameters, query: registerQuery, body: json(definitionSchema) },
  responses: answers(
    {
      200: ["The version was there", registeredWorkflowSchema],
      201: ["A new version", registeredWorkflowSchema],
    },
    [...BODY_PROBLEMS, "invalid_workflow"],
  ),
});

const list = createRoute({
  method: "get",
  path: "/workflows",
  tags: ["Workflows"],
  operationId: "listWorkflows",
  summary: "List workflows",
  request: { query: listWorkflowsQuery },
  responses: answers({ 200: ["By name", pageOf(workflowSchema)] }, ["invalid_request"]),
});

const read = createRoute({
  method: "get",
  path: "/workflows/{name}",
  tags: ["Workflows"],
  operationId: "readWorkflow",
  summary: "Read a workflow",
  request: { params: nameParameters },
  responses: answers({ 200: ["The workflow and its active version", workflowSchema] }, [
    "workflow_not_found",
    "invalid_request",
  ]),
});

const pause = createRoute({
  method: "put",
  path: "/workflows/{name}/pause",
  tags: ["Workflows"],
  operationId: "pauseWorkflow",
  summary: "Pause a workflow",
  description: "Runs that have been started go on. Pausing a paused one changes its mode.",
  request: { params: nameParameters, body: json(pauseWorkflowSchema) },
  responses: answers({ 200: ["Paused", workflowSchema] }, [...BODY_PROBLEMS, "workflow_not_found"]),
});

const resume = createRoute({
  method: "delete",
  path: "/workflows/{name}/pause",
  tags: ["Workflows"],
  operationId: "resumeWorkflow",
  summary: "Resume a paused workflow",
  description: "The runs that were held begin at once.",
  request: { params: nameParameters },
  responses: answers({ 200: ["It takes runs again", workflowSchema] }, [
    "workflow_not_found",
    "invalid_request",
  ]),
});

export const workflows = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(register, async (context) => {
    const definition: WorkflowDefinition = context.req.valid("json");
    const { name } = context.req.valid("param");
    const { activate = "new" } = context.req.valid("query");
    if (definition.name !== name) {
      throw new ProblemError(
        "invalid_request",
        `The address names "${name}", the definition "${definition.name}". Make them the same.`,
      );
    }
    const { tenant, token, log } = context.var;
    const reply = await registerWorkflow(queryOf(context), {
      tenant,
      workflow: newId(),
      version: newId(),
      name,
      checksum: await checksumOf(definition),
      definition,
      ...rowsOf(definition),
      activate,
      change: newId(),
      actor: token,
    });
    if ("unknownLimits" in reply) refuseUnknownLimits(definition, reply.unknownLimits);
    const { created, active: activeVersion, ...registered } = reply;
    if (created || activate === "always") {
      forgetDefinitions(tenant);
      await wakeForCrons(context, definition);
    }
    if (created) {
      const { id, version } = registered;
      log.info("workflow.version_created", { workflow_id: id, version: version.number });
    }
    const body = { ...shownWorkflow(reply), definition, created, activeVersion };
    return created ? context.json(body, 201) : context.json(body, 200);
  })
  .openapi(list, async (context) => {
    const page = await listWorkflows(
      readsOf(context),
      context.var.tenant,
      context.req.valid("query"),
    );
    return context.json(page, 200);
  })
  .openapi(read, async (context) => {
    const { name } = context.req.valid("param");
    const found = await readWorkflow(readsOf(context), context.var.tenant, name);
    return context.json(found ?? refuseUnknownWorkflow(name), 200);
  })
  .openapi(pause, async (context) => {
    const { name } = context.req.valid("param");
    const { mode } = context.req.valid("json");
    const { tenant, token: actor, log } = context.var;
    const query = queryOf(context);
    const change = { tenant, name, change: newId(), actor };
    const paused = (await pauseWorkflow(query, change, mode)) ?? refuseUnknownWorkflow(name);
    forgetDefinitions(tenant);
    log.info("workflow.paused", { workflow_id: paused.id, mode });
    return context.json(shownWorkflow(paused), 200);
  })
  .openapi(resume, async (context) => {
    const { name } = context.req.valid("param");
    const { tenant, token: actor, log } = context.var;
    const query = queryOf(context);
    const { shards, ...resumed } =
      (await resumeWorkflow(query, { tenant, name, change: newId(), actor })) ??
      refuseUnknownWorkflow(name);
    forgetDefinitions(tenant);
    log.info("workflow.resumed", { workflow_id: resumed.id });
    await nudgeShards(
      context.env,
      log,
      shards.map((shard) => ({ tenant, shard })),
    );
    return context.json(shownWorkflow(resumed), 200);
  });

export function refuseUnknownWorkflow(name: string): never {
  throw new ProblemError(
    "workflow_not_found",
    `No workflow "${name}" is registered. GET /api/v1/workflows lists those that are.`,
  );
}
