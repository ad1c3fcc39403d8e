/**
 * Stored limits: storing and changing one while runs are under it, and how it is used now.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { deleteLimit, putLimit, readLimitUsers } from "../../database/functions.ts";
import { listLimits, readLimit, toStoredLimit } from "../../database/read-limits.ts";
import type { LimitState } from "../../protocol/limit-bodies.ts";
import { MAX_LIMIT_KEYS, MAX_STORED_LIMITS } from "../../protocol/limits.ts";
import { shardNumbers } from "../../protocol/shard-map.ts";
import { checkStoredLimit } from "../definitions/limit-checks.ts";
import { firstOf } from "../definitions/registration.ts";
import type { AppTypes } from "../environment.ts";
import { readShardMap } from "../shard-maps.ts";
import { askShards, tellEach } from "../shard-calls.ts";
import { nameParameters, pageOf } from "./fields.ts";
import {
  limitStateSchema,
  listLimitsQuery,
  putLimitSchema,
  storedLimitSchema,
} from "./limit-schemas.ts";
import { mergeKeys } from "./limit-states.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { queryOf, readsOf } from "./tenant-data.ts";

/** Workflows that a refusal names. */
const MAX_NAMED = 5;

const put = createRoute({
  method: "put",
  path: "/limits/{name}",
  tags: ["Limits"],
  operationId: "putLimit",
  summary: "Store a limit, or change it",
  description:
    "Workflows name it, or it applies to tasks by itself. A change is in force at once: a raised limit dispatches what waits, a lowered one lets what runs finish.",
  request: { params: nameParameters, body: json(putLimitSchema) },
  responses: answers(
    { 200: ["Changed, or as it was", storedLimitSchema], 201: ["Stored", storedLimitSchema] },
    [...BODY_PROBLEMS, "too_many_limits"],
  ),
});

const list = createRoute({
  method: "get",
  path: "/limits",
  tags: ["Limits"],
  operationId: "listLimits",
  summary: "List stored limits",
  request: { query: listLimitsQuery },
  responses: answers({ 200: ["By name", pageOf(storedLimitSchema)] }, ["invalid_request"]),
});

const read = createRoute({
  method: "get",
  path: "/limits/{name}",
  tags: ["Limits"],
  operationId: "readLimit",
  summary: "Read a limit, and how it is used now",
  description: `By key: who holds it, what is left of it and how many wait; at most ${MAX_LIMIT_KEYS} keys, those with most waiting.`,
  request: { params: nameParameters },
  responses: answers({ 200: ["The limit", limitStateSchema] }, [
    "limit_not_found",
    "invalid_request",
    "overloaded",
  ]),
});

const remove = createRoute({
  method: "delete",
  path: "/limits/{name}",
  tags: ["Limits"],
  operationId: "deleteLimit",
  summary: "Delete a limit that no workflow names",
  description: "Runs of older versions that name it go on without it.",
  request: { params: nameParameters },
  responses: answers({ 200: ["Deleted", z.object({ name: z.string() })] }, [
    "limit_not_found",
    "limit_in_use",
    "invalid_request",
  ]),
});

export const limits = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(put, async (context) => {
    const { name } = context.req.valid("param");
    const definition = context.req.valid("json");
    const fields = checkStoredLimit(definition);
    if (fields.length > 0) throw new ProblemError("invalid_request", firstOf(fields), { fields });
    const { tenant, log } = context.var;
    const query = queryOf(context);
    const stored = await putLimit(query, tenant, name, definition, MAX_STORED_LIMITS);
    if (stored === undefined) {
      throw new ProblemError(
        "too_many_limits",
        `There are ${MAX_STORED_LIMITS} limits already. Delete one, or use a key in place of limits that are alike.`,
      );
    }
    log.info("limit.stored", { limit: name, is_new: stored.created });
    const { created, version, created_at, updated_at, ...row } = stored;
    await tellShards(context, version);
    const times = { createdAt: new Date(created_at), updatedAt: new Date(updated_at) };
    const body = toStoredLimit({ ...row, ...times });
    return created ? context.json(body, 201) : context.json(body, 200);
  })
  .openapi(list, async (context) => {
    const page = context.req.valid("query");
    const found = await listLimits(readsOf(context), context.var.tenant, page);
    return context.json(found, 200);
  })
  .openapi(read, async (context) => {
    const { name } = context.req.valid("param");
    const { tenant } = context.var;
    const stored = await readLimit(readsOf(context), tenant, name);
    if (stored === undefined) return refuseUnknown(name);
    const [workflows, used] = await Promise.all([
      readLimitUsers(queryOf(context), tenant, name),
      readKeys(context, name),
    ]);
    return context.json({ ...stored, workflows, ...used }, 200);
  })
  .openapi(remove, async (context) => {
    const { name } = context.req.valid("param");
    const { tenant, log } = context.var;
    const { deleted, usedBy, version } = await deleteLimit(queryOf(context), tenant, name);
    if (usedBy.length > 0) refuseUsed(name, usedBy);
    if (!deleted) return refuseUnknown(name);
    log.info("limit.deleted", { limit: name });
    await tellShards(context, version);
    return context.json({ name }, 200);
  });

/** The change is in force once this resolves; a shard that can't be reached learns of it when it can. */
async function tellShards(
  { env, var: { tenant, log } }: Context<AppTypes>,
  version: number,
): Promise<void> {
  await tellEach(
    env,
    log,
    shardNumbers(await readShardMap(env, tenant)).map((shard) => ({ tenant, shard })),
    async (stub) => await stub.heedLimits(version),
  );
}

/** Its keys over all shards. */
async function readKeys(
  context: Context<AppTypes>,
  name: string,
): Promise<Pick<LimitState, "keys" | "hasMoreKeys">> {
  let states = await askShards(context, (stub) => stub.limitState(name));
  let keys = mergeKeys(states.flatMap((state) => state.keys));
  const isCut = states.some((state) => state.hasMoreKeys);
  const hasMoreKeys = isCut || keys.length > MAX_LIMIT_KEYS;
  keys = keys.slice(0, MAX_LIMIT_KEYS);
  if (isCut && states.length > 1) {
    // A shard that has named only some of its keys may not have named these.
    const only = keys.map(({ key }) => key);
    states = await askShards(context, (stub) => stub.limitState(name, only));
    keys = mergeKeys(states.flatMap((state) => state.keys));
  }
  return { keys, hasMoreKeys };
}

function refuseUsed(name: string, workflows: readonly string[]): never {
  const named = workflows.slice(0, MAX_NAMED).map((workflow) => `"${workflow}"`);
  const more = workflows.length - named.length;
  const others = more > 0 ? ` and ${more} more` : "";
  throw new ProblemError(
    "limit_in_use",
    `The limit "${name}" is named by the active version of ${named.join(", ")}${others}. Register what names it without it, then delete it.`,
  );
}

function refuseUnknown(name: string): never {
  throw new ProblemError(
    "limit_not_found",
    `There is no limit "${name}". GET /api/v1/limits lists those that are stored.`,
  );
}
