/**
 * Reads pgmq's installation script out of the npm package that carries it, for databases that don't
 * offer the extension (Neon among them). Never keeps a copy of it.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";

const BLOCK_BYTES = 512; // a tar archive is headers and contents in blocks of this size

export interface PgmqInstallation {
  version: string;
  /** Several statements; needs the simple protocol, so not for Neon's HTTP. */
  sql: string;
}

export function pgmqInstallation(): PgmqInstallation {
  const entry = createRequire(import.meta.url).resolve("@electric-sql/pglite-pgmq");
  const archive = join(dirname(entry), "pgmq.tar.gz");
  const files = filesOf(gunzipSync(readFileSync(archive)));
  const version = /default_version\s*=\s*'([^']+)'/.exec(files.get("pgmq.control") ?? "")?.[1];
  const sql = version && files.get(`pgmq--${version}.sql`);
  if (!sql) throw new Error(`${archive} does not carry pgmq's installation script.`);
  return { version, sql };
}

/** The text files of a tar archive, by their name without folders. */
function filesOf(tar: Buffer): Map<string, string> {
  const files = new Map<string, string>();
  for (let offset = 0; offset + BLOCK_BYTES <= tar.length;) {
    const header = tar.subarray(offset, offset + BLOCK_BYTES);
    const name = textOf(header.subarray(0, 100));
    if (name === "") break;
    const bytes = Number.parseInt(textOf(header.subarray(124, 136)) || "0", 8);
    const contents = tar.subarray(offset + BLOCK_BYTES, offset + BLOCK_BYTES + bytes);
    files.set(name.replace(/^.*\//, ""), contents.toString("utf8"));
    offset += BLOCK_BYTES + Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return files;
}

function textOf(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end < 0 ? field.length : end).trim();
}
