/**
 * One simulation: the real shard, the real SDK and the real SQL in one world of a seed. Bad days
 * first; then faults stop, a healthy worker comes, and everything must come to its end and to rest.
 */
import { drainName } from "../../messages/drain-name.ts";
import { MAX_STORED_LIMITS } from "../../protocol/limits.ts";
import { hashToken } from "../../workers/api/authenticate.ts";
import { ApiTransport } from "./api-transport.ts";
import { behave } from "./behaviour.ts";
import { ClientProcess } from "./client-process.ts";
import { EdgeWorker } from "./edge-worker.ts";
import { FAULTS, isOfShards, type Targets } from "./faults.ts";
import { History } from "./history.ts";
import { isolates } from "./isolates.ts";
import { LimitChanger } from "./limit-changer.ts";
import { storedOptions } from "./limit-plans.ts";
import { checkedRate } from "../../sdk/limits.ts";
import { Network, NOTICED_MS } from "./network.ts";
import type { ObjectHost } from "./object-host.ts";
import { Objects } from "./objects.ts";
import type { Postgres } from "./postgres.ts";
import { Random } from "./random.ts";
import { abandonResharding, Resharder } from "./resharder.ts";
import { isAtRest, isSomethingDue, MINUTE_MS, type Rest, watchRest } from "./rest.ts";
import { type FaultPlan, type Scenario, type WorkerPlan, ZONE } from "./scenario.ts";
import { SimulatedDatabase } from "./simulated-database.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";
import { Trace } from "./trace.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { calmWeather, type Weather } from "./weather.ts";
import { WorkerProcess } from "./worker-process.ts";

/** When every simulation begins: far ahead, so that no key of it has expired by the real clock. */
export const BEGINS_AT = Date.UTC(2040, 0, 15, 12);

/** Once faults have stopped, everything ends within so long. */
const ENDS_WITHIN_MS = 180_000;

/** Then it comes to rest, also where the platform is late to notice that a worker has gone. */
const COMES_TO_REST_MS = NOTICED_MS + 35_000;

/** What shards have lent to each other ends by itself within so long: twice the time for which it was in use. */
const LOANS_END_WITHIN_MS = 2 * ENDS_WITHIN_MS;

/** Workers that are drained at rest have left within so long. */
const LEAVES_WITHIN_MS = 20_000;

/** Fields of log lines that tell the reader of a trace nothing. */
const UNTOLD = ["time", "level", "tenant_id", "shard", "request_id"];

export interface SimulationOptions {
  postgres: Postgres;
  print?: ((line: string) => void) | undefined;
}

let made = 0;

export class Simulation {
  readonly scenario: Scenario;
  readonly history: History;
  readonly trace: Trace;
  readonly clock = new VirtualClock(BEGINS_AT);
  readonly workers: WorkerProcess[] = [];
  readonly clients: ClientProcess[] = [];
  /** When faults stopped. */
  calmAt = 0;
  rest: Rest | undefined;
  readonly #postgres: Postgres;
  readonly #random: Random;
  readonly #weather: Weather;
  readonly #surroundings: Surroundings;
  readonly #database: SimulatedDatabase;
  readonly #network: Network;
  readonly #edge: EdgeWorker;
  readonly #transport: ApiTransport;
  readonly #objects: Objects;
  readonly #director: SimulatedProcess;
  readonly #tenant: string;
  // Its own each time: an isolate remembers tokens, and a repeated seed must not find its own.
  readonly #token = `token-${++made}`;
  #isCalm = false;

