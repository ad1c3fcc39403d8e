/**
 * Events against filters: how many are judged and stored in a second with ten filters of their workflow,
 * with ten thousand that an equality tells apart, and with ten thousand of all kinds. No event meets a
 * filter, so no run is started: what differs between them is the filters alone. They take turns.
 */
import type { FilterOptions } from "@skein/sdk";
import { Client, workflow } from "@skein/sdk";
import { machineMs } from "./clock.ts";
import { bodyOf, type HttpConnection, openConnections } from "./load.ts";
import type { Rig } from "./rig.ts";
import type { Effort, EventsScenario, Measured, Result } from "./scenarios.ts";
import { median, spread } from "./statistics.ts";

const FEW = 10;
const MANY = 10_000;
const EVENTS_PER_CALL = 100;
const CALLS_IN_FLIGHT = 8;

/** Elements of the list that some filters walk through. */
const ITEMS = 20;
const STATES = ["open", "paid", "shipped", "returned"];

/** A workflow with a key and filters of its own. */
interface Target {
  key: string;
  perSecond: number[];
  /** Events of one repetition. */
  events: number;
}

export async function measureEvents(
  rig: Rig,
  scenario: EventsScenario,
  effort: Effort,
): Promise<Measured> {
  const token = await rig.makeTenant();
  const client = new Client({ url: rig.url, token });
  const few = await prepare(client, "few", FEW, selective);
  const many = await prepare(client, "many", MANY, selective);
  const mixed = await prepare(client, "mixed", MANY, anyKind);
  const connections = await openConnections(rig.url, token, CALLS_IN_FLIGHT);
  try {
    for (const target of [few, many, mixed]) await warmUp(connections, target, effort);
    for (let number = 0; number < effort.repetitions; number++) {
      for (const target of [few, many, mixed]) {
        target.perSecond.push(await load(connections, target));
      }
    }
  } finally {
    for (const connection of connections) connection.close();
  }
  return {
    results: [rowOf(scenario.name, many, few), rowOf(`${scenario.name}-mixed`, mixed, few)],
    notes: [
      `raw: the same with ${FEW} filters; ${MANY} by customer, and ${MANY} of which 6 in 10 are by customer`,
    ],
  };
}

async function prepare(
  client: Client,
  name: string,
  count: number,
  filterOf: (number: number) => FilterOptions,
): Promise<Target> {
  const key = `bench:${name}`;
  const filters = Array.from({ length: count }, (_, number) => filterOf(number));
  // As a few would be; and so many as a tenant may store are the others'.
  const areDeclared = count <= FEW;
  const listener = workflow({
    name: `bench-events-${name}`,
    on: { events: [key] },
    filters: areDeclared ? filters : [],
  });
  listener.step("only", { run: () => null });
  await client.register(listener);
  if (!areDeclared) await client.filters.createMany(listener.name, filters);
  return { key, perSecond: [], events: CALLS_IN_FLIGHT * EVENTS_PER_CALL };
}

function selective(number: number): FilterOptions {
  return { expression: `input.customer == "c-${number}" && input.amount > ${1_000 + number}` };
}

/** Most are for one customer; some for many, with and without a look at whether a field is there. */
function anyKind(number: number): FilterOptions {
  const kind = number % 20;
  if (kind < 12) return selective(number);
  if (kind < 17) {
    const state = STATES[number % STATES.length];
    return { expression: `input.state == "${state}" && input.amount > ${1_000 + number}` };
  }
  if (kind < 19) {
    return { expression: `has(input.vip) && input.vip || input.amount > ${1_000 + number}` };
  }
  return { expression: `input.items.exists(item, item.price > ${1_000 + number})` };
}

/** The isolate reads the filters, and the machine is known: a repetition takes as long as it should. */
async function warmUp(
  connections: HttpConnection[],
  target: Target,
  { repetitionMs }: Effort,
): Promise<void> {
  const perSecond = await load(connections, target);
  const calls = Math.ceil((perSecond * repetitionMs) / 1_000 / EVENTS_PER_CALL);
  target.events = Math.max(CALLS_IN_FLIGHT, calls) * EVENTS_PER_CALL;
}

/** Events a second, from the first call until all are answered. */
async function load(connections: HttpConnection[], { key, events }: Target): Promise<number> {
  const body = JSON.stringify({
    events: Array.from({ length: EVENTS_PER_CALL }, (_, n) => eventOf(key, n)),
  });
  let left = events / EVENTS_PER_CALL;
  const startedAt = machineMs();
  await Promise.all(
    connections.map(async (connection) => {
      while (left-- > 0) {
        const answer = await connection.request("POST", "/api/v1/events/bulk", body);
        if (bodyOf(answer, "POST /events/bulk").includes('"runs":["')) {
          throw new Error("An event has met a filter, which none should.");
        }
      }
    }),
  );
  return (events * 1_000) / (machineMs() - startedAt);
}

function eventOf(key: string, number: number): { key: string; payload: object } {
  const items = Array.from({ length: ITEMS }, (_, index) => ({ sku: `s-${index}`, price: index }));
  const state = STATES[number % STATES.length];
  return { key, payload: { customer: `c-${number % FEW}`, state, amount: number, items } };
}

function rowOf(name: string, { perSecond }: Target, beside: Target): Result {
  const raw = median(beside.perSecond);
  return {
    name,
    unit: "events/s",
    median: median(perSecond),
    p50: null,
    p99: null,
    spread: spread(perSecond),
    raw,
    ratio: median(perSecond) / raw,
  };
}
