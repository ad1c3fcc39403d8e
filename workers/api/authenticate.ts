/**
 * Who is calling: an API token names a tenant, the admin secret names the operator. Tokens are
 * looked up by their hash; an isolate remembers one for half a minute, so a revoked token works at
 * most that much longer.
 */
import { createMiddleware } from "hono/factory";
import { queryOverHttp } from "../../database/connect.ts";
import { homeDatabase } from "../../database/tenant-database.ts";
import { readTokenTenant, type TokenTenant } from "../../database/tenants.ts";
import { SUBPROTOCOL, TOKEN_SUBPROTOCOL_PREFIX } from "../../protocol/session.ts";
import type { AppTypes, Environment } from "../environment.ts";
import { rememberPlace } from "../tenant-objects.ts";
import { ProblemError } from "./problems.ts";

const REMEMBERED_MS = 30_000;
const MAX_REMEMBERED = 10_000; // tokens an isolate remembers; beyond it the oldest go

interface Remembered {
  tenant: TokenTenant;
  until: number;
}
const remembered = new Map<string, Remembered>();

export const authenticate = createMiddleware<AppTypes>(async (context, next) => {
  const token = readToken(context.req.raw);
  if (token === undefined) {
    throw unauthenticated("Send the header Authorization: Bearer YOUR_TOKEN.");
  }
  const tenant = await tenantOf(token, context.env);
  context.set("tenant", tenant.tenant);
  context.set("token", tenant.token);
  return next();
});

export const authenticateOperator = createMiddleware<AppTypes>(async (context, next) => {
  const secret = context.env.ADMIN_SECRET;
  if (!secret) throw unauthenticated("This deployment has no ADMIN_SECRET, so nobody may enter.");
  const given = readToken(context.req.raw) ?? "";
  const [a, b] = await Promise.all([hashToken(given), hashToken(secret)]);
  if (!crypto.subtle.timingSafeEqual(a, b)) {
    throw unauthenticated("Send the header Authorization: Bearer ADMIN_SECRET.");
  }
  return next();
});

export async function hashToken(token: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token)));
}

/** The token of a request: a header, or a second WebSocket subprotocol. */
function readToken(request: Request): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  const offered = request.headers.get("sec-websocket-protocol")?.split(",") ?? [];
  const protocols = offered.map((protocol) => protocol.trim());
  if (!protocols.includes(SUBPROTOCOL)) return undefined;
  return protocols
    .find((protocol) => protocol.startsWith(TOKEN_SUBPROTOCOL_PREFIX))
    ?.slice(TOKEN_SUBPROTOCOL_PREFIX.length);
}

async function tenantOf(token: string, env: Environment): Promise<TokenTenant> {
  const now = Date.now();
  const known = remembered.get(token);
  if (known && known.until > now) return known.tenant;
  const tenant = await readTokenTenant(queryOverHttp(homeDatabase(env)), await hashToken(token));
  if (tenant === undefined) {
    remembered.delete(token);
    throw unauthenticated("The token is unknown or has been revoked.");
  }
  rememberPlace(tenant.tenant, tenant);
  remembered.delete(token);
  remembered.set(token, { tenant, until: now + REMEMBERED_MS });
  for (const oldest of remembered.keys()) {
    if (remembered.size <= MAX_REMEMBERED) break;
    remembered.delete(oldest);
  }
  return tenant;
}

function unauthenticated(detail: string): ProblemError {
  return new ProblemError("unauthenticated", detail, { headers: { "www-authenticate": "Bearer" } });
}