  constructor(scenario: Scenario, { postgres, print }: SimulationOptions) {
    this.scenario = scenario;
    this.#postgres = postgres;
    this.#random = new Random(`seed ${scenario.seed}`);
    this.#weather = scenario.weather;
    this.trace = new Trace(this.clock, print);
    this.history = new History(this.trace, this.clock);
    this.#tenant = this.#random.stream("tenant").uuid();
    const surroundings = {
      clock: this.clock,
      trace: this.trace,
      history: this.history,
      random: this.#random.stream("processes"),
      log: (who: string, line: string) => this.#log(who, line),
    } as Surroundings;
    this.#surroundings = surroundings;
    const parts = { surroundings, weather: this.#weather };
    this.#database = new SimulatedDatabase(postgres, {
      ...parts,
      random: this.#random.stream("database"),
    });
    this.#objects = new Objects(
      { ...parts, random: this.#random.stream("platform") },
      { DATABASE_URL: "postgres://simulated", LOG_LEVEL: print ? "debug" : "error" },
    );
    this.#edge = new EdgeWorker(
      surroundings,
      this.#objects.environment,
      this.#random.stream("edge"),
    );
    this.#network = new Network(
      surroundings,
      this.#weather,
      this.#edge,
      this.#random.stream("network"),
    );
    this.#transport = new ApiTransport(
      surroundings,
      this.#edge,
      this.#weather,
      this.#random.stream("api"),
    );
    surroundings.database = this.#database;
    surroundings.network = this.#network;
    this.#director = new SimulatedProcess("director", surroundings);
  }

  /** Runs it from its first moment to its rest. */
  async run(): Promise<void> {
    const { scenario, clock } = this;
    await this.#prepare();
    this.#edge.startClock();
    for (const plan of scenario.workers) this.#at(plan.atMs, () => this.#join(plan));
    for (const plan of scenario.starts) {
      for (let number = 0; number < plan.clients; number++) {
        const client = new ClientProcess(`${plan.label} client${number}`, plan, {
          ...this.#parts,
          isFirst: number === 0,
        });
        this.clients.push(client);
        this.#at(plan.atMs, () => client.start());
      }
    }
    for (const change of scenario.limitChanges) {
      this.#at(change.atMs, () => new LimitChanger(change, scenario, this.#parts).start());
    }
    for (const plan of scenario.reshardings) {
      this.#at(plan.atMs, () => new Resharder(plan, this.#parts).start());
    }
    for (const plan of scenario.abandoned) {
      this.#at(plan.atMs, () => abandonResharding(plan, this.#edge, this.#parts));
    }
    for (const plan of scenario.faults) this.#at(plan.atMs, () => this.#throw(plan));
    this.#at(scenario.calmAtMs, () => this.#calmDown());
    const deadline = BEGINS_AT + scenario.calmAtMs + ENDS_WITHIN_MS;
    const hasEnded = await clock.run(() => this.#isCalm && this.#isEverythingDone, deadline);
    if (!hasEnded) return;
    this.trace.note("director", "everything has ended");
    await this.#comeToRest();
  }

  /** How often a shard was brought into memory. */
  get lives(): number {
    return this.#objects.all.reduce((sum, { lives }) => sum + lives, 0);
  }

  get #parts() {
    return {
      surroundings: this.#surroundings,
      transport: this.#transport,
      address: { url: "http://skein.simulated", token: this.#token },
    };
  }

  get #isEverythingDone(): boolean {
    return this.clients.every(({ isDone }) => isDone);
  }

  async #prepare(): Promise<void> {
    for (const { forgetDefinitions } of isolates) forgetDefinitions(this.#tenant);
    await this.#postgres.empty();
    await this.#postgres.query("insert into v1.tenant (id, name) values ($1, $2)", [
      this.#tenant,
      "simulated",
    ]);
    for (const change of ["open_shards", "set_shards"]) {
      const numbers = [this.#tenant, this.scenario.shards];
      await this.#postgres.query(`select v1.${change}($1, $2)`, numbers);
    }
    for (const { name, ...stored } of this.scenario.storedLimits) {
      const { rate, ...options } = storedOptions(stored);
      const put = { ...options, ...(rate && { rate: checkedRate(rate, name) }) };
      const values = [this.#tenant, name, JSON.stringify(put), MAX_STORED_LIMITS];
      await this.#postgres.query("select v1.put_limit($1, $2, $3::jsonb, $4)", values);
    }
    const hash = Buffer.from(await hashToken(this.#token)).toString("hex");
    await this.#postgres.query(
      "insert into v1.api_token (id, tenant_id, name, prefix, hash) values ($1, $2, 'all', 'token', $3)",
      [this.#random.stream("token").uuid(), this.#tenant, `\\x${hash}`],
    );
  }

  #at(ms: number, run: () => void): void {
    this.#director.after(ms, run);
  }

  #join(plan: WorkerPlan): void {
    const { scenario } = this;
    const random = this.#random.stream("handlers");
    const process = new WorkerProcess(`${plan.name}#${this.workers.length}`, plan, {
      ...this.#parts,
      workflows: scenario.workflows,
      storedLimits: scenario.storedLimits,
      runHandler: async (ctx, worker) => {
        const own = random.stream(`${ctx.taskId} ${ctx.attempt}`);
        return await behave(ctx, worker, own, this.#isCalm ? {} : scenario.behaviours);
      },
    });
    this.workers.push(process);
    process.start();
  }

  #throw({ kind, isEverywhere }: FaultPlan): void {
    const random = this.#random.stream(`fault ${this.trace.elapsedMs}`);
    const { shards } = this.#objects;
    const picked = random.stream("shard").pick(shards);
    if (picked === undefined) return;
    const hit = isEverywhere && isOfShards(kind) ? shards : [picked];
    for (const host of hit) {
      const whom = FAULTS[kind](this.#targets(host, random));
      if (whom !== undefined) this.trace.throws(kind, "director", whom);
    }
    this.#replaceLater(random);
  }

  #targets(host: ObjectHost, random: Random): Targets {
    return {
      random,
      weather: this.#weather,
      database: this.#database,
      host,
      shards: this.#objects.shards,
      drain: this.#objects.named(drainName({ queue: "events", partition: 0 })),
      links: this.#network.healthy,
      workers: this.workers.filter(({ isAlive }) => isAlive),
      join: () => this.#joinAnother(random),
      platform: this.#director,
    };
  }

  /** Somebody starts another process for each worker that has died. */
  #replaceLater(random: Random): void {
    if (random.chance(0.7)) this.#at(random.between(500, 8_000), () => this.#joinMissing());
  }

  #joinMissing(): void {
    if (this.#isCalm) return;
    for (const plan of this.scenario.workers) {
      const own = this.workers.filter((worker) => worker.plan.name === plan.name);
      if (own.length > 0 && own.every(({ isAlive }) => !isAlive)) this.#join(plan);
    }
  }

  #joinAnother(random: Random): void {
    const plan = random.pick(this.scenario.workers);
    if (plan) this.#join(plan);
  }

  /** Faults stop, what can't recover is replaced, and somebody healthy comes. */
  #calmDown(): void {
    this.#isCalm = true;
    this.calmAt = this.clock.now;
    this.trace.note("director", "faults stop");
    Object.assign(this.#weather.database, calmWeather().database);
    Object.assign(this.#weather.network, calmWeather().network);
    Object.assign(this.#weather.api, calmWeather().api);
    Object.assign(this.#weather.alarms, calmWeather().alarms);
    Object.assign(this.#weather.shard, calmWeather().shard);
    for (const worker of this.workers) {
      if (worker.isAlive && (worker.isHung || worker.blockedUntil > this.clock.now)) worker.kill();
    }
    const workflows = this.scenario.workflows.map(({ name }) => name);
    this.#join({ name: "healthy", atMs: 0, slots: 4, zone: ZONE, workflows });
  }

  async #comeToRest(): Promise<void> {
    const { clock } = this;
    await clock.run(() => false, clock.now + COMES_TO_REST_MS);
    await clock.run(() => isAtRest(this.#objects), clock.now + LOANS_END_WITHIN_MS);
    if (await isSomethingDue(this.#postgres, clock.now)) {
      // A shard that could not be told finds what is for it within a minute, and not sooner.
      await clock.run(() => false, clock.now + MINUTE_MS);
      await clock.run(() => isAtRest(this.#objects), clock.now + LOANS_END_WITHIN_MS);
    }
    this.rest = await watchRest(clock, {
      objects: this.#objects,
      database: this.#database,
      network: this.#network,
      workers: this.workers,
    });
    for (const worker of this.workers) if (worker.isAlive) worker.drain();
    const haveLeft = (): boolean => this.workers.every(({ isAlive }) => !isAlive);
    if (!(await clock.run(haveLeft, clock.now + LEAVES_WITHIN_MS))) {
      this.history.blame("a worker that was drained at rest did not end");
    }
  }

  #log(who: string, line: string): void {
    const { event, ...fields } = JSON.parse(line) as Record<string, unknown>;
    const told = Object.entries(fields).filter(([name]) => !UNTOLD.includes(name));
    const text = told.map(([name, value]) => `${name}=${String(value)}`).join(" ");
    this.trace.remark(who, `${String(event)} ${text}`);
    // The one says that the product threw; the other that Postgres refuses what it was sent.
    if (event === "alarm.failed" || event === "commit.refused") this.history.blame(line);
  }
}
