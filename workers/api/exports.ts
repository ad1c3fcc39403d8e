/**
 * A run as one document, to be kept elsewhere, looked at elsewhere, or held against another definition.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { measureExport, readExport } from "../../database/read-export.ts";
import { MAX_EXPORT_BYTES } from "../../protocol/limits.ts";
import type { AppTypes } from "../environment.ts";
import { exportQuery, runExportSchema } from "./history-schemas.ts";
import { answers, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { runParameters } from "./run-schemas.ts";
import { refuseUnknownRun } from "./runs.ts";
import { readsOf } from "./tenant-data.ts";

const exportRun = createRoute({
  method: "get",
  path: "/runs/{id}/export",
  tags: ["Runs"],
  operationId: "exportRun",
  summary: "Export a run as one document",
  description: `With its version's definition, its event, every attempt, output and log line. Of a finished run it is always the same. At most ${MAX_EXPORT_BYTES} bytes.`,
  request: { params: runParameters, query: exportQuery },
  responses: answers({ 200: ["The document", runExportSchema] }, [
    "run_not_found",
    "run_too_large",
    "invalid_request",
  ]),
});

export const runExports = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid }).openapi(
  exportRun,
  async (context) => {
    const { id } = context.req.valid("param");
    const withLogs = context.req.valid("query").logs === "true";
    const { tenant } = context.var;
    const reads = readsOf(context);
    const measured = (await measureExport(reads, tenant, id)) ?? refuseUnknownRun(id);
    const { bytes, logBytes } = measured;
    if (bytes + (withLogs ? logBytes : 0) > MAX_EXPORT_BYTES) refuseLarge(id, measured, withLogs);
    const document = await readExport(reads, tenant, id, { withLogs });
    return context.json(document ?? refuseUnknownRun(id), 200);
  },
);

function refuseLarge(
  id: string,
  { bytes, logBytes }: { bytes: number; logBytes: number },
  withLogs: boolean,
): never {
  const size = `The run ${id} has about ${bytes} bytes, and ${logBytes} of logs; one document has at most ${MAX_EXPORT_BYTES}.`;
  const advice =
    withLogs && bytes <= MAX_EXPORT_BYTES
      ? `Leave them out: GET /api/v1/runs/${id}/export?logs=false.`
      : `Read it in parts: GET /api/v1/runs/${id} and /runs/${id}/logs.`;
  throw new ProblemError("run_too_large", `${size} ${advice}`);
}
