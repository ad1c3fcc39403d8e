/**
 * Exports of runs that are brought here to be looked at. They are kept apart from history: nothing of them is
 * executed, listed among runs, or counted.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { TypedResponse } from "hono";
import {
  deleteImport,
  listImports,
  putImport,
  readDocument,
  readImport,
} from "../../database/imports.ts";
import type { RunExport } from "../../protocol/history-bodies.ts";
import { newId } from "../../protocol/ids.ts";
import { MAX_EXPORT_BYTES, MAX_IMPORTS, MAX_IMPORTS_BYTES } from "../../protocol/limits.ts";
import { checksumOf } from "../definitions/canonical-json.ts";
import type { AppTypes } from "../environment.ts";
import { id as anyId, pageOf } from "./fields.ts";
import {
  createdImportSchema,
  importParameters,
  importSchema,
  importSummarySchema,
  listImportsQuery,
  runExportSchema,
} from "./history-schemas.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { queryOf, readsOf } from "./tenant-data.ts";

const create = createRoute({
  method: "post",
  path: "/imports",
  tags: ["Imports"],
  operationId: "createImport",
  summary: "Import the export of a run, to look at it",
  description: `It is never executed. The same document again is the same import. At most ${MAX_EXPORT_BYTES} bytes.`,
  request: { body: json(runExportSchema) },
  responses: answers(
    {
      200: ["It was here", createdImportSchema],
      201: ["Imported", createdImportSchema],
    },
    [...BODY_PROBLEMS, "too_many_imports"],
  ),
});

const list = createRoute({
  method: "get",
  path: "/imports",
  tags: ["Imports"],
  operationId: "listImports",
  summary: "List imports",
  request: { query: listImportsQuery },
  responses: answers({ 200: ["The last imported first", pageOf(importSummarySchema)] }, [
    "invalid_request",
  ]),
});

const read = createRoute({
  method: "get",
  path: "/imports/{id}",
  tags: ["Imports"],
  operationId: "readImport",
  summary: "Read an import",
  description: "`document.run` is the run as `GET /runs/{id}` showed it.",
  request: { params: importParameters },
  responses: answers({ 200: ["The import", importSchema] }, [
    "import_not_found",
    "invalid_request",
  ]),
});

const exportAgain = createRoute({
  method: "get",
  path: "/imports/{id}/export",
  tags: ["Imports"],
  operationId: "exportImport",
  summary: "Export an import: the document as it came",
  request: { params: importParameters },
  responses: answers({ 200: ["The document, byte for byte", runExportSchema] }, [
    "import_not_found",
    "invalid_request",
  ]),
});

const remove = createRoute({
  method: "delete",
  path: "/imports/{id}",
  tags: ["Imports"],
  operationId: "deleteImport",
  summary: "Delete an import",
  request: { params: importParameters },
  responses: answers({ 200: ["Deleted", z.object({ id: anyId })] }, [
    "import_not_found",
    "invalid_request",
  ]),
});

export const imports = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(create, async (context) => {
    const document = context.req.valid("json");
    const text = await context.req.text();
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > MAX_EXPORT_BYTES) {
      throw new ProblemError(
        "payload_too_large",
        `The document is ${bytes} bytes; at most ${MAX_EXPORT_BYTES} are taken.`,
      );
    }
    const { tenant, log } = context.var;
    const query = queryOf(context);
    const brought = { id: newId(), checksum: await checksumOf(text), text };
    const most = { imports: MAX_IMPORTS, bytes: MAX_IMPORTS_BYTES };
    const stored = await putImport(query, tenant, brought, document, most);
    if (stored === undefined) {
      throw new ProblemError(
        "too_many_imports",
        `There may be ${MAX_IMPORTS} imports, of ${MAX_IMPORTS_BYTES} bytes together. Delete some first.`,
      );
    }
    if (!stored.created) return context.json(stored, 200);
    log.info("import.created", { import: stored.id, bytes });
    return context.json(stored, 201, { location: `/api/v1/imports/${stored.id}` });
  })
  .openapi(list, async (context) => {
    const page = context.req.valid("query");
    const found = await listImports(readsOf(context), context.var.tenant, page);
    return context.json(found, 200);
  })
  .openapi(exportAgain, async (context) => {
    const { id } = context.req.valid("param");
    const text = await readDocument(readsOf(context), context.var.tenant, id);
    const headers = { "content-type": "application/json" };
    // The text itself: read and written again it might be other bytes.
    const answer = context.body(text ?? refuseUnknown(id), 200, headers);
    return answer as unknown as TypedResponse<RunExport, 200, "json">;
  })
  .openapi(read, async (context) => {
    const { id } = context.req.valid("param");
    const found = await readImport(readsOf(context), context.var.tenant, id);
    return context.json(found ?? refuseUnknown(id), 200);
  })
  .openapi(remove, async (context) => {
    const { id } = context.req.valid("param");
    const { tenant, log } = context.var;
    if (!(await deleteImport(queryOf(context), tenant, id))) return refuseUnknown(id);
    log.info("import.deleted", { import: id });
    return context.json({ id }, 200);
  });

function refuseUnknown(id: string): never {
  throw new ProblemError(
    "import_not_found",
    `There is no import ${id}. GET /api/v1/imports lists those that are.`,
  );
}
