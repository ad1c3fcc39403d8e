/**
 * The Durable Objects of one installation: each is hosted from the first call to its name on. Whoever has the
 * environment reaches them, also one of them another.
 */
import { DispatcherShard } from "../../durable-objects/dispatcher-shard.ts";
import { parseShardName } from "../../durable-objects/dispatcher/shard-name.ts";
import type { Environment } from "../../workers/environment.ts";
import { QueueDrain } from "../../workers/messages/queue-drain.ts";
import { ScheduleClock } from "../../workers/schedules/schedule-clock.ts";
import { namespaceOf } from "./edge-worker.ts";
import { ObjectHost } from "./object-host.ts";
import type { Random } from "./random.ts";
import type { Surroundings } from "./simulated-process.ts";
import type { Weather } from "./weather.ts";

type ObjectClass = new (context: DurableObjectState, environment: Environment) => unknown;

interface ObjectParts {
  surroundings: Surroundings;
  weather: Weather;
  random: Random;
}

export class Objects {
  readonly environment: Environment;
  readonly #parts: ObjectParts;
  readonly #hosts = new Map<string, ObjectHost>();
  readonly #shards: ObjectHost[] = [];

  constructor(
    parts: ObjectParts,
    environment: Omit<Environment, "DISPATCHER" | "QUEUE_DRAIN" | "SCHEDULE_CLOCK">,
  ) {
    this.#parts = parts;
    this.environment = {
      ...environment,
      DISPATCHER: namespaceOf((name) => this.#shard(name)),
      QUEUE_DRAIN: namespaceOf((name) => this.#host(name, "drain", QueueDrain)),
      SCHEDULE_CLOCK: namespaceOf((name) => this.#host(name, "clock", ScheduleClock)),
    };
  }

  get all(): ObjectHost[] {
    return [...this.#hosts.values()];
  }

  /** Those that have been called so far, in the order of their numbers. */
  get shards(): readonly ObjectHost[] {
    return this.#shards;
  }

  named(name: string): ObjectHost | undefined {
    return this.#hosts.get(name);
  }

  #shard(name: string): ObjectHost {
    const known = this.#hosts.get(name);
    if (known !== undefined) return known;
    const host = this.#host(name, `shard${numberOf(name)}`, DispatcherShard);
    this.#shards.push(host);
    this.#shards.sort((one, other) => numberOf(one.id) - numberOf(other.id));
    return host;
  }

  #host(name: string, called: string, Class: ObjectClass): ObjectHost {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      const random = this.#parts.random.stream(called);
      const make = (context: unknown): unknown =>
        new Class(context as DurableObjectState, this.environment);
      host = new ObjectHost(name, called, make, { ...this.#parts, random });
      this.#hosts.set(name, host);
    }
    return host;
  }
}

function numberOf(name: string): number {
  return parseShardName(name).shard;
}
