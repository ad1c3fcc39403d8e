/**
 * The chaos of events: thousands are published, and published again, under idempotency keys, while the
 * tenant's commits are held up so that its shard can take no more, and then shard, drain, workerd and
 * Postgres are killed. Each event must be stored once, and start its run once, whoever was answered what.
 */
import { setMaxListeners } from "node:events";
import pg from "pg";
import { SkeinError, workflow } from "../../sdk/index.ts";
import type { PublishedEvent, PublishItem } from "../../sdk/index.ts";
import { MAX_PENDING_BYTES } from "../../durable-objects/dispatcher/limits.ts";
import { split } from "../../bench/statistics.ts";
import type { SeededRandom } from "./random.ts";
import type { ChaosWorld } from "./world.ts";

/** Events in one call, and calls at once. */
const CALL_SIZE = 100;
const PUBLISHERS = 8;

/** Published again, of a hundred. */
const REPEATED = 50;

/**
 * Events that fill the 32 MiB that a shard holds before it takes no more: first in large steps, then in
 * small ones, so that no call of the storm's fits beside them: it would wait for as long as a commit may.
 */
const FILLER_STEPS = [1024 * 1024 - 1_024, 64 * 1024, 16 * 1024];
const FILLERS_A_STEP = 40;
const FILLER_ENVELOPE_BYTES = 200;
const EVENT_BYTES = 400;

/** What is not published and done by then is judged as it is. */
const LIMIT_MS = 120_000;
const LOOK_EVERY_MS = 50;

const KEY = "chaos:event";
const FILLER_KEY = "chaos:filler";
const LISTENER = "chaos-listener";

export interface EventsOutcome {
  events: number;
  /** Answers that an event was accepted only. */
  accepted: number;
  /** Calls that were not answered, and were sent again. */
  repeated: number;
  thrown: string[];
  /** What was broken; nothing when all was kept. */
  breaches: string[];
  elapsedMs: number;
}

type Kill = (world: ChaosWorld) => Promise<void>;

const KILLS: readonly (readonly [what: string, kill: Kill])[] = [
  ["shard and drain crash", (world) => world.stack.workerd.crashShards()],
  [
    "kill -9 Postgres",
    async ({ postgres }) => {
      await postgres.kill();
      await postgres.restart();
    },
  ],
  [
    "kill -9 workerd",
    async ({ stack }) => {
      await stack.workerd.kill();
      await stack.workerd.restart();
    },
  ],
];

/** One event of the storm, and whoever was answered what about it. */
interface Published {
  item: PublishItem;
  ids: Set<string>;
}

class Storm {
  accepted = 0;
  answered = 0;
  repeated = 0;
  readonly published = new Map<string, Published>();
  readonly thrown: string[] = [];
  readonly #world: ChaosWorld;
  readonly #signal: AbortSignal;

  constructor(world: ChaosWorld, signal: AbortSignal) {
    this.#world = world;
    this.#signal = signal;
  }

  async publishAll(names: readonly string[]): Promise<void> {
    const calls = split(names, Math.ceil(names.length / CALL_SIZE)).values();
    const publisher = async (): Promise<void> => {
      for (const call of calls) await this.publish(call.map(itemOf));
    };
    await Promise.all(Array.from({ length: PUBLISHERS }, publisher));
  }

  /** As a user's program would: again, under the same keys, until it is answered. */
  async publish(items: PublishItem[]): Promise<void> {
    for (;;) {
      try {
        const answers = await this.#world.client.publishMany(items, { signal: this.#signal });
        return this.#note(items, answers);
      } catch (error) {
        if (!(error instanceof SkeinError) || (error.status !== 0 && error.status < 500))
          throw error;
        this.repeated++;
      }
    }
  }

  #note(items: PublishItem[], answers: PublishedEvent[]): void {
    for (const [index, { id, accepted }] of answers.entries()) {
      const item = items[index];
      const name = item?.idempotencyKey ?? "";
      const known = this.published.get(name);
      if (known) known.ids.add(id);
      else if (item) this.published.set(name, { item, ids: new Set([id]) });
      this.answered++;
      if (accepted) this.accepted++;
    }
  }

  async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await isSo())) {
      this.#signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }
}

function itemOf(name: string): PublishItem {
  return { key: KEY, payload: "e".repeat(EVENT_BYTES), metadata: { name }, idempotencyKey: name };
}

