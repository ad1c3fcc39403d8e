/**
 * Webhooks: storing, changing and reading where deliveries of other services come in. What comes in is
 * received by `deliveries.ts`.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import {
  deleteWebhook,
  listWebhookFailures,
  listWebhooks,
  putWebhook,
  readWebhook,
  type WebhookRow,
} from "../../database/webhooks.ts";
import { MAX_WEBHOOK_FAILURES, MAX_WEBHOOKS } from "../../protocol/limits.ts";
import type { Webhook } from "../../protocol/webhook-bodies.ts";
import { firstOf } from "../definitions/registration.ts";
import type { AppTypes } from "../environment.ts";
import { withDefaults } from "../webhooks/providers.ts";
import { checkWebhook } from "../webhooks/webhook-checks.ts";
import { nameParameters, pageOf } from "./fields.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import {
  listWebhooksQuery,
  putWebhookSchema,
  webhookFailureSchema,
  webhookSchema,
} from "./webhook-schemas.ts";
import { queryOf, readsOf } from "./tenant-data.ts";

const put = createRoute({
  method: "put",
  path: "/webhooks/{name}",
  tags: ["Webhooks"],
  operationId: "putWebhook",
  summary: "Store a webhook, or change it",
  description:
    "Deliveries that are sent to its `path` and verified become events. A change is in force at the next delivery. Without `secrets` those that are stored stay.",
  request: { params: nameParameters, body: json(putWebhookSchema) },
  responses: answers(
    { 200: ["Changed, or as it was", webhookSchema], 201: ["Stored", webhookSchema] },
    [...BODY_PROBLEMS, "too_many_webhooks"],
  ),
});

const list = createRoute({
  method: "get",
  path: "/webhooks",
  tags: ["Webhooks"],
  operationId: "listWebhooks",
  summary: "List webhooks",
  request: { query: listWebhooksQuery },
  responses: answers({ 200: ["By name", pageOf(webhookSchema)] }, ["invalid_request"]),
});

const read = createRoute({
  method: "get",
  path: "/webhooks/{name}",
  tags: ["Webhooks"],
  operationId: "readWebhook",
  summary: "Read a webhook",
  description: "Its secrets are never shown.",
  request: { params: nameParameters },
  responses: answers({ 200: ["The webhook", webhookSchema] }, [
    "webhook_not_found",
    "invalid_request",
  ]),
});

const failures = createRoute({
  method: "get",
  path: "/webhooks/{name}/failures",
  tags: ["Webhooks"],
  operationId: "listWebhookFailures",
  summary: "List deliveries that a webhook has refused",
  description: `The last ${MAX_WEBHOOK_FAILURES}; of a flood the first ${MAX_WEBHOOK_FAILURES} of each minute. Never what was sent.`,
  request: { params: nameParameters },
  responses: answers(
    { 200: ["Newest first", z.object({ items: z.array(webhookFailureSchema) })] },
    ["webhook_not_found", "invalid_request"],
  ),
});

const remove = createRoute({
  method: "delete",
  path: "/webhooks/{name}",
  tags: ["Webhooks"],
  operationId: "deleteWebhook",
  summary: "Delete a webhook",
  description: "With its secrets and its failures. Deliveries that come later are refused.",
  request: { params: nameParameters },
  responses: answers({ 200: ["Deleted", z.object({ name: z.string() })] }, [
    "webhook_not_found",
    "invalid_request",
  ]),
});

export const webhooks = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(put, async (context) => {
    const { name } = context.req.valid("param");
    const { secrets, ...definition } = context.req.valid("json");
    const fields = checkWebhook(definition);
    if (fields.length > 0) throw new ProblemError("invalid_request", firstOf(fields), { fields });
    const { tenant, log } = context.var;
    const reply = await putWebhook(queryOf(context), tenant, name, {
      definition: withDefaults(name, definition),
      secrets,
      most: MAX_WEBHOOKS,
    });
    if ("refused" in reply) return refuse(reply.refused);
    const { stored, created } = reply;
    log.info("webhook.stored", { webhook: name, is_new: created, are_secrets_new: !!secrets });
    const body = toWebhook(tenant, stored);
    return created ? context.json(body, 201) : context.json(body, 200);
  })
  .openapi(list, async (context) => {
    const { tenant } = context.var;
    const page = context.req.valid("query");
    const found = await listWebhooks(readsOf(context), tenant, page);
    const items = found.items.map((row) => toWebhook(tenant, row));
    return context.json({ ...found, items }, 200);
  })
  .openapi(read, async (context) => {
    const { name } = context.req.valid("param");
    const { tenant } = context.var;
    const row = await readWebhook(readsOf(context), tenant, name);
    return context.json(toWebhook(tenant, row ?? refuseUnknown(name)), 200);
  })
  .openapi(failures, async (context) => {
    const { name } = context.req.valid("param");
    const { tenant } = context.var;
    const reads = readsOf(context);
    const items = await listWebhookFailures(reads, tenant, name);
    if (items.length === 0 && !(await readWebhook(reads, tenant, name))) return refuseUnknown(name);
    return context.json({ items }, 200);
  })
  .openapi(remove, async (context) => {
    const { name } = context.req.valid("param");
    const { tenant, log } = context.var;
    if (!(await deleteWebhook(queryOf(context), tenant, name))) {
      return refuseUnknown(name);
    }
    log.info("webhook.deleted", { webhook: name });
    return context.json({ name }, 200);
  });

function toWebhook(
  tenant: string,
  { name, definition, secretCount, createdAt, updatedAt }: WebhookRow,
): Webhook {
  const path = `/api/v1/webhooks/${tenant}/${name}`;
  return { name, ...definition, secretCount, path, createdAt, updatedAt };
}

function refuse(why: "too_many" | "secrets"): never {
  if (why === "too_many") {
    throw new ProblemError(
      "too_many_webhooks",
      `There are ${MAX_WEBHOOKS} webhooks already. Delete one, or tell senders apart by eventKey.`,
    );
  }
  const fields = [
    {
      path: "secrets",
      message: "is missing: a webhook that is new, or of another provider, needs at least one",
    },
  ];
  throw new ProblemError("invalid_request", firstOf(fields), { fields });
}

function refuseUnknown(name: string): never {
  throw new ProblemError(
    "webhook_not_found",
    `There is no webhook "${name}". GET /api/v1/webhooks lists them.`,
  );
}
