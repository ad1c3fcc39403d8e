/**
 * The process above a throw-away Postgres: makes the cluster when there is none, runs the server,
 * and takes it down when it is told to or when its own parent has gone. As root it runs Postgres as
 * another user, since Postgres refuses root.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Opened, serveParent, type Surroundings } from "./child-side.ts";

/** From `postgres.ts`. */
export interface PostgresChildOptions {
  bin: string;
  directory: string;
  port: number;
  user: string;
  password: string;
  settings: Record<string, string>;
}

export interface PostgresChildReady {
  pid: number;
}

interface Account {
  uid: number;
  gid: number;
}

const QUIT_AFTER_MS = 5_000;
const KEPT_LINES = 20;

serveParent<PostgresChildOptions, PostgresChildReady>(async (options, surroundings) => {
  const account = process.getuid?.() === 0 ? findAccount() : undefined;
  const cluster = join(options.directory, "cluster");
  if (!existsSync(join(cluster, "PG_VERSION"))) await makeCluster(options, cluster, account);
  return await runServer(options, cluster, account, surroundings);
});

async function makeCluster(
  { bin, directory, user, password }: PostgresChildOptions,
  cluster: string,
  account: Account | undefined,
): Promise<void> {
  mkdirSync(cluster, { recursive: true, mode: 0o700 });
  const passwordFile = join(directory, "initial-password");
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (account !== undefined) {
    for (const path of [directory, cluster, passwordFile]) {
      chownSync(path, account.uid, account.gid);
    }
  }
  // The password goes in clear text over loopback, as the Neon driver sends it inside TLS.
  const options = ["--auth-host=password", "--auth-local=trust", `--pwfile=${passwordFile}`];
  const initdb = spawn(
    join(bin, "initdb"),
    ["-D", cluster, `--username=${user}`, "--encoding=UTF8", "--locale=C", "--no-sync", ...options],
    { ...account, cwd: "/", stdio: ["ignore", "pipe", "pipe"] },
  );
  const lastLines = keepLines(initdb);
  const [code] = await once(initdb, "close");
  rmSync(passwordFile, { force: true });
  if (code === 0) return;
  throw new Error(`initdb could not make a cluster in ${cluster}:\n  ${lastLines.join("\n  ")}`);
}

async function runServer(
  { bin, directory, port, settings }: PostgresChildOptions,
  cluster: string,
  account: Account | undefined,
  { fail, log }: Surroundings,
): Promise<Opened<PostgresChildReady>> {
  const all = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: directory,
    ...settings,
  };
  const server = spawn(
    join(bin, "postgres"),
    ["-D", cluster, ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    { ...account, cwd: "/", stdio: ["ignore", "pipe", "pipe"] },
  );
  const lastLines = keepLines(server, log);
  const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    const refuse = (): void =>
      reject(new Error(`Postgres did not start in ${cluster}:\n  ${lastLines.join("\n  ")}`));
    server.once("error", reject);
    server.once("close", refuse);
    onLine(server, (line) => {
      if (!line.includes("database system is ready to accept connections")) return;
      server.off("close", refuse);
      resolve();
    });
  });
  let isStopping = false;
  server.once("close", (code, signal) => {
    const how = signal ?? `code ${code}`;
    if (!isStopping) fail(new Error(`Postgres (pid ${server.pid}) has ended (${how}).`));
  });
  return {
    ready: { pid: server.pid ?? 0 },
    async close() {
      isStopping = true;
      server.kill("SIGINT"); // A fast shutdown: what runs is rolled back.
      const timer = setTimeout(() => server.kill("SIGQUIT"), QUIT_AFTER_MS);
      await closed;
      clearTimeout(timer);
    },
  };
}

function onLine(running: ChildProcess, take: (line: string) => void): void {
  for (const stream of [running.stdout, running.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on("line", take);
  }
}

function keepLines(running: ChildProcess, log?: (line: string) => void): string[] {
  const lines: string[] = [];
  onLine(running, (line) => {
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
    log?.(line);
  });
  return lines;
}

function findAccount(): Account {
  const accounts = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  for (const name of ["postgres", "nobody"]) {
    const found = accounts.find((fields) => fields[0] === name);
    if (found !== undefined) return { uid: Number(found[2]), gid: Number(found[3]) };
  }
  throw new Error("Postgres does not run as root, and there is no user postgres or nobody.");
}
