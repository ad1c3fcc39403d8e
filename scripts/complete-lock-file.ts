/**
 * Completes package-lock.json after an install: adds an entry for every optional platform package
 * that npm left out because its registry did not carry it. Without them `npm ci` calls the lock
 * file out of date. npm never fetches an entry made for another platform.
 *
 * Run it after every change of dependencies: `node scripts/complete-lock-file.ts`.
 */
import { readFileSync, writeFileSync } from "node:fs";

interface LockEntry {
  version?: string;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  dev?: boolean;
  optional?: boolean;
  optionalDependencies?: Record<string, string>;
}

const OPERATING_SYSTEMS: Record<string, string> = {
  aix: "aix",
  android: "android",
  darwin: "darwin",
  freebsd: "freebsd",
  linux: "linux",
  netbsd: "netbsd",
  openbsd: "openbsd",
  openharmony: "openharmony",
  sunos: "sunos",
  win32: "win32",
  windows: "win32",
};
const PROCESSORS: Record<string, string> = {
  "64": "x64",
  arm: "arm",
  arm64: "arm64",
  ia32: "ia32",
  loong64: "loong64",
  mips64el: "mips64el",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x",
  wasm32: "wasm32",
  x64: "x64",
};

const file = process.argv[2] ?? "package-lock.json";
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, LockEntry> };
const packages = lock.packages;
const added: string[] = [];

for (const [path, entry] of Object.entries(packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isResolved(path, name, range)) continue;
    const atRoot = `node_modules/${name}`;
    packages[packages[atRoot] ? `${path}/${atRoot}` : atRoot] = platformEntry(name, range, entry);
    added.push(name);
  }
}

lock.packages = Object.fromEntries(
  Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${file}: ${added.length} platform packages added`);

/** Whether `name`, asked for by the package at `path`, has an entry, looking upwards as Node does. */
function isResolved(path: string, name: string, range: string): boolean {
  for (let base = path; ; base = parentOf(base)) {
    const found = packages[`${base === "" ? "" : `${base}/`}node_modules/${name}`];
    if (found) return /[\^~><*x]/.test(range) || found.version === range;
    if (base === "") return false;
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("node_modules/") - 1));
}

function platformEntry(name: string, range: string, parent: LockEntry): LockEntry {
  const words = (name.split("/").at(-1) ?? name).split(/[-.]/);
  const os = words.map((word) => OPERATING_SYSTEMS[word]).find(Boolean);
  const cpu = words.map((word) => PROCESSORS[word]).find(Boolean);
  return {
    version: range.replace(/^[\^~]/, ""),
    ...(cpu && { cpu: [cpu] }),
    ...(parent.dev && { dev: true }),
    optional: true,
    ...(os && { os: [os] }),
    ...(words.includes("musl") && { libc: ["musl"] }),
    ...((words.includes("gnu") || words.includes("gnueabihf")) && { libc: ["glibc"] }),
  };
}
