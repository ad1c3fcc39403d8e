/**
 * A thousand tenants on one machine that do the same by the same names: each sees what is its own, and those
 * that are at rest cost nothing. Says how long it took, and how much memory.
 */
import { createHash, randomBytes } from "node:crypto";
import { globSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCpuTimes, type Watched } from "../../bench/cpu.ts";
import { readMemory } from "../../bench/memory.ts";
import { type Child, startChild } from "../../local/child.ts";
import { newId } from "../../protocol/ids.ts";
import { Client } from "../../sdk/index.ts";
import { ask, type OpenStack, openStack } from "../support/open-stack.ts";
import { LIMIT, type ManyWorkersOptions, order, type Seen } from "./many-workers.ts";

/** Fewer, for whoever works on this test. */
const TENANTS = Number(process.env["TENANTS"] ?? 1_000);
/** Tenants that ask for their list; the others are looked at in the database. */
const LISTED = 100;

const AT_ONCE = 16; // calls on their way

/** A machine that is busy with something else takes several times as long as a quiet one. */
const PATIENCE = { timeout: 500_000, interval: 200 };

/** MiB that workerd may grow by: in any case, and for each tenant's shard, session and connection. */
const MAX_GROWTH = { base: 100, tenant: 1.5 };

interface Tenant {
  id: string;
  name: string;
  token: string;
  client: Client;
  runs: string[];
}

let open: OpenStack;
let tenants: Tenant[];
let workers: Child<null> | undefined;
/** Of shards, that had been asleep: each says so in the log. */
let recoveries = 0;

beforeAll(async () => {
  // PGlite: each shard at work holds a connection, and Postgres has no thousand of them to give.
  open = await openStack({
    log: (line) => {
      if (line.includes('"shard.recovered"')) recoveries++;
    },
  });
  tenants = await makeTenants();
});
afterAll(async () => {
  await workers?.stop();
  await open?.close();
});

test("a thousand tenants share everything but what is theirs, and cost nothing at rest", async () => {
  const atFirst = memory();
  await timed("workers of all, in one process", async () => {
    workers = await startChild<null>({
      module: new URL("many-workers.ts", import.meta.url),
      name: "The workers",
      options: {
        url: open.stack.url,
        tenants: tenants.map(({ name, token }) => ({ name, token })),
      } satisfies ManyWorkersOptions,
      startTimeoutMs: PATIENCE.timeout,
    });
  });
  await timed("two runs of each started", () => forEach(tenants, startBoth));
  // The same limit, of the same name and key, in each of them: it holds one task of each, and no other's.
  await timed("a task of each running at once, then all waiting", async () => {
    await expect.poll(async () => (await seen()).tenantsAtOnce, PATIENCE).toBe(TENANTS);
    await expect.poll(countWaiting, PATIENCE).toBe(2 * TENANTS);
  });
  const [some, others] = [tenants.slice(0, TENANTS / 2), tenants.slice(TENANTS / 2)];
  await timed("an event to each of one half", async () => {
    await forEach(some, publishChecked);
    await expect.poll(() => countOpen(some), PATIENCE).toBe(0);
  });
  expect(await countOpen(others)).toBe(2 * others.length);
  await timed("and of the other", async () => {
    await forEach(others, publishChecked);
    await expect.poll(() => countOpen(others), PATIENCE).toBe(0);
  });
  expect((await seen()).mostAtOnce).toBe(1);
  const busy = memory();
  await timed("lists read", () => forEach(tenants.slice(0, LISTED), expectOwnList));
  await expectOwnOutputs();
  await timed("come to rest", expectRest);
  const [woken] = tenants;
  if (woken !== undefined) await expectWakes(woken);
  const rest = memory();
  console.log("MiB", { atFirst, busy, rest });
  expect(busy.workerd - atFirst.workerd).toBeLessThan(
    MAX_GROWTH.base + MAX_GROWTH.tenant * TENANTS,
  );
}, 560_000);

/** As the operator's API makes them, but all in one statement. */
async function makeTenants(): Promise<Tenant[]> {
  const { url, databaseUrl } = open.stack;
  const made = Array.from({ length: TENANTS }, (_, number): Tenant => {
    const token = `skein_${randomBytes(16).toString("hex")}`;
    return {
      id: newId(),
      name: `tenant-${number}`,
      token,
      client: new Client({ url, token }),
      runs: [],
    };
  });
  const ids = made.map(({ id }) => id);
  await ask(
    databaseUrl,
    `with made as (
       insert into v1.tenant (id, name) select * from unnest($1::uuid[], $2::text[]) returning id)
     insert into v1.api_token (id, tenant_id, name, prefix, hash)
       select t.id, made.id, 'many', 'skein_', t.hash
         from unnest($1::uuid[], $3::bytea[]) t(id, hash) join made using (id)`,
    [
      ids,
      made.map(({ name }) => name),
      made.map(({ token }) => createHash("sha256").update(token).digest()),
    ],
  );
  const put = "select v1.put_limit(id, $2, $3, 10) from unnest($1::uuid[]) id";
  await ask(databaseUrl, put, [ids, LIMIT, { concurrency: 1 }]);
  return made;
}

