/** Addresses and methods the API doesn't have, and the id by which a request is followed. */
import { beforeAll, expect, test } from "vitest";
import { createWorld, type World } from "../support/world.ts";
import {
  ask,
  expectNoTrace,
  expectProblem,
  fetchPage,
  listOperations,
  operationsAt,
  OPERATOR,
} from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

test.each([
  ["GET", "/nothing"],
  ["POST", "/nothing"],
  ["GET", "/runs/"],
  ["GET", "/runs//logs"],
  ["GET", "/runs/a/b/c"],
  ["GET", "/Runs"],
  ["GET", ""],
])("%s /api/v1%s is no address of the API", async (method, path) => {
  const asked = await ask(world, method, path);
  await expectProblem(asked, "not_found", /is not an address of this API. GET \/docs lists them/);
});

test("an address of the operator's that does not exist is not found", async () => {
  const asked = await ask(world, "POST", "/admin/nothing", {}, OPERATOR);
  await expectProblem(asked, "not_found", /\/api\/v1\/admin\/nothing is not an address/);
});

test("every address refuses the methods it lacks, and names those it has", async () => {
  await expectNoTrace(world, async () => {
    const operations = await listOperations();
    for (const path of new Set(operations.map((each) => each.path))) {
      const filled = path.replace("{number}", "0").replaceAll(/\{\w+\}/g, "x");
      const headers = path.startsWith("/admin") ? OPERATOR : {};
      const allowed = (await operationsAt(filled)).map(({ method }) => method);
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        if (allowed.includes(method)) continue;
        const asked = await ask(world, method, filled, undefined, headers);
        await expectProblem(
          asked,
          "method_not_allowed",
          RegExp(`does not allow ${method}; it allows `),
        );
        const allow = asked.headers.get("allow")?.split(", ");
        expect(allow?.filter((each) => each !== "HEAD")).toEqual(
          allowed.filter((each) => each !== "HEAD").toSorted(),
        );
      }
    }
  });
});

test("pages outside the API refuse what they lack as well", async () => {
  for (const path of ["/health", "/docs", "/openapi.json"]) {
    const response = await fetchPage(path, { method: "POST" });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    await response.body?.cancel();
  }
  const response = await fetchPage("/");
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ code: "not_found" });
});

test("health is told without a token", async () => {
  const response = await fetchPage("/health");
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ status: "ok" });
});

test("HEAD answers what GET does, without its body", async () => {
  const response = await fetchPage("/api/v1/runs", {
    method: "HEAD",
    headers: { authorization: `Bearer ${world.token}` },
  });
  expect(response.status).toBe(200);
  expect(await response.text()).toBe("");
});

test("a request's id is given back, in the header and in a problem", async () => {
  const headers = { "x-request-id": "order-7" };
  expect((await ask(world, "GET", "/runs", undefined, headers)).headers.get("x-request-id")).toBe(
    "order-7",
  );
  const problem = await ask(world, "GET", "/nothing", undefined, headers);
  expect(problem.headers.get("x-request-id")).toBe("order-7");
  expect(problem.body).toMatchObject({ requestId: "order-7" });
});

test("a request without an id is given one, and a long one is cut", async () => {
  const { headers } = await ask(world, "GET", "/runs");
  expect(headers.get("x-request-id")).toMatch(/^[\da-f-]{36}$/);
  const long = await ask(world, "GET", "/runs", undefined, { "x-request-id": "x".repeat(500) });
  expect(long.headers.get("x-request-id")).toBe("x".repeat(100));
});
