/** The OpenAPI document is whole and true to the routes; /docs shows all of it. */
import { describe, expect, test } from "vitest";
import { PROBLEMS } from "../../protocol/errors.ts";
import { app } from "../../workers/api/app.ts";
import { fetchPage, listOperations, readOpenApi } from "./answers.ts";

/** Every `$ref` anywhere in a document. */
function refsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(refsIn);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) =>
    key === "$ref" ? [String(member)] : refsIn(member),
  );
}

function resolve(document: object, ref: string): unknown {
  let found: unknown = document;
  for (const part of ref.replace(/^#\//, "").split("/")) {
    found = (found as Record<string, unknown> | undefined)?.[part];
  }
  return found;
}

describe("the OpenAPI document", () => {
  test("is of version 3.1 and served as JSON", async () => {
    const response = await fetchPage("/openapi.json");
    expect(response.headers.get("content-type")).toContain("application/json");
    expect(await response.json()).toMatchObject({
      openapi: expect.stringMatching(/^3\.1\./),
      info: { title: "Skein", version: expect.any(String) },
      security: [{ token: [] }],
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    });
  });

  test("has only references that resolve, and no schema that nobody refers to", async () => {
    const document = await readOpenApi();
    const refs = new Set(refsIn(document));
    expect(refs.size).toBeGreaterThan(10);
    for (const ref of refs) expect(resolve(document, ref), ref).toBeTypeOf("object");
    for (const name of Object.keys(document.components.schemas)) {
      expect([...refs], name).toContain(`#/components/schemas/${name}`);
    }
  });

  test("has every route of the API, and no other", async () => {
    const documented = (await listOperations()).map(
      ({ method, path }) => `${method} /api/v1${path}`,
    );
    const routed = app.routes
      .filter(({ method, path }) => method !== "ALL" && path.startsWith("/api/v1"))
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
    expect(documented.toSorted()).toEqual([...new Set(routed)].toSorted());
  });

  test("gives every operation an id of its own, a summary and a tag", async () => {
    const operations = await listOperations();
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(operations.length);
    for (const { operation } of operations) {
      expect(operation.operationId).toMatch(/^[a-z][A-Za-z]+$/);
      expect(operation.summary).toMatch(/^[A-Z].*[^.]$/);
      expect(operation.tags).toHaveLength(1);
    }
  });

  test("declares every parameter of an address", async () => {
    for (const { path, operation } of await listOperations()) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
      expect(declared.map(({ name }) => name)).toEqual(inPath);
      for (const { required } of declared) expect(required).toBe(true);
    }
  });

  test("tells the problems of every operation, with the status each comes with", async () => {
    for (const { path, operation } of await listOperations()) {
      const codes: string[] = [];
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        if (Number(status) < 400) continue;
        expect(Object.keys(content ?? {})).toEqual(["application/problem+json"]);
        for (const [, code = ""] of description.matchAll(/`(\w+)`/g)) {
          expect(PROBLEMS[code as keyof typeof PROBLEMS]?.status, `${path} ${code}`).toBe(
            Number(status),
          );
          codes.push(code);
        }
      }
      const ofBody = [
        "malformed_json",
        "unsupported_media_type",
        "payload_too_large",
        "invalid_request",
      ];
      expect(codes).toEqual(
        expect.arrayContaining([
          operation.security?.length === 0 ? "delivery_not_verified" : "unauthenticated",
          "database_unavailable",
          "internal_error",
          ...(operation.requestBody ? ofBody : []),
        ]),
      );
    }
  });
});

describe("/docs", () => {
  test("shows every operation with its summary, parameters and answers", async () => {
    const page = await (await fetchPage("/docs")).text();
    for (const { method, path, operation } of await listOperations()) {
      const article = page
        .split("<article")
        .find((part) => part.includes(`id="${operation.operationId}"`));
      expect(article, operation.operationId).toBeDefined();
      expect(article).toContain(method);
      expect(article).toContain(`<code>/api/v1${path}</code>`);
      expect(article).toContain(operation.summary?.replaceAll("'", "&#39;"));
      for (const { name } of operation.parameters ?? [])
        expect(article).toContain(`<code>${name}</code>`);
      for (const status of Object.keys(operation.responses))
        expect(article).toContain(`<code>${status}</code>`);
    }
  });

  test("shows every schema with its fields, also those it extends, and every link leads somewhere", async () => {
    const page = await (await fetchPage("/docs")).text();
    const { components } = await readOpenApi();
    for (const name of Object.keys(components.schemas))
      expect(page).toContain(`id="schema-${name}"`);
    const run = page.split('id="schema-Run"')[1]?.split("</article>")[0];
    for (const field of ["id", "state", "createdAt", "input", "tasks"]) {
      expect(run).toContain(`<code>${field}</code>`);
    }
    for (const [, target] of page.matchAll(/href="#([^"]+)"/g))
      expect(page).toContain(`id="${target}"`);
    expect(page).not.toMatch(/undefined|\[object/);
  });
});
