/**
 * How long a tenant's history is kept.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { putRetention, readRetention } from "../../database/retention.ts";
import type { AppTypes } from "../environment.ts";
import { retentionSchema } from "./history-schemas.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { queryOf, readsOf } from "./tenant-data.ts";

const read = createRoute({
  method: "get",
  path: "/tenant/retention",
  tags: ["Tenant"],
  operationId: "readRetention",
  summary: "Read how long history is kept",
  responses: answers({ 200: ["The period", retentionSchema] }, []),
});

const put = createRoute({
  method: "put",
  path: "/tenant/retention",
  tags: ["Tenant"],
  operationId: "putRetention",
  summary: "Say how long history is kept",
  description:
    "What is older can't be read any more, from now on. It is dropped later, with its month: nothing within seven days of a change, so that a mistake can be undone.",
  request: { body: json(retentionSchema) },
  responses: answers({ 200: ["The period", retentionSchema] }, [...BODY_PROBLEMS]),
});

export const retention = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(read, async (context) => {
    return context.json(await readRetention(readsOf(context), context.var.tenant), 200);
  })
  .openapi(put, async (context) => {
    const asked = context.req.valid("json");
    const { tenant, log } = context.var;
    await putRetention(queryOf(context), tenant, asked);
    log.info("retention.changed", { days: asked.days });
    return context.json(asked, 200);
  });
