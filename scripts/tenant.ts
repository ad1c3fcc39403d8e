/**
 * `npm run tenant`: makes tenants and API tokens through the admin endpoints of a running Skein.
 */
import { parseArgs } from "node:util";
import type { Problem } from "../protocol/errors.ts";
import {
  type ApiToken,
  type CreatedApiToken,
  JURISDICTIONS,
  LOCATION_HINTS,
  type Tenant,
} from "../protocol/tenant-bodies.ts";

const HELP = `Usage: SKEIN_URL=https://… ADMIN_SECRET=… npm run tenant -- COMMAND

  create NAME [--location-hint HINT] [--jurisdiction JURISDICTION]
                         make a tenant and a first token for it. Its Durable Objects are made
                         near the hint (${LOCATION_HINTS.join(", ")})
                         and stay within the jurisdiction, which can never be changed
                         (${JURISDICTIONS.join(", ")})
  list                   list tenants
  token TENANT NAME      make another token; TENANT is a tenant's name
  tokens TENANT          list a tenant's tokens
  revoke TENANT TOKEN    revoke a token by its id

A token is shown once, when it is made.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean", short: "h" },
    "location-hint": { type: "string" },
    jurisdiction: { type: "string" },
  },
});
const [command, first, second] = positionals;
const url = process.env["SKEIN_URL"];
const secret = process.env["ADMIN_SECRET"];

if (values.help) {
  console.log(HELP);
  process.exit(0);
}
if (command === undefined) fail(HELP);
if (!url || !secret) fail("Set SKEIN_URL and ADMIN_SECRET.\n\n" + HELP);

switch (command) {
  case "create": {
    // What is wrong with them, the answer says.
    const { "location-hint": locationHint, jurisdiction } = values;
    const tenant = await call<Tenant>("POST", "/tenants", {
      name: needed(first, "NAME"),
      locationHint,
      jurisdiction,
    });
    console.log(`Tenant ${tenant.name} has id ${tenant.id}.`);
    await makeToken(tenant, "first");
    break;
  }
  case "list":
    for (const { id, name, createdAt, locationHint, jurisdiction } of await listTenants()) {
      const place = [locationHint, jurisdiction].filter((part) => part !== null);
      console.log(id, createdAt, name, ...place);
    }
    break;
  case "token":
    await makeToken(await findTenant(needed(first, "TENANT")), needed(second, "NAME"));
    break;
  case "tokens": {
    const { id } = await findTenant(needed(first, "TENANT"));
    const { items } = await call<{ items: ApiToken[] }>("GET", `/tenants/${id}/tokens`);
    for (const token of items) console.log(token.id, `${token.prefix}…`, token.name);
    break;
  }
  case "revoke": {
    const { id } = await findTenant(needed(first, "TENANT"));
    await call("DELETE", `/tenants/${id}/tokens/${needed(second, "TOKEN")}`);
    console.log("Revoked. It stops working everywhere within half a minute.");
    break;
  }
  default:
    fail(`There is no command "${command}".\n\n${HELP}`);
}

async function makeToken(tenant: Tenant, name: string): Promise<void> {
  const path = `/tenants/${tenant.id}/tokens`;
  const { token } = await call<CreatedApiToken>("POST", path, { name });
  console.log(`Its token, shown this once:\n\n  SKEIN_TOKEN=${token}\n`);
}

async function listTenants(): Promise<Tenant[]> {
  return (await call<{ items: Tenant[] }>("GET", "/tenants")).items;
}

async function findTenant(name: string): Promise<Tenant> {
  const found = (await listTenants()).find((tenant) => tenant.name === name);
  return found ?? fail(`There is no tenant "${name}". "list" shows them.`);
}

async function call<Body>(method: string, path: string, body?: object): Promise<Body> {
  const response = await fetch(`${url}/api/v1/admin${path}`, {
    method,
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  const answer: unknown = await response.json();
  if (response.ok) return answer as Body;
  const { detail, code } = answer as Problem;
  return fail(`${detail} (${code})`);
}

function needed(value: string | undefined, name: string): string {
  return value ?? fail(`${name} is missing.\n\n${HELP}`);
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}
