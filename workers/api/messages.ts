/**
 * Messages: how deep their queues are, and what is done about those that died.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { deleteMessages, resendMessages } from "../../database/messages.ts";
import {
  listDeadMessages,
  readDeadMessage,
  readQueueStates,
} from "../../database/read-messages.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { messageQueueOf } from "../../messages/choice.ts";
import type { AppTypes } from "../environment.ts";
import { announceSent } from "../messages/announce.ts";
import { pageOf } from "./fields.ts";
import {
  changedMessagesSchema,
  deadMessageSchema,
  deadMessageWithBodySchema,
  listDeadMessagesQuery,
  messageIdsSchema,
  messageParameters,
  queueStateSchema,
} from "./message-schemas.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { queryOf, readsOf } from "./tenant-data.ts";

const listQueues = createRoute({
  method: "get",
  path: "/queues",
  tags: ["Messages"],
  operationId: "listQueues",
  summary: "Tell how many messages wait, and for how long",
  responses: answers(
    { 200: ["Every queue, also the dead", z.object({ items: z.array(queueStateSchema) })] },
    [],
  ),
});

const list = createRoute({
  method: "get",
  path: "/messages/dead",
  tags: ["Messages"],
  operationId: "listDeadMessages",
  summary: "List messages that were refused for good",
  description: "In the order in which they were sent.",
  request: { query: listDeadMessagesQuery },
  responses: answers({ 200: ["Without their bodies", pageOf(deadMessageSchema)] }, [
    "invalid_request",
  ]),
});

const read = createRoute({
  method: "get",
  path: "/messages/dead/{id}",
  tags: ["Messages"],
  operationId: "readDeadMessage",
  summary: "Read a dead message",
  request: { params: messageParameters },
  responses: answers({ 200: ["With its body", deadMessageWithBodySchema] }, [
    "message_not_found",
    "invalid_request",
  ]),
});

const resend = createRoute({
  method: "post",
  path: "/messages/dead/{id}/resend",
  tags: ["Messages"],
  operationId: "resendDeadMessage",
  summary: "Send a dead message again",
  description: "As if for the first time. Do it once what it was refused for is mended.",
  request: { params: messageParameters },
  responses: answers({ 200: ["Sent again", changedMessagesSchema] }, [
    "message_not_found",
    "invalid_request",
  ]),
});

const resendMany = createRoute({
  method: "post",
  path: "/messages/dead/resend",
  tags: ["Messages"],
  operationId: "resendDeadMessages",
  summary: "Send up to 1,000 dead messages again",
  description: "Those of the ids that are dead; the others are passed over.",
  request: { body: json(messageIdsSchema) },
  responses: answers({ 200: ["Sent again", changedMessagesSchema] }, [...BODY_PROBLEMS]),
});

const remove = createRoute({
  method: "delete",
  path: "/messages/dead/{id}",
  tags: ["Messages"],
  operationId: "deleteDeadMessage",
  summary: "Delete a dead message",
  description: "What it was to do will not happen. An event's idempotency key is free again.",
  request: { params: messageParameters },
  responses: answers({ 200: ["Deleted", changedMessagesSchema] }, [
    "message_not_found",
    "invalid_request",
  ]),
});

const removeMany = createRoute({
  method: "post",
  path: "/messages/dead/delete",
  tags: ["Messages"],
  operationId: "deleteDeadMessages",
  summary: "Delete up to 1,000 dead messages",
  description: "Those of the ids that are dead; the others are passed over.",
  request: { body: json(messageIdsSchema) },
  responses: answers({ 200: ["Deleted", changedMessagesSchema] }, [...BODY_PROBLEMS]),
});

export const messages = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(listQueues, async (context) => {
    const reads = readsOf(context);
    const items = await readQueueStates(reads, context.var.tenant, Date.now());
    return context.json({ items }, 200);
  })
  .openapi(list, async (context) => {
    const page = context.req.valid("query");
    const found = await listDeadMessages(readsOf(context), context.var.tenant, page);
    return context.json(found, 200);
  })
  .openapi(resendMany, async (context) => {
    const { ids } = context.req.valid("json");
    return context.json({ ids: await resendAll(context, ids) }, 200);
  })
  .openapi(removeMany, async (context) => {
    const { ids } = context.req.valid("json");
    return context.json({ ids: await deleteAll(context, ids) }, 200);
  })
  .openapi(read, async (context) => {
    const { id } = context.req.valid("param");
    const found = await readDeadMessage(readsOf(context), context.var.tenant, id);
    return found === undefined ? refuseUnknown(id) : context.json(found, 200);
  })
  .openapi(resend, async (context) => {
    const { id } = context.req.valid("param");
    const ids = await resendAll(context, [id]);
    return ids.length === 0 ? refuseUnknown(id) : context.json({ ids }, 200);
  })
  .openapi(remove, async (context) => {
    const { id } = context.req.valid("param");
    const ids = await deleteAll(context, [id]);
    return ids.length === 0 ? refuseUnknown(id) : context.json({ ids }, 200);
  });

async function resendAll(context: Context<AppTypes>, ids: string[]): Promise<string[]> {
  const { env, var: own } = context;
  const queue = messageQueueOf(env, databaseOf(env, own.tenant));
  const again = await resendMessages(queryOf(context), own.tenant, ids, queue.broker);
  await announceSent(queue, own.log, again.sent);
  own.log.info("messages.sent_again", { count: again.ids.length });
  return again.ids;
}

async function deleteAll(context: Context<AppTypes>, ids: string[]): Promise<string[]> {
  const { var: own } = context;
  const deleted = await deleteMessages(queryOf(context), own.tenant, ids);
  own.log.info("messages.deleted", { count: deleted.length });
  return deleted;
}

function refuseUnknown(id: string): never {
  throw new ProblemError(
    "message_not_found",
    `There is no dead message ${id}. GET /api/v1/messages/dead lists those there are.`,
  );
}
