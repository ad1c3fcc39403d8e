/**
 * A tenant of its own in workerd, for tests of the shard and the API: the real Worker, the real
 * shard, a real database. Only the other end of a worker's socket is played by the test. Time is
 * virtual: it stands still until `advance` moves it, and alarms go off at their time on the way.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { Client } from "@neondatabase/serverless";
import { afterEach, beforeEach, expect, vi } from "vitest";
import { configureDriver } from "../../database/connect.ts";
import type { DispatcherShard } from "../../durable-objects/dispatcher-shard.ts";
import { shardName } from "../../durable-objects/dispatcher/shard-name.ts";
import type { Json } from "../../protocol/json.ts";
import type { Run, StartRun, StartedRun, WorkflowDefinition } from "../../protocol/http.ts";
import type { Environment } from "../../workers/environment.ts";
import { FakeWorker, type FakeWorkerOptions } from "./fake-worker.ts";
import { traffic } from "./traffic.ts";

const API = "http://skein.test/api/v1";

/** So far ahead of the real time that no alarm goes off by itself while a test runs. */
const AHEAD_MS = 3_600_000;

/** More alarms on the way than any story has: one that is due for ever would hang the test. */
const MAX_ALARMS = 500;

/** What the platform does without a word, and only sometimes. */
const LOST_ALARM =
  "The alarm was set to the time of the one that went off: the platform drops it with that one";

/** Call in a test file: time is virtual in each of its tests. */
export function useVirtualTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + AHEAD_MS });
    traffic.forget();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

/** A session of the database in which a test holds a lock. */
export interface HeldLock {
  /** How many sessions wait for it. */
  countWaiting(): Promise<number>;
  /** Ends the sessions that wait for the lock, as a failing database would; says how many. */
  terminateWaiting(): Promise<number>;
  release(): Promise<void>;
}

export interface Answer<Body = unknown> {
  status: number;
  headers: Headers;
  body: Body;
}

const WAITING = "from pg_stat_activity where $1 = any (pg_blocking_pids(pid))";

export class World {
  readonly tenant: string;
  readonly token: string;
  readonly env: Environment;
  #workers: FakeWorker[] = [];

  constructor(tenant: string, token: string) {
    this.tenant = tenant;
    this.token = token;
    this.env = env as unknown as Environment;
  }

  /** The tenant's first shard. */
  get shard(): DurableObjectStub<DispatcherShard> {
    return this.shardAt(0);
  }

  /** A new stub each time: one that has failed stays broken. */
  shardAt(number: number): DurableObjectStub<DispatcherShard> {
    return this.env.DISPATCHER.getByName(shardName({ tenant: this.tenant, shard: number }));
  }

