/**
 * The HTTP API: who is calling, what do they want, and every error as a problem document. Routes are
 * in the files beside this one, a file a resource.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { createMiddleware } from "hono/factory";
import { newId } from "../../protocol/ids.ts";
import { createLogger } from "../../telemetry/log.ts";
import type { AppTypes } from "../environment.ts";
import { allowedMethods, noSuchAddress, refuseUnknownAddress } from "./addresses.ts";
import { admin } from "./admin.ts";
import { authenticate, authenticateOperator } from "./authenticate.ts";
import { readBody } from "./body.ts";
import { cancellations } from "./cancellations.ts";
import { deliveries } from "./deliveries.ts";
import { docsPage } from "./docs.ts";
import { events } from "./events.ts";
import { runExports } from "./exports.ts";
import { filters } from "./filters.ts";
import { imports } from "./imports.ts";
import { limits } from "./limits.ts";
import { messages } from "./messages.ts";
import { notifications } from "./notifications.ts";
import { answerProblem, problemResponse } from "./problems.ts";
import { replayCheck } from "./replay-check.ts";
import { replays } from "./replays.ts";
import { retention } from "./retention.ts";
import { tenantShards } from "./tenant-shards.ts";
import { runs } from "./runs.ts";
import { schedules } from "./schedules.ts";
import { shards } from "./shards.ts";
import { tasks } from "./tasks.ts";
import { versions } from "./versions.ts";
import { webhooks } from "./webhooks.ts";
import { workers } from "./workers.ts";
import { workflows } from "./workflows.ts";

/** Gives the request an id and its logger, and logs how it went. */
const follow = createMiddleware<AppTypes>(async (context, next) => {
  const began = Date.now();
  const requestId = context.req.header("x-request-id")?.slice(0, 100) ?? newId();
  const log = createLogger({ request_id: requestId }, context.env.LOG_LEVEL);
  context.set("requestId", requestId);
  context.set("log", log);
  await next();
  if (context.res.status === 101) return; // an upgraded response is not ours to touch
  context.res.headers.set("x-request-id", requestId);
  log.info("request.answered", {
    ...(context.var.tenant && { tenant_id: context.var.tenant }),
    method: context.req.method,
    path: context.req.path,
    status: context.res.status,
    duration_ms: Date.now() - began,
  });
});

const app = new OpenAPIHono<AppTypes>();

app.use(follow);
app.onError(answerProblem);
app.notFound((context) =>
  problemResponse(
    noSuchAddress(context, allowedMethods(app.routes, context.req.path)),
    context.var.requestId,
  ),
);

app.get("/health", (context) => context.json({ status: "ok" }));
app.doc31("/openapi.json", {
  openapi: "3.1.0",
  info: {
    title: "Skein",
    version: "1",
    description:
      "Durable DAG workflows at the edge. Times are ISO 8601 in UTC, ids are UUIDs, version 7.",
  },
  security: [{ token: [] }],
});
app.openAPIRegistry.registerComponent("securitySchemes", "token", {
  type: "http",
  scheme: "bearer",
  description: "An API token; for Admin, the deployment's ADMIN_SECRET.",
});
app.get("/docs", (context) =>
  context.html(
    docsPage(
      app.getOpenAPI31Document({ openapi: "3.1.0", info: { title: "Skein", version: "1" } }),
    ),
  ),
);

const refuseUnknown = refuseUnknownAddress(() => app.routes);
app.use("/api/v1/admin/*", authenticateOperator, refuseUnknown, readBody);
app.route("/api/v1/admin", admin);
app.route("/api/v1", deliveries); // before what asks for a token: senders have none
app.use("/api/v1/*", async (context, next) => {
  if (context.req.path.startsWith("/api/v1/admin/")) return next();
  return authenticate(context, next);
});
app.use("/api/v1/*", refuseUnknown, readBody);
const resources = [
  workflows,
  versions,
  filters,
  limits,
  notifications,
  schedules,
  runs,
  tasks,
  cancellations,
  replays,
  replayCheck,
  runExports,
  imports,
  retention,
  tenantShards,
  events,
  messages,
  webhooks,
  shards,
  workers,
];
for (const resource of resources) app.route("/api/v1", resource);

export { app };
