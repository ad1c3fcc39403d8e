/**
 * A whole Skein in a directory of its own, with a tenant, a token for it and a client: what stories
 * with real processes are played on. The database may be one that other stories were played on: what
 * they have set for their tenant, its number of shards for one, is not set for this one's.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { localToken } from "../../local/local-tenant.ts";
import { type Stack, type StackOptions, startStack } from "../../local/stack.ts";
import { Client } from "../../sdk/index.ts";

export interface OpenStack {
  stack: Stack;
  client: Client;
  token: string;
  /** The tenant's id. */
  tenant: string;
  directory: string;
  /** Stops the stack and removes its directory. */
  close(): Promise<void>;
}

export async function openStack(options: Omit<StackOptions, "directory">): Promise<OpenStack> {
  const directory = mkdtempSync(join(tmpdir(), "skein-flow-"));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  let stack: Stack | undefined;
  try {
    stack = await startStack({ directory, log: "none", ...options });
    const { url, databaseUrl } = stack;
    const name = `story-${randomUUID()}`;
    const token = await localToken(stack, directory, name);
    const [row] = await ask(databaseUrl, "select id from v1.tenant where name = $1", [name]);
    const close = async (): Promise<void> => {
      await stack?.stop();
      remove();
    };
    const tenant = String(row?.["id"]);
    return { stack, client: new Client({ url, token }), token, tenant, directory, close };
  } catch (error) {
    await stack?.stop();
    remove();
    throw error;
  }
}

/** One query over a connection of its own: the database may have been killed since the last. */
export async function ask(
  databaseUrl: string,
  text: string,
  values: unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text, values)).rows;
  } finally {
    await client.end();
  }
}