/** By the same event with the same idempotency key in every tenant; whose runs come of it is seen later. */
async function startBoth(tenant: Tenant): Promise<void> {
  const { client, name } = tenant;
  const same = { idempotencyKey: "the-same" };
  const { runs } = await client.publish("order:placed", { tenant: name }, same);
  expect(runs).toHaveLength(2);
  tenant.runs = runs;
}

/** What the tenant's runs wait for, and every other's as well. */
async function publishChecked({ client, name }: Tenant): Promise<void> {
  await client.publish("order:checked", { tenant: name });
}

async function expectOwnList({ client, runs }: Tenant): Promise<void> {
  const { items } = await client.runs.list();
  expect(items.map(({ id }) => id).toSorted()).toEqual(runs.toSorted());
}

/** Each step was executed by its tenant's own worker, with its tenant's input, told by its tenant's event. */
async function expectOwnOutputs(): Promise<void> {
  const outputs = await ask(
    open.stack.databaseUrl,
    `select n.name, r.id, jsonb_agg(o.output order by o.task_id) as outputs
       from v1.task_output o join v1.workflow_run r on r.id = v1.run_id(o.task_id)
       join v1.tenant n on n.id = r.tenant_id where n.id = any ($1) group by n.name, r.id`,
    [tenants.map(({ id }) => id)],
  );
  const runsOf = new Map(tenants.map(({ name, runs }) => [name, runs]));
  expect(outputs).toHaveLength(2 * TENANTS);
  for (const { name, id, outputs: own } of outputs) {
    expect(runsOf.get(String(name))).toContain(id);
    const of = { by: name, of: name };
    expect(own).toEqual([of, { ...of, told: [{ tenant: name }] }]);
  }
}

/** No alarm is set, so nobody wakes by himself; and the minute wakes nobody. */
async function expectRest(): Promise<void> {
  await expect.poll(countAlarms, { ...PATIENCE, interval: 1_000 }).toBe(0);
  const before = await lastTransaction();
  const wokenBefore = recoveries;
  await open.stack.workerd.runScheduled();
  expect(recoveries - wokenBefore).toBe(0);
  expect((await lastTransaction()) - before, "writes of a minute").toBeLessThan(10);
  expect(countAlarms()).toBe(0);
}

/** Its session and its shard are there as they were, and nobody else's have woken. */
async function expectWakes({ client, name, runs }: Tenant): Promise<void> {
  const before = recoveries;
  const started = await client.start(order, { tenant: name });
  runs.push(started.id);
  await expect.poll(countWaiting, PATIENCE).toBe(1);
  await client.publish("order:checked", { tenant: name });
  expect(await started.result({ timeoutMs: PATIENCE.timeout })).toMatchObject({
    check: { by: name },
  });
  expect(recoveries - before).toBeLessThanOrEqual(1);
}

/** Of all objects, as the local runtime keeps them for when it is started again. */
function countAlarms(): number {
  const files = globSync(join(open.directory, "workerd*", "do", "*", "metadata.sqlite"));
  expect(files.join()).toContain("DispatcherShard");
  return files.reduce((sum, file) => {
    const kept = new DatabaseSync(file, { readOnly: true });
    const row = kept.prepare("select count(*) as alarms from _cf_ALARM").get();
    kept.close();
    return sum + Number(row?.["alarms"]);
  }, 0);
}

/** Every transaction that writes has a number: the last one's. */
async function lastTransaction(): Promise<number> {
  const text = "select pg_snapshot_xmax(pg_current_snapshot())::text as last";
  const [row] = await ask(open.stack.databaseUrl, text);
  return Number(row?.["last"]);
}

async function countOpen(those: Tenant[]): Promise<number> {
  const [row] = await ask(
    open.stack.databaseUrl,
    `select count(*)::integer as open from v1.workflow_run
       where finished_at is null and tenant_id = any ($1)`,
    [those.map(({ id }) => id)],
  );
  return Number(row?.["open"]);
}

async function countWaiting(): Promise<number> {
  const text = "select count(*)::integer as waits from v1.task_wait where ended_at is null";
  const [row] = await ask(open.stack.databaseUrl, text);
  return Number(row?.["waits"]);
}

async function seen(): Promise<Seen> {
  return (await workers?.ask("seen")) as Seen;
}

async function forEach(those: Tenant[], work: (tenant: Tenant) => Promise<void>): Promise<void> {
  const left = those.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const tenant of left) await work(tenant);
    }),
  );
}

/** Says how long it took, and for how much processor: what a machine that is shared can tell. */
async function timed(what: string, work: () => Promise<void>): Promise<void> {
  const [beganAt, before] = [performance.now(), cpuSeconds()];
  await work();
  const took = (performance.now() - beganAt) / 1_000;
  console.log(
    `${what}: ${took.toFixed(1)} s, ${(cpuSeconds() - before).toFixed(1)} s of processor`,
  );
}

function cpuSeconds(): number {
  const { workerd, database } = open.stack;
  const pids = [workerd.pid, database.pid, process.pid, ...(workers ? [workers.pid] : [])];
  const watched: Watched[] = pids.map((pid) => ({ name: String(pid), pid }));
  return [...readCpuTimes(watched).values()].reduce((sum, ms) => sum + ms, 0) / 1_000;
}

function memory(): { workerd: number; workers: number } {
  const { pid } = open.stack.workerd;
  return {
    workerd: Math.round(readMemory(pid)),
    workers: workers ? Math.round(readMemory(workers.pid)) : 0,
  };
}
