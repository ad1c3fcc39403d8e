/**
 * Stored filters: conditions under which events start runs, changed while workers run, and tried out.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { queryOverHttp } from "../../database/connect.ts";
import {
  changeFilter,
  deleteFilter,
  putFilters,
  type PutFilterRow,
} from "../../database/functions.ts";
import { listFilterFailures, listFilters, readFilter } from "../../database/read-filters.ts";
import { readOriginalEvents } from "../../database/read-events.ts";
import { connectReads } from "../../database/reads.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { compileExpression } from "../../expressions/compile.ts";
import { FILTER_CONDITION, valuesOfEvent } from "../../expressions/filter-condition.ts";
import type { CreateFilter, Filter, TryFilter } from "../../protocol/event-bodies.ts";
import { newId } from "../../protocol/ids.ts";
import { MAX_FILTERS, MAX_FILTERS_BYTES } from "../../protocol/limits.ts";
import { forgetDefinitions } from "../definitions/definitions.ts";
import { buildFilter, isFinding } from "../definitions/filters.ts";
import { firstOf } from "../definitions/registration.ts";
import type { AppTypes } from "../environment.ts";
import { pageOf } from "./fields.ts";
import {
  changeFilterSchema,
  createdFilterSchema,
  createdFiltersSchema,
  createFilterSchema,
  createFiltersSchema,
  filterFailureSchema,
  filterSchema,
  idParameters,
  listFailuresQuery,
  listFiltersQuery,
  triedFilterSchema,
  tryFilterSchema,
} from "./filter-schemas.ts";
import { refuseUnknownEvent } from "./events.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { queryOf, readsOf } from "./tenant-data.ts";

const tags = ["Filters"];
const IN_FORCE = "It is in force at the next event, everywhere.";

const create = createRoute({
  method: "post",
  path: "/filters",
  tags,
  operationId: "createFilter",
  summary: "Store a filter of a workflow",
  description: `An event of the workflow's keys then starts a run for each of its filters that is met, and none when none is. ${IN_FORCE}`,
  request: { body: json(createFilterSchema) },
  responses: answers(
    {
      200: ["The workflow has this very filter", createdFilterSchema],
      201: ["Stored", createdFilterSchema],
    },
    [...BODY_PROBLEMS, "workflow_not_found", "too_many_filters"],
  ),
});

const createMany = createRoute({
  method: "post",
  path: "/filters/bulk",
  tags,
  operationId: "createFilters",
  summary: "Store up to 1,000 filters",
  description: `All or none. ${IN_FORCE}`,
  request: { body: json(createFiltersSchema) },
  responses: answers({ 201: ["Stored, or there already", createdFiltersSchema] }, [
    ...BODY_PROBLEMS,
    "workflow_not_found",
    "too_many_filters",
  ]),
});

const tryOut = createRoute({
  method: "post",
  path: "/filters/try",
  tags,
  operationId: "tryFilter",
  summary: "Evaluate a filter, or an expression, for an event",
  description:
    "Of an event that was published, or one that is made up. Changes nothing, and starts nothing.",
  request: { body: json(tryFilterSchema) },
  responses: answers({ 200: ["Whether the event meets it", triedFilterSchema] }, [
    ...BODY_PROBLEMS,
    "filter_not_found",
    "event_not_found",
  ]),
});

const list = createRoute({
  method: "get",
  path: "/filters",
  tags,
  operationId: "listFilters",
  summary: "List filters",
  description: "The oldest first; with those that active versions of workflows declare.",
  request: { query: listFiltersQuery },
  responses: answers({ 200: ["By id", pageOf(filterSchema)] }, ["invalid_request"]),
});

const read = createRoute({
  method: "get",
  path: "/filters/{id}",
  tags,
  operationId: "readFilter",
  summary: "Read a filter",
  request: { params: idParameters },
  responses: answers({ 200: ["The filter", filterSchema] }, [
    "filter_not_found",
    "invalid_request",
  ]),
});

const change = createRoute({
  method: "patch",
  path: "/filters/{id}",
  tags,
  operationId: "changeFilter",
  summary: "Change a stored filter",
  description: `What is left out stays as it is. ${IN_FORCE}`,
  request: { params: idParameters, body: json(changeFilterSchema) },
  responses: answers({ 200: ["Changed", filterSchema] }, [
    ...BODY_PROBLEMS,
    "filter_not_found",
    "filter_declared",
    "filter_exists",
    "too_many_filters",
  ]),
});

const remove = createRoute({
  method: "delete",
  path: "/filters/{id}",
  tags,
  operationId: "deleteFilter",
  summary: "Delete a stored filter",
  description:
    "At the next event it is gone, everywhere. A workflow whose last filter goes is started by every event of its keys.",
  request: { params: idParameters },
  responses: answers({ 200: ["Deleted", z.object({ id: z.string() })] }, [
    "filter_not_found",
    "filter_declared",
    "invalid_request",
  ]),
});

const failures = createRoute({
  method: "get",
  path: "/filters/{id}/failures",
  tags,
  operationId: "listFilterFailures",
  summary: "List events for which a filter could not be evaluated",
  description:
    "The newest first. An event that the filter's equalities have ruled out is not evaluated, and so not among them.",
  request: { params: idParameters, query: listFailuresQuery },
  responses: answers({ 200: ["The newest first", pageOf(filterFailureSchema)] }, [
    "filter_not_found",
    "invalid_request",
  ]),
});

export const filters = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(createMany, async (context) => {
    const { filters: asked } = context.req.valid("json");
    const rows = asked.map((filter, index) => rowOf(filter, `filters[${index}].expression`));
    return context.json({ filters: await store(context, rows) }, 201);
  })
  .openapi(create, async (context) => {
    const row = rowOf(context.req.valid("json"), "expression");
    const [stored] = await store(context, [row]);
    if (stored === undefined) throw new Error("A creation of one filter created none");
    const filter = await readOr404(context, stored.id);
    return stored.created
      ? context.json({ ...filter, created: true }, 201, {
          location: `/api/v1/filters/${filter.id}`,
        })
      : context.json({ ...filter, created: false }, 200);
  })
  .openapi(tryOut, async (context) => {
    const body: TryFilter = context.req.valid("json");
    const known = body.filter === undefined ? undefined : await readOr404(context, body.filter);
    const { expression = known?.expression ?? "", payload = known?.payload ?? null } = body;
    const compiled = compileExpression(expression, FILTER_CONDITION);
    if (!compiled.ok) return context.json({ isMatch: false, error: compiled.error }, 200);
    const event = await eventToTry(context, body.event);
    const { isMatch, error = null } = compiled.expression.matches({
      ...valuesOfEvent(event),
      payload,
    });
    return context.json({ isMatch, error }, 200);
  })
  .openapi(list, async (context) => {
    const query = context.req.valid("query");
    const page = await listFilters(readsOf(context), context.var.tenant, query);
    return context.json(page, 200);
  })
  .openapi(read, async (context) =>
    context.json(await readOr404(context, context.req.valid("param").id), 200),
  )
  .openapi(change, async (context) => {
    const { id } = context.req.valid("param");
    const { scope, expression, payload } = context.req.valid("json");
    const { workflow } = await readStored(context, id);
    const ofExpression = expression && rowOf({ workflow, expression }, "expression");
    const row = {
      ...(scope !== undefined && { s: scope }),
      ...(ofExpression && { x: ofExpression.x, q: ofExpression.q }),
      ...(payload !== undefined && { p: payload }),
    };
    const { tenant, log } = context.var;
    const query = queryOf(context);
    const refused = await changeFilter(query, tenant, id, row, MAX_FILTERS_BYTES);
    if (refused !== undefined) refuseChange(id, refused);
    forgetDefinitions(tenant);
    log.info("filter.changed", { filter_id: id });
    return context.json(await readOr404(context, id), 200);
  })
  .openapi(remove, async (context) => {
    const { id } = context.req.valid("param");
    await readStored(context, id);
    const { tenant, log } = context.var;
    if (!(await deleteFilter(queryOf(context), tenant, id))) refuseUnknown(id);
    forgetDefinitions(tenant);
    log.info("filter.deleted", { filter_id: id });
    return context.json({ id }, 200);
  })
  .openapi(failures, async (context) => {
    const { id } = context.req.valid("param");
    await readOr404(context, id);
    const page = await listFilterFailures(
      readsOf(context),
      context.var.tenant,
      id,
      context.req.valid("query"),
    );
    return context.json(page, 200);
  });

/** A filter to be stored; else a problem that says what is wrong with its expression. */
function rowOf(filter: CreateFilter, path: string): PutFilterRow {
  const built = buildFilter(filter, path);
  if (isFinding(built)) {
    throw new ProblemError("invalid_request", firstOf([built]), { fields: [built] });
  }
  const { scope = null, expression, payload, equalities } = built;
  return { id: newId(), w: filter.workflow, s: scope, x: expression, p: payload, q: equalities };
}

