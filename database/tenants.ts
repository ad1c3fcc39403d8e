/**
 * Tenants and their API tokens. A token is kept as its SHA-256 only.
 */
import type { ApiToken, NewTenant, Tenant } from "../protocol/tenant-bodies.ts";
import type { Jurisdiction, LocationHint } from "../protocol/tenant-bodies.ts";
import type { Query } from "./connect.ts";

/** Where a tenant's Durable Objects are. */
export interface Place {
  locationHint: LocationHint | null;
  jurisdiction: Jurisdiction | null;
}

export interface TokenTenant extends Place {
  tenant: string;
  /** The token's name. */
  token: string;
}

/** Whose token this is; undefined when it is unknown or revoked. */
export async function readTokenTenant(
  query: Query,
  hash: Uint8Array,
): Promise<TokenTenant | undefined> {
  const [row] = await query(
    `select t.id as tenant, t.location_hint as "locationHint", t.jurisdiction, a.name as token
       from v1.api_token a join v1.tenant t on t.id = a.tenant_id
       where a.hash = $1 and a.revoked_at is null`,
    [hexBytes(hash)],
  );
  return row as TokenTenant | undefined;
}

export async function createTenant(
  query: Query,
  id: string,
  { name, locationHint, jurisdiction }: NewTenant,
): Promise<Tenant | undefined> {
  const [row] = await query(
    `insert into v1.tenant (id, name, location_hint, jurisdiction) values ($1, $2, $3, $4)
       on conflict (name) do nothing
       returning id, name, location_hint, jurisdiction, created_at`,
    [id, name, locationHint ?? null, jurisdiction ?? null],
  );
  return row && toTenant(row);
}

export async function listTenants(query: Query): Promise<Tenant[]> {
  const rows = await query(
    "select id, name, location_hint, jurisdiction, created_at from v1.tenant order by name",
    [],
  );
  return rows.map(toTenant);
}

/** Where these tenants are; there is nothing of one that does not exist. */
export async function readPlaces(query: Query, tenants: string[]): Promise<Map<string, Place>> {
  const rows = await query(
    "select id, location_hint, jurisdiction from v1.tenant where id = any ($1::uuid[])",
    [tenants],
  );
  return new Map(rows.map((row) => [String(row["id"]), toPlace(row)]));
}

/** Undefined when there is no such tenant. */
export async function createToken(
  query: Query,
  token: { id: string; tenant: string; name: string; prefix: string; hash: Uint8Array },
): Promise<ApiToken | undefined> {
  const [row] = await query(
    `insert into v1.api_token (id, tenant_id, name, prefix, hash)
       select $1, t.id, $3, $4, $5 from v1.tenant t where t.id = $2
       returning id, name, prefix, created_at`,
    [token.id, token.tenant, token.name, token.prefix, hexBytes(token.hash)],
  );
  return row && toToken(row);
}

/** Those in force; undefined when there is no such tenant. */
export async function listTokens(query: Query, tenant: string): Promise<ApiToken[] | undefined> {
  const rows = await query(
    `select a.id, a.name, a.prefix, a.created_at
       from v1.tenant t left join v1.api_token a on a.tenant_id = t.id and a.revoked_at is null
       where t.id = $1 order by a.id`,
    [tenant],
  );
  if (rows.length === 0) return undefined;
  return rows.filter((row) => row["id"] !== null).map(toToken);
}

/** False when there is no such token, or it has been revoked before. */
export async function revokeToken(query: Query, tenant: string, id: string): Promise<boolean> {
  const rows = await query(
    `update v1.api_token set revoked_at = now()
       where tenant_id = $1 and id = $2 and revoked_at is null returning id`,
    [tenant, id],
  );
  return rows.length > 0;
}

function toTenant(row: Record<string, unknown>): Tenant {
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    ...toPlace(row),
    createdAt: isoTime(row["created_at"]),
  };
}

function toPlace(row: Record<string, unknown>): Place {
  return {
    locationHint: row["location_hint"] as Place["locationHint"],
    jurisdiction: row["jurisdiction"] as Place["jurisdiction"],
  };
}

function toToken(row: Record<string, unknown>): ApiToken {
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    prefix: String(row["prefix"]),
    createdAt: isoTime(row["created_at"]),
  };
}

function isoTime(value: unknown): string {
  return new Date(String(value)).toISOString();
}

/** Bytes as Postgres reads them: `\x` and hex. */
function hexBytes(bytes: Uint8Array): string {
  return `\\x${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
