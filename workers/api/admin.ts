/**
 * The operator's door: tenants and their API tokens. Opened by ADMIN_SECRET, not by a token.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { queryOverHttp } from "../../database/connect.ts";
import { homeDatabase } from "../../database/tenant-database.ts";
import {
  createTenant,
  createToken,
  listTenants,
  listTokens,
  revokeToken,
} from "../../database/tenants.ts";
import type { NewTenant } from "../../protocol/tenant-bodies.ts";
import { newId } from "../../protocol/ids.ts";
import type { Jurisdiction } from "../../protocol/tenant-bodies.ts";
import type { AppTypes, Environment } from "../environment.ts";
import { whyNotWithin } from "../tenant-objects.ts";
import { hashToken } from "./authenticate.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import {
  createdTokenSchema,
  namedSchema,
  newTenantSchema,
  tenantParameters,
  tenantSchema,
  tokenParameters,
  tokenSchema,
} from "./schemas.ts";

const TOKEN_PREFIX = "skein_";
const SHOWN_CHARACTERS = 12; // of a token, in lists: enough to tell tokens apart

const makeTenant = createRoute({
  method: "post",
  path: "/tenants",
  tags: ["Admin"],
  operationId: "createTenant",
  summary: "Create a tenant",
  description:
    "The jurisdiction is for good: in another its Durable Objects would be others. The hint is heard when one is created.",
  request: { body: json(newTenantSchema) },
  responses: answers({ 201: ["Created", tenantSchema] }, [...BODY_PROBLEMS, "tenant_exists"]),
});

const tenants = createRoute({
  method: "get",
  path: "/tenants",
  tags: ["Admin"],
  operationId: "listTenants",
  summary: "List tenants",
  responses: answers({ 200: ["By name", z.object({ items: z.array(tenantSchema) })] }, []),
});

const makeToken = createRoute({
  method: "post",
  path: "/tenants/{id}/tokens",
  tags: ["Admin"],
  operationId: "createToken",
  summary: "Create an API token",
  description: "The answer is the only place where the token is ever shown.",
  request: { params: tenantParameters, body: json(namedSchema) },
  responses: answers({ 201: ["Created", createdTokenSchema] }, [
    ...BODY_PROBLEMS,
    "tenant_not_found",
  ]),
});

const tokens = createRoute({
  method: "get",
  path: "/tenants/{id}/tokens",
  tags: ["Admin"],
  operationId: "listTokens",
  summary: "List a tenant's API tokens",
  request: { params: tenantParameters },
  responses: answers({ 200: ["Oldest first", z.object({ items: z.array(tokenSchema) })] }, [
    "tenant_not_found",
    "invalid_request",
  ]),
});

const revoke = createRoute({
  method: "delete",
  path: "/tenants/{id}/tokens/{token}",
  tags: ["Admin"],
  operationId: "revokeToken",
  summary: "Revoke an API token",
  description: "It stops working everywhere within half a minute.",
  request: { params: tokenParameters },
  responses: answers({ 200: ["Revoked", z.object({ id: z.string() })] }, [
    "token_not_found",
    "invalid_request",
  ]),
});

export const admin = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(makeTenant, async (context) => {
    const asked: NewTenant = context.req.valid("json");
    const { name, jurisdiction } = asked;
    if (jurisdiction !== undefined) refuseUnreachable(context.env, jurisdiction);
    const tenant = await createTenant(queryOverHttp(homeDatabase(context.env)), newId(), asked);
    if (tenant === undefined) {
      throw new ProblemError(
        "tenant_exists",
        `There is a tenant "${name}". GET /api/v1/admin/tenants lists them.`,
      );
    }
    context.var.log.info("tenant.created", { tenant_id: tenant.id });
    return context.json(tenant, 201);
  })
  .openapi(tenants, async (context) => {
    return context.json(
      { items: await listTenants(queryOverHttp(homeDatabase(context.env))) },
      200,
    );
  })
  .openapi(makeToken, async (context) => {
    const { id: tenant } = context.req.valid("param");
    const { name } = context.req.valid("json");
    const token = newToken();
    const created = await createToken(queryOverHttp(homeDatabase(context.env)), {
      id: newId(),
      tenant,
      name,
      prefix: token.slice(0, SHOWN_CHARACTERS),
      hash: await hashToken(token),
    });
    if (created === undefined) refuseUnknownTenant(tenant);
    context.var.log.info("token.created", { tenant_id: tenant, token_id: created.id });
    return context.json({ ...created, token }, 201);
  })
  .openapi(tokens, async (context) => {
    const { id } = context.req.valid("param");
    const items = await listTokens(queryOverHttp(homeDatabase(context.env)), id);
    return context.json({ items: items ?? refuseUnknownTenant(id) }, 200);
  })
  .openapi(revoke, async (context) => {
    const { id: tenant, token } = context.req.valid("param");
    if (!(await revokeToken(queryOverHttp(homeDatabase(context.env)), tenant, token))) {
      throw new ProblemError("token_not_found", `Tenant ${tenant} has no token ${token} in force.`);
    }
    context.var.log.info("token.revoked", { tenant_id: tenant, token_id: token });
    return context.json({ id: token }, 200);
  });

/** Better now than at each call of an object of the tenant's. */
function refuseUnreachable(env: Environment, jurisdiction: Jurisdiction): void {
  const reason = whyNotWithin(env, jurisdiction);
  if (reason === undefined) return;
  throw new ProblemError(
    "invalid_request",
    `There is no jurisdiction "${jurisdiction}" here: ${reason} Make the tenant without one, or on Cloudflare.`,
  );
}

function refuseUnknownTenant(id: string): never {
  throw new ProblemError(
    "tenant_not_found",
    `There is no tenant ${id}. GET /api/v1/admin/tenants lists them.`,
  );
}

/** 256 random bits, in letters and digits that survive every header, shell and URL. */
function newToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const text = btoa(String.fromCharCode(...bytes));
  return TOKEN_PREFIX + text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
