/**
 * What a measurement runs on: one database, the Worker in workerd in front of it, one worker process
 * and two tenants of their own: one is served by the worker, the other is for the raw SQL and no
 * shard of it ever wakes. Starts and stops everything; measures nothing.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@skein/sdk";
import pg from "pg";
import { type Child, startChild } from "../local/child.ts";
import { type Stack, startStack } from "../local/stack.ts";
import type { RegisteredWorkflow } from "../protocol/http.ts";
import type { CreatedApiToken, Tenant } from "../protocol/tenant-bodies.ts";
import type { Watched } from "./cpu.ts";
import type { BenchWorkerOptions, Recorded } from "./worker.ts";
import { oneStep, threeSteps } from "./workflows.ts";

export interface RigOptions {
  /** A Postgres; without one it is PGlite. */
  databaseUrl: string | undefined;
  /** The Postgres server's pid, when it is ours to watch. */
  postgresPid: number | undefined;
  /** A bundle from `buildWorker`. */
  bundle: string;
  signal: AbortSignal;
  tell: (line: string) => void;
}

export interface RawTenant {
  id: string;
  /** What was registered, by workflow name. */
  workflows: Map<string, RegisteredWorkflow>;
}

export interface Rig {
  databaseName: "Postgres" | "PGlite";
  databaseVersion: string;
  databaseUrl: string;
  url: string;
  token: string;
  database: pg.Client;
  raw: RawTenant;
  watched: Watched[];
  /** Its pid. */
  workerd: number;
  /** Forgets what the worker has counted and noted. */
  resetWorker(): Promise<void>;
  /** Resolves once the worker has been told of so many recorded results since the reset. */
  whenRecorded(count: number): Promise<Recorded>;
  /** Another tenant, without a worker: its token. */
  makeTenant(): Promise<string>;
  /** Another tenant with a worker of its own, whose tasks are in nobody else's way. Default one shard. */
  serve(shards?: number): Promise<Served>;
  stop(): Promise<void>;
}

/** A tenant, and the worker that takes its tasks. */
export interface Served {
  id: string;
  token: string;
  /** With its own worker. */
  watched: Watched[];
  resetWorker: Rig["resetWorker"];
  whenRecorded: Rig["whenRecorded"];
  /** The worker takes no tasks, until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Resolves once so many noted tasks have begun, with the moments, by `machineMs`. */
  whenStarted(count: number): Promise<number[]>;
  stop(): Promise<void>;
}

const SLOTS = 1_000;

export async function startRig(options: RigOptions): Promise<Rig> {
  const { databaseUrl, bundle, signal, tell } = options;
  const directory = mkdtempSync(join(tmpdir(), "skein-bench-"));
  const stops: (() => Promise<unknown> | void)[] = [
    () => rmSync(directory, { recursive: true, force: true }),
  ];
  const stop = async (): Promise<void> => {
    for (let next = stops.pop(); next !== undefined; next = stops.pop()) await next();
  };
  try {
    const variables = { LOG_LEVEL: "warn" };
    const log = (line: string): void => tell(`  ${line}`);
    const start = { directory, databaseUrl, bundle, variables, log, signal };
    const stack = await startStack(start);
    stops.push(() => stack.stop());
    const database = new pg.Client({ connectionString: stack.databaseUrl });
    database.on("error", (error) => tell(`The bench's connection to the database: ${error}`));
    await database.connect();
    stops.push(() => database.end());
    const served = await makeTenant(stack, "served");
    const worker = await startWorker({ url: stack.url, token: served.token, slots: SLOTS }, tell);
    stops.push(() => worker.stop());
    const { rows } = await database.query("show server_version");
    return {
      databaseName: databaseUrl === undefined ? "PGlite" : "Postgres",
      databaseVersion: String(rows[0].server_version),
      databaseUrl: stack.databaseUrl,
      url: stack.url,
      token: served.token,
      database,
      raw: await makeRawTenant(stack),
      watched: watchedOf(stack, worker, options),
      workerd: stack.workerd.pid,
      makeTenant: async () => (await makeTenant(stack, "other")).token,
      serve: async (shards) => await serveAnother(stack, options, shards),
      ...countsOf(worker),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function serveAnother(stack: Stack, options: RigOptions, shards = 1): Promise<Served> {
  const { tell } = options;
  const { id, token } = await makeTenant(stack, "served");
  if (shards > 1) await new Client({ url: stack.url, token }).tenant.shards.set(shards);
  const worker = await startWorker({ url: stack.url, token, slots: SLOTS }, tell);
  return {
    id,
    token,
    watched: watchedOf(stack, worker, options),
    ...countsOf(worker),
    pause: async () => void (await worker.ask("pause")),
    resume: async () => void (await worker.ask("resume")),
    whenStarted: async (count) => (await worker.ask("whenStarted", count)) as number[],
    stop: () => worker.stop(),
  };
}

function countsOf(worker: Child<null>): Pick<Rig, "resetWorker" | "whenRecorded"> {
  return {
    resetWorker: async () => void (await worker.ask("reset")),
    whenRecorded: async (count) => (await worker.ask("whenRecorded", count)) as Recorded,
  };
}

function startWorker(
  options: BenchWorkerOptions,
  tell: (line: string) => void,
): Promise<Child<null>> {
  const module = new URL("worker.ts", import.meta.url);
  return startChild<null>({
    module,
    name: "The worker",
    options,
    log: (line) => tell(`  ${line}`),
  });
}

function watchedOf(
  stack: Stack,
  worker: Child<null>,
  { databaseUrl, postgresPid }: RigOptions,
): Watched[] {
  const database = databaseUrl === undefined ? "PGlite" : "Neon protocol";
  return [
    ...(postgresPid === undefined
      ? []
      : [{ name: "Postgres", pid: postgresPid, hasChildren: true }]),
    { name: "workerd", pid: stack.workerd.pid },
    { name: database, pid: stack.database.pid },
    { name: "worker", pid: worker.pid },
    { name: "client", pid: process.pid },
  ];
}

async function makeRawTenant(stack: Stack): Promise<RawTenant> {
  const { id, token } = await makeTenant(stack, "raw");
  const client = new Client({ url: stack.url, token });
  const workflows = new Map<string, RegisteredWorkflow>();
  for (const workflow of [oneStep, threeSteps]) {
    workflows.set(workflow.name, await client.register(workflow));
  }
  return { id, workflows };
}

async function makeTenant(stack: Stack, purpose: string): Promise<{ id: string; token: string }> {
  // A name of its own: the database may be one that was measured before.
  const name = `bench-${purpose}-${randomBytes(6).toString("hex")}`;
  const tenant = (await askAdmin(stack, "/tenants", { name })) as Tenant;
  const path = `/tenants/${tenant.id}/tokens`;
  const { token } = (await askAdmin(stack, path, { name: "bench" })) as CreatedApiToken;
  return { id: tenant.id, token };
}

async function askAdmin(stack: Stack, path: string, body: object): Promise<unknown> {
  const answer = await fetch(`${stack.url}/api/v1/admin${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${stack.adminSecret}`,
      "content-type": "application/json",
    },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`POST ${path} answered ${answer.status}: ${text}`);
  return JSON.parse(text);
}
