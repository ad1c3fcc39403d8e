/**
 * A Skein on this machine for one example: the local stack in a fresh directory, and a token. Nothing of
 * it is left when it has stopped, or when it could not start.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localToken } from "../../local/local-tenant.ts";
import { startStack } from "../../local/stack.ts";

export interface LocalSkein {
  url: string;
  token: string;
  stop(): Promise<void>;
}

/** `tell` hears what is being done. */
export async function startLocalSkein(
  signal: AbortSignal,
  tell: (line: string) => void,
): Promise<LocalSkein> {
  const directory = mkdtempSync(join(tmpdir(), "skein-example-"));
  const stops: (() => Promise<void> | void)[] = [
    () => rmSync(directory, { recursive: true, force: true }),
  ];
  const stop = async (): Promise<void> => {
    for (let next = stops.pop(); next !== undefined; next = stops.pop()) await next();
  };
  try {
    const stack = await startStack({ directory, log: "none", signal, tell });
    stops.push(() => stack.stop());
    return { url: stack.url, token: await localToken(stack, directory), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