async function store(
  { env, var: { tenant, log } }: Context<AppTypes>,
  rows: PutFilterRow[],
): Promise<{ id: string; created: boolean }[]> {
  const most = { filters: MAX_FILTERS, bytes: MAX_FILTERS_BYTES };
  const reply = await putFilters(queryOverHttp(databaseOf(env, tenant)), tenant, rows, most);
  if ("unknownWorkflows" in reply) {
    const names = reply.unknownWorkflows.map((name) => `"${name}"`).join(", ");
    throw new ProblemError(
      "workflow_not_found",
      `No workflow ${names} is registered. GET /api/v1/workflows lists those that are.`,
    );
  }
  if ("tooMany" in reply) refuseMore(reply.tooMany);
  forgetDefinitions(tenant);
  log.info("filters.stored", { filters: reply.filters.filter(({ created }) => created).length });
  return reply.filters;
}

async function eventToTry(
  { env, var: { tenant } }: Context<AppTypes>,
  event: TryFilter["event"],
): Promise<Parameters<typeof valuesOfEvent>[0]> {
  if (typeof event === "string") {
    const [found = refuseUnknownEvent(event)] = await readOriginalEvents(
      connectReads(databaseOf(env, tenant)),
      tenant,
      [event],
    );
    return { ...found, scope: found.scope ?? undefined };
  }
  return { id: newId(), payload: null, metadata: {}, ...event };
}

