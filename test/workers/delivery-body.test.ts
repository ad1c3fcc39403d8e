/** What a delivery's body is read as: JSON, a form, or nothing that can be. */
import { expect, test } from "vitest";
import type { Json } from "../../protocol/json.ts";
import type { WebhookProvider } from "../../protocol/webhook-bodies.ts";
import { parseBody } from "../../workers/webhooks/delivery-body.ts";
import { encode } from "../../workers/webhooks/signatures.ts";
import { FORM_TYPE } from "../support/signed-deliveries.ts";

function parse(text: string, headers = {}, provider: WebhookProvider = "github"): Json {
  return parseBody({ headers: new Headers(headers), body: encode(text) }, provider);
}

test.each([
  ["{}", {}],
  ['{"text": "Grüße \\ud83e\\udd86"}', { text: "Grüße 🦆" }],
  ["[1]", [1]],
  ["null", null],
  ['"text"', "text"],
  ["\ufeff{}", {}],
])("%j is JSON, whatever it is called", (text, body) => {
  for (const type of ["application/json", "text/plain; charset=utf-8", "application/x-other"]) {
    expect(parse(text, { "content-type": type })).toEqual(body);
  }
  expect(parse(text)).toEqual(body);
});

test.each([
  ["a=1&b=two+words&c=%C3%BC", { a: "1", b: "two words", c: "ü" }],
  ["a=1&a=2&a=3&b=", { a: ["1", "2", "3"], b: "" }],
  ["", {}],
  ["__proto__=1", JSON.parse('{"__proto__": "1"}')],
  ["payload=%7B%22type%22%3A7%7D", { type: 7 }],
  ["payload=%7B%7D&other=1", { payload: "{}", other: "1" }],
])("%j is a form", (text, body) => {
  expect(
    parse(text, { "content-type": "application/X-www-form-urlencoded;charset=UTF-8" }),
  ).toEqual(body);
});

test("JSON is looked for in the forms of those only that send it there", () => {
  expect(parse("payload=hello", FORM_TYPE, "hmac")).toEqual({ payload: "hello" });
  expect(parse("payload=7", FORM_TYPE, "slack")).toEqual(7);
  expect(() => parse("payload=hello", FORM_TYPE, "slack")).toThrow(/not valid JSON/);
});
