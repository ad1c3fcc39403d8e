/**
 * Reads request bodies: JSON, of bounded size, with nothing in it that Postgres can't store. The
 * routes' zod schemas see it after that.
 */
import { createMiddleware } from "hono/factory";
import { MAX_BODY_BYTES } from "../../protocol/limits.ts";
import type { AppTypes } from "../environment.ts";
import { ProblemError } from "./problems.ts";

export const readBody = createMiddleware<AppTypes>(async (context, next) => {
  const { method } = context.req;
  if (method !== "POST" && method !== "PUT" && method !== "PATCH") return next();
  const type = context.req.header("content-type") ?? "";
  if (!/^application\/(.+\+)?json\b/i.test(type)) {
    throw new ProblemError(
      "unsupported_media_type",
      `Got "${type}". Send JSON with the header content-type: application/json.`,
    );
  }
  refuseLarge(Number(context.req.header("content-length") ?? 0));
  const text = await context.req.text();
  refuseLarge(text.length);
  context.set("bodyBytes", text.length);
  refuseNul(text);
  return next();
});

function refuseLarge(bytes: number): void {
  if (bytes <= MAX_BODY_BYTES) return;
  throw new ProblemError(
    "payload_too_large",
    `The body is ${bytes} bytes; at most ${MAX_BODY_BYTES} are taken. Send fewer in one call.`,
  );
}

/** Postgres' text and jsonb can't hold the character U+0000. */
function refuseNul(text: string): void {
  if (!text.includes("\\u0000")) return;
  const at = /(?<!\\)(?:\\\\)*\\u0000/.exec(text)?.index;
  if (at === undefined) return;
  throw new ProblemError(
    "invalid_request",
    `Character ${at} of the body is the escape \\u0000. Skein can't store that character; leave it out.`,
  );
}
