/**
 * Builds the Worker as a deployment would, and keeps the result: one directory with `index.js`.
 * Nothing is sent anywhere.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

export interface BuildOptions {
  /** Default `wrangler.toml` of this repository. */
  config?: string;
  /** Default a new one below `.skein/bundles`, so that two builds don't meet; it goes with this program. */
  directory?: string;
}

const ROOT = resolve(import.meta.dirname, "..");
const BUILD_TIMEOUT_MS = 60_000;

/** Keeps wrangler from calling home, and from asking. */
const QUIET = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_HIDE_BANNER: "true",
  CI: "true",
};

/** Returns the bundle's directory; throws with what wrangler said. */
export async function buildWorker({
  config = join(ROOT, "wrangler.toml"),
  directory,
}: BuildOptions = {}): Promise<string> {
  const bundle = directory === undefined ? makeBundleDirectory() : resolve(directory);
  const manifest = createRequire(import.meta.url).resolve("wrangler/package.json");
  const wrangler = join(dirname(manifest), "bin", "wrangler.js");
  const what = ["deploy", "--dry-run", "--outdir", bundle, "--config", resolve(config)];
  try {
    await promisify(execFile)(process.execPath, [wrangler, ...what], {
      cwd: dirname(resolve(config)),
      env: { ...process.env, ...QUIET },
      timeout: BUILD_TIMEOUT_MS,
    });
  } catch (error) {
    if (directory === undefined) rmSync(bundle, { recursive: true, force: true });
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    const said = `${stderr}${stdout}`.trim() || String(error);
    throw new Error(`The Worker of ${config} could not be built:\n${said}`, { cause: error });
  }
  return bundle;
}

function makeBundleDirectory(): string {
  const parent = join(ROOT, ".skein", "bundles");
  mkdirSync(parent, { recursive: true });
  const made = mkdtempSync(join(parent, "bundle-"));
  process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  return made;
}
