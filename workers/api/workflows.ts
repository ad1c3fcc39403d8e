/**
 * Workflows: registration, which makes a version when the definition is new, and reading.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { queryOverHttp } from "../../database/connect.ts";
import { registerWorkflow } from "../../database/functions.ts";
import { connectReads, listWorkflows, readWorkflow } from "../../database/reads.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { buildDag } from "../definitions/dag.ts";
import { checksumOf } from "../definitions/canonical-json.ts";
import { forgetDefinitions } from "../definitions/definitions.ts";
import type { AppTypes } from "../environment.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import {
  definitionSchema,
  listWorkflowsQuery,
  nameParameters,
  pageOf,
  registeredWorkflowSchema,
  workflowSchema,
} from "./schemas.ts";

const register = createRoute({
  method: "put",
  path: "/workflows/{name}",
  tags: ["Workflows"],
  operationId: "registerWorkflow",
  summary: "Register a workflow",
  description:
    "Makes a new version when the definition differs from the active one, and nothing otherwise: safe to call at every start of a worker.",
  request: { params: nameParameters, body: json(definitionSchema) },
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

export const workflows = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(register, async (context) => {
    const definition: WorkflowDefinition = context.req.valid("json");
    const { name } = context.req.valid("param");
    if (definition.name !== name) {
      throw new ProblemError(
        "invalid_request",
        `The address names "${name}", the definition "${definition.name}". Make them the same.`,
      );
    }
    const dag = buildDag(definition);
    if ("findings" in dag) {
      const [first, ...rest] = dag.findings;
      const others = rest.length > 0 ? ` (and ${rest.length} more)` : "";
      throw new ProblemError(
        "invalid_workflow",
        `In the body, ${first?.path}: ${first?.message}${others}.`,
        { fields: dag.findings },
      );
    }
    const { tenant, log } = context.var;
    const {
      created_at: createdAt,
      version,
      created,
      ...registered
    } = await registerWorkflow(queryOverHttp(context.env), {
      tenant,
      workflow: newId(),
      version: newId(),
      name,
      checksum: await checksumOf(definition),
      definition,
      dag: dag.rows,
    });
    if (created) {
      forgetDefinitions(tenant);
      log.info("workflow.version_created", { workflow_id: registered.id, version: version.number });
    }
    const { created_at: versionCreatedAt, ...ofVersion } = version;
    const body = {
      id: registered.id,
      name,
      createdAt: isoTime(createdAt),
      version: { ...ofVersion, createdAt: isoTime(versionCreatedAt) },
      definition,
      created,
    };
    return created ? context.json(body, 201) : context.json(body, 200);
  })
  .openapi(list, async (context) => {
    const page = await listWorkflows(
      connectReads(context.env),
      context.var.tenant,
      context.req.valid("query"),
    );
    return context.json(page, 200);
  })
  .openapi(read, async (context) => {
    const { name } = context.req.valid("param");
    const found = await readWorkflow(connectReads(context.env), context.var.tenant, name);
    if (found === undefined) {
      throw new ProblemError(
        "workflow_not_found",
        `No workflow "${name}" is registered. GET /api/v1/workflows lists those that are.`,
      );
    }
    return context.json(found, 200);
  });

function isoTime(text: string): string {
  return new Date(text).toISOString();
}
