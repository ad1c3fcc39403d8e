/**
 * Reads request bodies: JSON, of bounded size and depth, with nothing in it that Postgres can't
 * store. The routes' zod schemas see it after that.
 */
import { createMiddleware } from "hono/factory";
import { MAX_BODY_BYTES } from "../../protocol/limits.ts";
import type { AppTypes } from "../environment.ts";
import { ProblemError } from "./problems.ts";
import { depthOf, MAX_JSON_DEPTH, unstorableIn } from "./storable.ts";

/** What the routes' validators take as JSON, so that none of them refuses what has passed here. */
const JSON_TYPE = /^application\/(?:[a-z.-]+\+)?json(?:;\s*[a-z\d-]+=[^;]+)*$/i;
const BYTES_A_CHARACTER = 3; // at most, in UTF-8, of one UTF-16 code unit

export const readBody = createMiddleware<AppTypes>(async (context, next) => {
  const { method } = context.req;
  if (method !== "POST" && method !== "PUT" && method !== "PATCH") return next();
  const type = context.req.header("content-type");
  if (type && !JSON_TYPE.test(type)) refuseType(`Got "${type}"`);
  refuseLarge(Number(context.req.header("content-length") ?? 0));
  const text = await context.req.text();
  if (!type && text !== "") refuseType("The request has no content-type");
  if (text.length * BYTES_A_CHARACTER > MAX_BODY_BYTES) {
    refuseLarge(new TextEncoder().encode(text).length);
  }
  context.set("bodyBytes", text.length);
  refuseUnstorable(text);
  return next();
});

function refuseType(what: string): never {
  throw new ProblemError(
    "unsupported_media_type",
    `${what}. Send JSON with the header content-type: application/json.`,
  );
}

function refuseLarge(bytes: number): void {
  if (bytes <= MAX_BODY_BYTES) return;
  throw new ProblemError(
    "payload_too_large",
    `The body is ${bytes} bytes; at most ${MAX_BODY_BYTES} are taken. Send fewer in one call.`,
  );
}

function refuseUnstorable(text: string): void {
  const found = unstorableIn(text);
  if (found !== undefined) {
    throw new ProblemError(
      "invalid_request",
      `Character ${found.at} of the body begins the escape ${found.escape}, ${found.why}. Skein can't store it; leave it out.`,
    );
  }
  const depth = depthOf(text);
  if (depth > MAX_JSON_DEPTH) {
    throw new ProblemError(
      "invalid_request",
      `The body is nested ${depth} deep; at most ${MAX_JSON_DEPTH} are taken. Make it flatter.`,
    );
  }
}