export async function playEvents(
  world: ChaosWorld,
  count: number,
  random: SeededRandom,
  stopping?: AbortSignal,
): Promise<EventsOutcome> {
  const beganAt = Date.now();
  const limit = AbortSignal.timeout(LIMIT_MS);
  const signal = stopping === undefined ? limit : AbortSignal.any([limit, stopping]);
  setMaxListeners(0, signal);
  const storm = new Storm(world, signal);
  await world.client.register(listener(), { signal });
  try {
    await rage(storm, world, count, random);
    await storm.until(async () => (await world.read((history) => history.messages())) === 0);
  } catch (error) {
    if (!limit.aborted) throw error; // what is missing then is for the check to say
  }
  const found = await world.read((history) => history.events(KEY));
  const left = await world.read((history) => history.messages());
  await world.client.runs.cancelMany({ workflow: LISTENER });
  return {
    events: storm.published.size,
    accepted: storm.accepted,
    repeated: storm.repeated,
    thrown: storm.thrown,
    breaches: [
      ...checkEvents(storm, count, found),
      ...(left > 0 ? [`${left} messages are left`] : []),
    ],
    elapsedMs: Date.now() - beganAt,
  };
}

/** Nobody executes its runs, which are cancelled in the end: whether they are started is the question. */
function listener() {
  const listening = workflow({ name: LISTENER, on: { events: [KEY] } });
  listening.step("only", { run: () => null });
  return listening;
}

/** A portion of the events for each kill: half while all is well, half while the shard takes no more. */
async function rage(
  storm: Storm,
  world: ChaosWorld,
  count: number,
  random: SeededRandom,
): Promise<void> {
  const names = Array.from({ length: count }, (_, number) => `event-${number}`);
  const portions = split(names, KILLS.length);
  const fillers: Promise<void>[] = [];
  for (const [index, [what, kill]] of random.shuffle(KILLS).entries()) {
    const portion = portions[index] ?? [];
    const [well = [], held = []] = split(portion, 2);
    await storm.publishAll(well);
    const again = portion.filter(() => random.below(100) < REPEATED);
    const release = await holdCommits(world);
    fillers.push(...(await fill(storm, world, index)));
    const acceptedBefore = storm.accepted;
    const publishing = storm.publishAll([...held, ...again]);
    await Promise.race([
      storm.until(() => storm.accepted >= acceptedBefore + held.length / 2),
      publishing,
    ]);
    storm.thrown.push(what);
    await Promise.all([kill(world), release()]);
    await publishing;
    // Once more, while the drain reads what was accepted.
    if (index === KILLS.length - 1) {
      storm.thrown.push("shard and drain crash");
      await world.stack.workerd.crashShards();
    }
  }
  await Promise.all(fillers);
}

/** Keeps the tenant's commits waiting at the database, as one that is slow would. */
async function holdCommits(world: ChaosWorld): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: world.postgres.url });
  client.on("error", () => {}); // it may be killed with Postgres
  await client.connect();
  await client.query("select pg_advisory_lock(v1.shard_lock($1, 0))", [world.tenant]);
  return async () => {
    await client.end().catch(() => {});
  };
}

/** Publishes events that nobody listens to until the shard takes no more; their calls go on. */
async function fill(storm: Storm, world: ChaosWorld, round: number): Promise<Promise<void>[]> {
  const calls: Promise<void>[] = [];
  for (const bytes of FILLER_STEPS) {
    for (let number = 0; number < FILLERS_A_STEP; number++) {
      const idempotencyKey = `filler-${round}-${bytes}-${number}`;
      calls.push(storm.publish([{ key: FILLER_KEY, payload: "x".repeat(bytes), idempotencyKey }]));
    }
    await storm.until(async () => {
      const { pendingBytes } = await world.readShard();
      return pendingBytes + bytes + FILLER_ENVELOPE_BYTES > MAX_PENDING_BYTES;
    });
  }
  return calls;
}

interface FoundEvent {
  name: string | null;
  ids: string[];
  runs: number;
  told: number;
}

function checkEvents(storm: Storm, count: number, found: readonly FoundEvent[]): string[] {
  const byName = new Map(found.map((event) => [event.name, event]));
  const breaches: string[] = [];
  const asked = [...storm.published].filter(([, { item }]) => item.key === KEY);
  if (asked.length !== count) breaches.push(`${asked.length} of ${count} events were answered`);
  for (const [name, { ids: told }] of asked) {
    const event = byName.get(name);
    byName.delete(name);
    if (event === undefined) breaches.push(`${name} was answered, and is lost`);
    else {
      if (event.ids.length !== 1) breaches.push(`${name} is stored ${event.ids.length} times`);
      if (event.runs !== 1 || event.told !== 1) {
        breaches.push(`${name} has started ${event.runs} runs, and names ${event.told}`);
      }
      for (const id of told) {
        if (!event.ids.includes(id))
          breaches.push(`${name} was answered as ${id}, and is not that`);
      }
    }
  }
  for (const [name] of byName) breaches.push(`${name} is stored, and nobody published it`);
  return breaches;
}