  /** Calls the API as the tenant, unless the headers say otherwise. */
  async call<Body = unknown>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<Body>> {
    const response = await exports.default.fetch(`${API}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const { status, headers: answered } = response;
    return { status, headers: answered, body: (text === "" ? null : JSON.parse(text)) as Body };
  }

  async register(definition: WorkflowDefinition): Promise<void> {
    const { status, body } = await this.call("PUT", `/workflows/${definition.name}`, definition);
    expect(status, JSON.stringify(body)).toBeLessThan(300);
  }

  async startRun(run: StartRun): Promise<StartedRun> {
    const { status, body } = await this.call<StartedRun>("POST", "/runs", run);
    expect(status, JSON.stringify(body)).toBeLessThan(300);
    return body;
  }

  /** Starts runs in one call; their ids, in the order of the inputs. */
  async startRuns(workflow: string, inputs: Json[]): Promise<string[]> {
    const { status, body } = await this.call<{ runs: StartedRun[] }>("POST", "/runs/bulk", {
      runs: inputs.map((input) => ({ workflow, input })),
    });
    expect(status, JSON.stringify(body)).toBe(201);
    return body.runs.map(({ id }) => id);
  }

  async readRun(id: string): Promise<Run> {
    const { status, body } = await this.call<Run>("GET", `/runs/${id}`);
    expect(status, JSON.stringify(body)).toBe(200);
    return body;
  }

  /** A worker that has said hello and been welcomed. */
  async connectWorker(options: FakeWorkerOptions, shard = 0): Promise<FakeWorker> {
    const worker = await this.openSocket({}, { shard });
    await worker.hello(options);
    return worker;
  }

  /** A socket on which nothing has been said, but what is said in its address. */
  async openSocket(
    headers: Record<string, string> = {},
    { shard = 0, said = {} }: { shard?: number; said?: Record<string, string> } = {},
  ): Promise<FakeWorker> {
    const path = `/shards/${shard}/session?${new URLSearchParams(said).toString()}`;
    const response = await exports.default.fetch(`${API}${path}`, {
      headers: { upgrade: "websocket", authorization: `Bearer ${this.token}`, ...headers },
    });
    const worker = new FakeWorker(response);
    this.#workers.push(worker);
    return worker;
  }

  /**
   * Lets time pass; every alarm on the way goes off at its moment, and what it sets in motion comes
   * to rest before time goes on. `isStuck` when it can't, because the test holds a lock; `shards`: whose alarms.
   */
  async advance(ms: number, { isStuck = false, shards = [0] } = {}): Promise<void> {
    const target = Date.now() + ms;
    for (let alarms = 0; ; alarms++) {
      if (alarms === MAX_ALARMS) throw new Error("The alarm goes off again and again");
      if (!isStuck) await traffic.settled();
      const [next] = (
        await Promise.all(shards.map(async (shard) => ({ shard, at: await this.alarmAt(shard) })))
      ).toSorted((a, b) => (a.at ?? Infinity) - (b.at ?? Infinity));
      if (next === undefined || next.at === null || next.at > target) break;
      vi.setSystemTime(Math.max(next.at, Date.now()));
      await runDurableObjectAlarm(this.shardAt(next.shard));
      if ((await this.alarmAt(next.shard)) === next.at) throw new Error(LOST_ALARM);
    }
    vi.setSystemTime(target);
  }

  /** Waits until nothing is under way between workers, shard and database. */
  async settled(): Promise<void> {
    await traffic.settled();
  }

  async alarmAt(shard = 0): Promise<number | null> {
    const stub = this.shardAt(shard);
    return await runInDurableObject(stub, (_shard, state) => state.storage.getAlarm());
  }

  /** The platform forgets the alarm, and tells nobody. */
  async dropAlarm(): Promise<void> {
    await runInDurableObject(this.shard, (_shard, state) => state.storage.deleteAlarm());
  }

  /** Drops the shard from memory, as the platform does when it hibernates or a machine goes down. */
  async evictShard(webSockets: "hibernate" | "close" = "hibernate"): Promise<void> {
    await traffic.settled();
    // An open connection keeps an object awake; the shard closes it when it has been idle.
    await runInDurableObject(this.shard, () => traffic.closeConnections());
    await evictDurableObject(this.shard, { webSockets });
    traffic.endLife();
  }

  /** Ends the shard's life between two instructions: what was under way is lost, sockets drop. */
  async crashShard(shard = 0): Promise<void> {
    try {
      await runInDurableObject(this.shardAt(shard), (_shard, state) =>
        state.abort("crashed by a test"),
      );
    } catch {
      // The call dies with its shard.
    }
    traffic.endLife();
  }

  /** As `crashShard`, and the object's own storage is lost with it. */
  async forgetShard(shard = 0): Promise<void> {
    await runInDurableObject(this.shardAt(shard), (_shard, state) => state.storage.deleteAll());
    await this.crashShard(shard);
  }

  /**
   * The worker pings now. The platform notes pings by the real clock, so this has it note the
   * virtual time instead.
   */
  async ping(worker: FakeWorker, shard = 0): Promise<void> {
    await worker.unreadWhenQuiet();
    const now = new Date();
    await runInDurableObject(this.shardAt(shard), (_shard, state) => {
      state.getWebSocketAutoResponseTimestamp = () => now;
    });
  }

  /** Keeps every commit and recovery of the shard waiting at the database. */
  holdCommits(shard = 0): Promise<HeldLock> {
    return this.holdLock("select pg_advisory_lock(v1.shard_lock($1, $2))", [this.tenant, shard]);
  }

  /** Runs a statement in a transaction that stays open. */
  async holdLock(text: string, parameters: unknown[]): Promise<HeldLock> {
    const client = await this.#connectAsOwner();
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    const pid = rows[0]?.pid;
    await client.query("begin");
    await client.query(text, parameters);
    return {
      countWaiting: async () => (await this.sql(`select pid ${WAITING}`, [pid])).length,
      terminateWaiting: async () => {
        return (await this.sql(`select pg_terminate_backend(pid, 5000) ${WAITING}`, [pid])).length;
      },
      release: () => client.end(),
    };
  }

  /** Rows of a statement, straight from the database. */
  async sql(text: string, parameters: unknown[] = []): Promise<Record<string, unknown>[]> {
    const client = await this.#connectAsOwner();
    try {
      return (await client.query(text, parameters)).rows;
    } finally {
      await client.end();
    }
  }

  /** The product's own login may do much less. */
  async #connectAsOwner(): Promise<Client> {
    configureDriver(this.env);
    const client = new Client((this.env as unknown as { OWNER_URL: string }).OWNER_URL);
    client.on("error", () => {}); // of a socket that closes; a statement in hand reports its own
    await client.connect();
    return client;
  }

  close(): void {
    for (const worker of this.#workers) worker.vanish();
  }
}

let made = 0;

/** A new tenant with a token. */
export async function createWorld(): Promise<World> {
  const admin = { authorization: "Bearer operator-secret" };
  const operator = new World("", "");
  const name = `test-${crypto.randomUUID().slice(0, 8)}-${++made}`;
  const tenant = await operator.call<{ id: string }>("POST", "/admin/tenants", { name }, admin);
  expect(tenant.status, JSON.stringify(tenant.body)).toBe(201);
  const path = `/admin/tenants/${tenant.body.id}/tokens`;
  const token = await operator.call<{ token: string }>("POST", path, { name: "test" }, admin);
  expect(token.status, JSON.stringify(token.body)).toBe(201);
  return new World(tenant.body.id, token.body.token);
}
