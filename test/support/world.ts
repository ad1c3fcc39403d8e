/**
 * A tenant of its own in workerd, for tests of the shard and the API: the real Worker, the real
 * shard, a real database. Only the other end of a worker's socket is played by the test. Time is
 * virtual: it stands still until `advance` moves it, and alarms go off at their time on the way.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { neon } from "@neondatabase/serverless";
import { afterEach, beforeEach, expect, vi } from "vitest";
import { configureDriver, type DatabaseConfig } from "../../database/connect.ts";
import type { DispatcherShard } from "../../durable-objects/dispatcher-shard.ts";
import { shardName } from "../../durable-objects/dispatcher/shard-name.ts";
import type { Run, StartRun, StartedRun, WorkflowDefinition } from "../../protocol/http.ts";
import type { Environment } from "../../workers/environment.ts";
import { FakeWorker, type FakeWorkerOptions } from "./fake-worker.ts";

const API = "http://skein.test/api/v1";

/** Call in a test file: time is virtual in each of its tests. */
export function useVirtualTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

export interface Answer<Body = unknown> {
  status: number;
  headers: Headers;
  body: Body;
}

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

  /** The tenant's shard. A new stub each time: one that has failed stays broken. */
  get shard(): DurableObjectStub<DispatcherShard> {
    return this.env.DISPATCHER.getByName(shardName({ tenant: this.tenant, shard: 0 }));
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

  async readRun(id: string): Promise<Run> {
    const { status, body } = await this.call<Run>("GET", `/runs/${id}`);
    expect(status, JSON.stringify(body)).toBe(200);
    return body;
  }

  /** A worker that has said hello and been welcomed. */
  async connectWorker(options: FakeWorkerOptions): Promise<FakeWorker> {
    const worker = await this.openSocket();
    await worker.hello(options);
    return worker;
  }

  /** A socket on which nothing has been said. */
  async openSocket(headers: Record<string, string> = {}): Promise<FakeWorker> {
    const response = await exports.default.fetch(`${API}/shards/0/session`, {
      headers: { upgrade: "websocket", authorization: `Bearer ${this.token}`, ...headers },
    });
    const worker = new FakeWorker(response);
    this.#workers.push(worker);
    return worker;
  }

  /** Lets time pass; every alarm on the way goes off at its moment. */
  async advance(ms: number): Promise<void> {
    const target = Date.now() + ms;
    for (;;) {
      const alarm = await this.alarmAt();
      if (alarm === null || alarm > target) break;
      vi.setSystemTime(Math.max(alarm, Date.now()));
      await runDurableObjectAlarm(this.shard);
    }
    vi.setSystemTime(target);
  }

  async alarmAt(): Promise<number | null> {
    return await runInDurableObject(this.shard, (_shard, state) => state.storage.getAlarm());
  }

  /** Drops the shard from memory, as the platform does when it hibernates or a machine goes down. */
  async evictShard(webSockets: "hibernate" | "close" = "hibernate"): Promise<void> {
    await evictDurableObject(this.shard, { webSockets });
  }

  /** Rows of a statement, straight from the database. */
  async sql(text: string, parameters: unknown[] = []): Promise<Record<string, unknown>[]> {
    configureDriver(this.env);
    return await neon((this.env as DatabaseConfig).DATABASE_URL).query(text, parameters);
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
  const path = `/admin/tenants/${tenant.body.id}/tokens`;
  const token = await operator.call<{ token: string }>("POST", path, { name: "test" }, admin);
  return new World(tenant.body.id, token.body.token);
}
