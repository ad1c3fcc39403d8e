/**
 * What every test of the API asks of an answer: that it is exactly what its schema says, that a
 * problem is one the OpenAPI document promises, and that a refused call left no trace.
 */
import { exports } from "cloudflare:workers";
import type { z } from "zod";
import { expect } from "vitest";
import { PROBLEMS, type Problem, type ProblemCode } from "../../protocol/errors.ts";
import { problemSchema } from "../../workers/api/schemas.ts";
import type { Answer, World } from "../support/world.ts";

export const OPERATOR = { authorization: "Bearer operator-secret" };
const ADDRESS = "http://skein.test";

export interface Operation {
  operationId?: string;
  summary?: string;
  tags?: string[];
  parameters?: { name: string; in: string; required?: boolean }[];
  requestBody?: unknown;
  /** Empty: without a token. */
  security?: unknown[];
  responses: Record<string, { description: string; content?: Record<string, unknown> }>;
}

export interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown> };
}

export interface Asked<Body = unknown> extends Answer<Body> {
  method: string;
  path: string;
}

/** Calls the API as a world's tenant and remembers what was called. */
export async function ask<Body = unknown>(
  world: World,
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
): Promise<Asked<Body>> {
  return { ...(await world.call<Body>(method, path, body, headers)), method, path };
}

/** A page outside /api/v1. */
export async function fetchPage(path: string, init?: RequestInit): Promise<Response> {
  return await exports.default.fetch(`${ADDRESS}${path}`, init);
}

let document: OpenApi | undefined;

export async function readOpenApi(): Promise<OpenApi> {
  document ??= (await (await fetchPage("/openapi.json")).json()) as OpenApi;
  return document;
}

/** Every operation of the API, in the document's order. */
export async function listOperations(): Promise<
  { method: string; path: string; operation: Operation }[]
> {
  const { paths } = await readOpenApi();
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replace("/api/v1", ""),
      operation,
    })),
  );
}

/** The answer has this status and is of this schema, with no field more. */
export function expectAnswer<Schema extends z.ZodType>(
  { status, body }: Answer,
  expected: number,
  schema: Schema,
): z.output<Schema> {
  expect(status, JSON.stringify(body)).toBe(expected);
  const parsed = schema.parse(body);
  expect(body).toEqual(parsed);
  return parsed;
}

/** The answer is this problem, in full, as the OpenAPI document promises it. */
export async function expectProblem(
  asked: Asked,
  code: ProblemCode,
  detail: RegExp,
): Promise<Problem> {
  const { status, title } = PROBLEMS[code];
  const problem = expectAnswer(asked, status, problemSchema);
  expect(problem).toMatchObject({ code, title, status, type: `urn:skein:problem:${code}` });
  expect(problem.detail).toMatch(detail);
  expect(problem.detail, "a sentence").toMatch(/^[A-Z/].*[.]$/s);
  expect(asked.headers.get("content-type")).toBe("application/problem+json");
  expect(problem.requestId).toBe(asked.headers.get("x-request-id"));
  const operation = await operationOf(asked.method, asked.path);
  if (operation) expect(operation.responses[status]?.description).toContain(`\`${code}\``);
  return problem as Problem;
}

async function operationOf(method: string, path: string): Promise<Operation | undefined> {
  return (await operationsAt(path)).find((each) => each.method === method)?.operation;
}

/** What an address is of: what has it word for word, else all that it fits. */
export async function operationsAt(
  path: string,
): Promise<{ method: string; operation: Operation }[]> {
  const given = path.split("?", 1)[0]?.split("/") ?? [];
  const operations = await listOperations();
  const fits = (pattern: string): boolean => {
    const parts = pattern.split("/");
    return (
      parts.length === given.length &&
      parts.every((part, index) =>
        part.startsWith("{") ? given[index] !== "" : part === given[index],
      )
    );
  };
  const named = operations.filter((each) => each.path === given.join("/"));
  return named.length > 0 ? named : operations.filter((each) => fits(each.path));
}

/** Everything of a tenant that a call could have changed, as one text. */
export async function readTraces(world: World): Promise<string> {
  const [row] = await world.sql(
    `select (select jsonb_agg(t order by t.id) from v1.tenant t where t.id = $1) as tenants,
       (select jsonb_agg(a order by a.id) from v1.api_token a where a.tenant_id = $1) as tokens,
       (select jsonb_agg(w order by w.id) from v1.workflow w where w.tenant_id = $1) as workflows,
       (select count(*) from v1.workflow_version v join v1.workflow w on w.id = v.workflow_id
          where w.tenant_id = $1) as versions,
       (select jsonb_agg(c order by c.id) from v1.workflow_change c join v1.workflow w on w.id = c.workflow_id
          where w.tenant_id = $1) as changes,
       (select jsonb_agg(p) from v1.promotion p where p.tenant_id = $1) as promotions,
       (select jsonb_agg(r order by r.id) from v1.workflow_run r where r.tenant_id = $1) as runs,
       (select count(*) from v1.event e where e.tenant_id = $1) as events,
       (select count(*) from v1.idempotency i where i.tenant_id = $1) as keys,
       (select jsonb_agg(t order by t.id) from v1.timer t where t.tenant_id = $1) as timers,
       (select count(*) from v1.queue_item q where q.tenant_id = $1) as queued,
       (select jsonb_agg(m order by m.id) from v1.message m where m.tenant_id = $1) as messages,
       (select jsonb_agg(l order by l.name) from v1."limit" l where l.tenant_id = $1) as limits,
       (select jsonb_agg(f order by f.id) from v1.filter f where f.tenant_id = $1) as filters,
       (select jsonb_agg(n order by n.name) from v1.notification n where n.tenant_id = $1) as notifications,
       (select jsonb_agg(w order by w.name) from v1.webhook w where w.tenant_id = $1) as webhooks`,
    [world.tenant],
  );
  return JSON.stringify(row);
}

/** Runs what must be refused, and checks that the tenant is as it was. */
export async function expectNoTrace(world: World, call: () => Promise<void>): Promise<void> {
  const before = await readTraces(world);
  await call();
  expect(await readTraces(world)).toBe(before);
}
