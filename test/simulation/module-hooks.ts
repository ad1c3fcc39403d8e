/**
 * Lets the product's modules be loaded in Node: gives them the stand-ins for the platform and the
 * database driver, lets ids begin anew and bounds be turned with each seed, and can change a source
 * on the way, so that a test can break the product and see that it is found.
 */
import { registerHooks } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Rewrite } from "./postgres.ts";

const ROOT = join(import.meta.dirname, "../..");
const ROOT_URL = pathToFileURL(`${ROOT}/`).href;
const EDGE = `${ROOT_URL}workers/`;

/** In the address of a module: whose it is. */
export const ISOLATE = "isolate";

const STAND_INS = pathToFileURL(join(import.meta.dirname, "stand-ins/")).href;

const REPLACED: Record<string, string> = {
  "cloudflare:workers": "cloudflare-workers.ts",
  "@neondatabase/serverless": "neon-serverless.ts",
};

/** Ids rise within a process; a seed must make the same ones whatever ran before it. */
const RESTARTABLE_IDS = `
export function restartIds(): void {
  lastMs = sequence = 0;
  poolUsed = POOL_BYTES;
}
`;

/** Makes constants of a module variable, for as long as nobody turns them again. */
function withKnobs(source: string): string {
  const constant = /^export const ([A-Z_]+) = (.+);$/gm;
  const names = [...source.matchAll(constant)].map(([, name = "", value = ""]) => ({
    name,
    value,
  }));
  const turns = names.map(({ name, value }) => `${name} = knobs["${name}"] ?? ${value};`);
  return `${source.replaceAll(constant, "export let $1 = $2;")}
export function turnKnobs(knobs: Record<string, number>): void { ${turns.join(" ")} }
`;
}

/** What is done to a source so that a seed can begin anew, by its path. */
const PREPARED: Record<string, (source: string) => string> = {
  "protocol/ids.ts": (source) => source + RESTARTABLE_IDS,
  "durable-objects/dispatcher/limits.ts": withKnobs,
};

/** A module of the edge Worker is loaded for each isolate by itself: those that it imports as well. */
function ofIsolate<Found extends { url: string }>(found: Found, parent = ""): Found {
  const isolate = new URL(parent || ROOT_URL).search;
  if (!isolate.startsWith(`?${ISOLATE}=`) || !found.url.startsWith(EDGE)) return found;
  return { ...found, url: found.url + isolate };
}

/** Once in a thread, before any of the product's modules is loaded. */
export function hookModules(rewrite: Rewrite): void {
  registerHooks({
    resolve: (specifier, context, next) => {
      const replacement = REPLACED[specifier];
      // What stands in for the driver needs the real one itself.
      if (replacement === undefined || context.parentURL?.startsWith(STAND_INS)) {
        return ofIsolate(next(specifier, context), context.parentURL);
      }
      if (context.parentURL?.includes("/test/simulation/")) return next(specifier, context);
      return { url: STAND_INS + replacement, shortCircuit: true };
    },
    load: (url, context, next) => {
      const loaded = next(url, context);
      if (!url.startsWith("file:") || url.includes("/node_modules/")) return loaded;
      const path = relative(ROOT, fileURLToPath(url));
      const prepare = PREPARED[path] ?? ((source: string) => source);
      return { ...loaded, source: prepare(rewrite(path, String(loaded.source))) };
    },
  });
}
