/**
 * The tenant `local` and an API token for it, made at the first start and kept in the stack's
 * directory, so that a started stack can be used at once. For this machine only.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "../protocol/http.ts";
import type { CreatedApiToken, Tenant } from "../protocol/tenant-bodies.ts";
import { isErrorCode } from "./process-tree.ts";

const TENANT = "local";

interface AdminAnswer {
  status: number;
  body: unknown;
}

/** Returns a token of the tenant of this name that works on this stack. Safe to call at every start. */
export async function localToken(
  stack: { url: string; adminSecret: string },
  directory: string,
  name = TENANT,
): Promise<string> {
  const file = join(directory, "token");
  const kept = readKept(file);
  if (kept !== undefined && (await isAccepted(stack.url, kept))) return kept;
  const tenant = await findOrMakeTenant(stack, name);
  const path = `/api/v1/admin/tenants/${tenant.id}/tokens`;
  const { body } = await askAdmin(stack, path, { name: "local" });
  const { token } = body as CreatedApiToken;
  writeFileSync(file, token, { mode: 0o600 });
  return token;
}

async function findOrMakeTenant(
  stack: { url: string; adminSecret: string },
  name: string,
): Promise<Tenant> {
  const path = "/api/v1/admin/tenants";
  const made = await askAdmin(stack, path, { name }, [409]);
  if (made.status !== 409) return made.body as Tenant;
  const { body } = await askAdmin(stack, path);
  const tenant = (body as Page<Tenant>).items.find((found) => found.name === name);
  if (tenant !== undefined) return tenant;
  throw new Error(`The tenant "${name}" exists, but ${path} does not list it.`);
}

async function askAdmin(
  { url, adminSecret }: { url: string; adminSecret: string },
  path: string,
  body?: object,
  accepted: number[] = [],
): Promise<AdminAnswer> {
  const headers = { authorization: `Bearer ${adminSecret}`, "content-type": "application/json" };
  const content = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(url + path, { headers, ...content });
  const text = await answer.text();
  if (answer.ok || accepted.includes(answer.status)) {
    return { status: answer.status, body: JSON.parse(text) };
  }
  throw new Error(`${content.method ?? "GET"} ${path} answered ${answer.status}: ${text}`);
}

async function isAccepted(url: string, token: string): Promise<boolean> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${url}/api/v1/workflows`, { headers });
  await answer.body?.cancel();
  return answer.status !== 401;
}

function readKept(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if (!isErrorCode(error, "ENOENT")) throw error;
    return undefined;
  }
}
