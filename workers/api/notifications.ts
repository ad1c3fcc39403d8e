/**
 * Notifications: who is told of runs that have ended. They are delivered by runs of a workflow of Skein's own.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { queryOverHttp } from "../../database/connect.ts";
import { registerWorkflow } from "../../database/functions.ts";
import {
  deleteNotification,
  listNotifications,
  putNotification,
  showNotification,
} from "../../database/notifications.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { newId } from "../../protocol/ids.ts";
import { MAX_NOTIFICATIONS } from "../../protocol/limits.ts";
import { checksumOf } from "../definitions/canonical-json.ts";
import { rowsOf } from "../definitions/registration.ts";
import type { AppTypes } from "../environment.ts";
import { NOTIFY_DEFINITION } from "../notifications/definition.ts";
import { makeSecret } from "../notifications/sign.ts";
import { nameParameters, pageOf } from "./fields.ts";
import {
  listNotificationsQuery,
  notificationSchema,
  putNotificationSchema,
  storedNotificationSchema,
} from "./notification-schemas.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { queryOf, readsOf } from "./tenant-data.ts";

const tags = ["Notifications"];

const put = createRoute({
  method: "put",
  path: "/notifications/{name}",
  tags,
  operationId: "putNotification",
  summary: "Have an endpoint told of runs that end, or change what it is told",
  description:
    "By POST, signed as Standard Webhooks has it, and tried again for two days. Each is a run of the workflow `skein.notify`, with its attempts. A new notification's secret is in this answer, and never again.",
  request: { params: nameParameters, body: json(putNotificationSchema) },
  responses: answers(
    {
      200: ["Changed, or as it was", storedNotificationSchema],
      201: ["Stored", storedNotificationSchema],
    },
    [...BODY_PROBLEMS, "too_many_notifications"],
  ),
});

const list = createRoute({
  method: "get",
  path: "/notifications",
  tags,
  operationId: "listNotifications",
  summary: "List notifications",
  request: { query: listNotificationsQuery },
  responses: answers({ 200: ["By name", pageOf(notificationSchema)] }, ["invalid_request"]),
});

const read = createRoute({
  method: "get",
  path: "/notifications/{name}",
  tags,
  operationId: "readNotification",
  summary: "Read a notification",
  description: "Its secrets are never shown.",
  request: { params: nameParameters },
  responses: answers({ 200: ["The notification", notificationSchema] }, [
    "notification_not_found",
    "invalid_request",
  ]),
});

const remove = createRoute({
  method: "delete",
  path: "/notifications/{name}",
  tags,
  operationId: "deleteNotification",
  summary: "Delete a notification",
  description: "What has not been delivered to it fails.",
  request: { params: nameParameters },
  responses: answers({ 200: ["Deleted", z.object({ name: z.string() })] }, [
    "notification_not_found",
    "invalid_request",
  ]),
});

export const notifications = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(put, async (context) => {
    const { name } = context.req.valid("param");
    const { url, on: states = ["failed"], workflows, secrets } = context.req.valid("json");
    const { tenant, log } = context.var;
    await registerDelivery(context.env, tenant);
    const made = makeSecret();
    const stored = await putNotification(
      queryOf(context),
      tenant,
      name,
      { url, states, workflows, secrets, made },
      MAX_NOTIFICATIONS,
    );
    if (stored === undefined) {
      throw new ProblemError(
        "too_many_notifications",
        `There are ${MAX_NOTIFICATIONS} notifications already. Delete one, or tell one endpoint of several workflows.`,
      );
    }
    const { created, ...shown } = stored;
    log.info("notification.stored", { notification: name, is_new: created });
    if (!created) return context.json(shown, 200);
    return context.json({ ...shown, ...(secrets === undefined && { secret: made }) }, 201);
  })
  .openapi(list, async (context) => {
    const page = context.req.valid("query");
    const found = await listNotifications(readsOf(context), context.var.tenant, page);
    return context.json(found, 200);
  })
  .openapi(read, async (context) => {
    const { name } = context.req.valid("param");
    const found = await showNotification(readsOf(context), context.var.tenant, name);
    return context.json(found ?? refuseUnknown(name), 200);
  })
  .openapi(remove, async (context) => {
    const { name } = context.req.valid("param");
    const { tenant, log } = context.var;
    if (!(await deleteNotification(queryOf(context), tenant, name))) refuseUnknown(name);
    log.info("notification.deleted", { notification: name });
    return context.json({ name }, 200);
  });

/** The workflow whose runs deliver: in each tenant that has notifications, as this version of Skein has it. */
async function registerDelivery(env: AppTypes["Bindings"], tenant: string): Promise<void> {
  await registerWorkflow(queryOverHttp(databaseOf(env, tenant)), {
    tenant,
    workflow: newId(),
    version: newId(),
    name: NOTIFY_DEFINITION.name,
    checksum: await checksumOf(NOTIFY_DEFINITION),
    definition: NOTIFY_DEFINITION,
    ...rowsOf(NOTIFY_DEFINITION),
    activate: "always",
    change: newId(),
    actor: null,
  });
}

function refuseUnknown(name: string): never {
  throw new ProblemError(
    "notification_not_found",
    `There is no notification "${name}". GET /api/v1/notifications lists those that are stored.`,
  );
}
