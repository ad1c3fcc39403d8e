/**
 * Which addresses the API has and which methods each allows, read from the routes themselves: a call
 * that no route answers is told whether the address or only the method is wrong.
 */
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import type { AppTypes } from "../environment.ts";
import { ProblemError } from "./problems.ts";

/** Addresses remembered as known; those with an id in them are many, and few are asked for twice. */
const MAX_KNOWN = 1_000;

export interface Address {
  /** `ALL` is middleware: it answers nothing by itself. */
  method: string;
  /** Such as `/api/v1/runs/:id`. */
  path: string;
}

/**
 * Methods that an address allows; none when there is no such address. One that has the path word for
 * word is meant before those that it would fit as an id.
 */
export function allowedMethods(addresses: readonly Address[], path: string): string[] {
  const routes = addresses.filter(({ method }) => method !== "ALL");
  const named = routes.filter((route) => route.path === path);
  const meant = named.length > 0 ? named : routes.filter((route) => fits(route.path, path));
  const methods = new Set<string>();
  for (const { method } of meant) {
    methods.add(method);
    if (method === "GET") methods.add("HEAD");
  }
  return [...methods].toSorted();
}

/**
 * Refuses what no route will answer, before anything is read from the body. A pair of method and
 * shape of address that has been found once is not looked up again.
 */
export function refuseUnknownAddress(addresses: () => readonly Address[]) {
  const known = new Set<string>();
  return createMiddleware<AppTypes>(async (context, next) => {
    const { method, path } = context.req;
    const address = `${method} ${path}`;
    if (known.has(address)) return next();
    const allowed = allowedMethods(addresses(), path);
    if (!allowed.includes(method)) throw noSuchAddress(context, allowed);
    if (known.size < MAX_KNOWN) known.add(address);
    return next();
  });
}

export function noSuchAddress({ req }: Context<AppTypes>, allowed: string[]): ProblemError {
  if (allowed.length === 0) {
    return new ProblemError(
      "not_found",
      `${req.path} is not an address of this API. GET /docs lists them.`,
    );
  }
  const allow = allowed.join(", ");
  return new ProblemError(
    "method_not_allowed",
    `${req.path} does not allow ${req.method}; it allows ${allow}.`,
    { headers: { allow } },
  );
}

function fits(pattern: string, path: string): boolean {
  const given = path.split("/");
  const expected = pattern.split("/");
  if (expected.length !== given.length) return false;
  return expected.every((part, index) =>
    part.startsWith(":") ? given[index] !== "" : part === given[index],
  );
}
