/** What a client is told of a request that doesn't fit its schema. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { fieldErrors, pathText } from "../../workers/api/field-errors.ts";

function explain(schema: z.ZodType, value: unknown, where = "body") {
  const { error } = schema.safeParse(value);
  return error ? fieldErrors(error, value, where) : [];
}

const shape = z.strictObject({
  name: z.string().max(3).exactOptional(),
  count: z.int().min(1).max(9).exactOptional(),
  list: z
    .array(z.strictObject({ kind: z.enum(["a", "b"]) }))
    .max(2)
    .exactOptional(),
  labels: z.record(z.string().min(1), z.string()).exactOptional(),
});

describe("a message reads on from its path:", () => {
  test.each<[unknown, string, string]>([
    [{ name: 7 }, "name", "must be a string, not 7"],
    [{ name: [] }, "name", "must be a string, not an array"],
    [{ name: "long" }, "name", "must have at most 3 characters, and has 4"],
    [{ count: 0 }, "count", "must be at least 1, not 0"],
    [{ count: 10 }, "count", "must be at most 9, not 10"],
    [{ count: 1.5 }, "count", "must be a whole number, not 1.5"],
    [{ list: [{ kind: "a" }, {}] }, "list[1].kind", "is missing: it must be one of a, b"],
    [{ list: [{ kind: "c" }] }, "list[0].kind", 'must be one of a, b, not "c"'],
    [{ list: [1, 2, 3] }, "list", "must have at most 2 items, and has 3"],
    [
      { list: [{ kind: "a", extra: 1 }] },
      "list[0].extra",
      "is not a field of this call: GET /docs lists them",
    ],
    [
      { labels: { "": "x" } },
      "labels.",
      "is not a name to use here: it must have at least 1 characters, and has 0",
    ],
    [null, "", "must be an object, not null"],
    [undefined, "", "is missing: it must be an object"],
  ])("%j", (value, path, message) => {
    expect(explain(shape, value)[0]).toEqual({ path, message });
  });
});

test("every unknown field is told by itself", () => {
  expect(explain(shape, { one: 1, two: 2 }).map(({ path }) => path)).toEqual(["one", "two"]);
});

test("in a query they are parameters", () => {
  const [error] = explain(z.strictObject({}), { page: "2" }, "query");
  expect(error).toEqual({
    path: "page",
    message: "is not a parameter of this call: GET /docs lists them",
  });
});

test("a schema's own message stands", () => {
  const schema = z.object({ name: z.string().min(1, "must not be empty") });
  expect(explain(schema, { name: "" })).toEqual([{ path: "name", message: "must not be empty" }]);
});

test("a long wrong value is not repeated", () => {
  const [error] = explain(z.object({ count: z.number() }), { count: "x".repeat(100) });
  expect(error?.message).toBe("must be a number");
});

test("a path is written as it would be in code", () => {
  expect(pathText(["runs", 3, "metadata", "customer"])).toBe("runs[3].metadata.customer");
  expect(pathText([0, "name"])).toBe("[0].name");
  expect(pathText([])).toBe("");
});