async function readOr404({ env, var: { tenant } }: Context<AppTypes>, id: string): Promise<Filter> {
  return (await readFilter(connectReads(databaseOf(env, tenant)), tenant, id)) ?? refuseUnknown(id);
}

/** One that can be changed. */
async function readStored(context: Context<AppTypes>, id: string): Promise<Filter> {
  const filter = await readOr404(context, id);
  if (!filter.isDeclared) return filter;
  throw new ProblemError(
    "filter_declared",
    `The workflow "${filter.workflow}" declares the filter: change it there, and register the workflow again.`,
  );
}

function refuseChange(id: string, refused: "unknown" | "exists" | "bytes"): never {
  if (refused === "unknown") refuseUnknown(id);
  if (refused === "bytes") refuseMore(refused);
  throw new ProblemError(
    "filter_exists",
    "The workflow has another filter with this scope, expression and payload. Delete one of them.",
  );
}

function refuseMore(what: "filters" | "bytes"): never {
  const bound =
    what === "filters"
      ? `There may be ${MAX_FILTERS} stored filters.`
      : `Expressions and payloads of all stored filters may have ${MAX_FILTERS_BYTES} bytes together.`;
  throw new ProblemError(
    "too_many_filters",
    `${bound} Delete some, or compare with a list or a map in one filter's payload.`,
  );
}

function refuseUnknown(id: string): never {
  throw new ProblemError(
    "filter_not_found",
    `There is no filter ${id}. GET /api/v1/filters lists those that there are.`,
  );
}
