/** Which methods an address allows. */
import { expect, test } from "vitest";
import { allowedMethods } from "../../workers/api/addresses.ts";

const ADDRESSES = [
  { method: "ALL", path: "/*" },
  { method: "ALL", path: "/runs/:id" },
  { method: "GET", path: "/runs" },
  { method: "POST", path: "/runs" },
  { method: "POST", path: "/runs/bulk" },
  { method: "GET", path: "/runs/:id" },
  { method: "DELETE", path: "/runs/:id/logs/:line" },
];

test.each([
  ["/runs", ["GET", "HEAD", "POST"]],
  ["/runs/7", ["GET", "HEAD"]],
  ["/runs/bulk", ["POST"]],
  ["/runs/7/logs/1", ["DELETE"]],
  ["/runs/", []],
  ["/runs/7/logs/", []],
  ["/runs/7/logs", []],
  ["/", []],
  ["", []],
])("%s allows %j", (path, methods) => {
  expect(allowedMethods(ADDRESSES, path)).toEqual(methods);
});
