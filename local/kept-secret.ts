/** A random secret made at the first start and kept in a file that only its owner may read. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { isErrorCode } from "./process-tree.ts";

export function keptSecret(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if (!isErrorCode(error, "ENOENT")) throw error;
  }
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const secret = randomBytes(24).toString("base64url");
  writeFileSync(file, secret, { flag: "wx", mode: 0o600 });
  return secret;
}
