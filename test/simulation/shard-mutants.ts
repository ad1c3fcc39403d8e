/** Ways to break what many shards of a tenant are to each other. */
import type { Mutant } from "./mutants.ts";

export const SHARD_MUTANTS: readonly Mutant[] = [
  {
    name: "neither a shard nor the clock tells another that it has something to do",
    file: "durable-objects/shard-landing.ts",
    from: "if (reply.touched) this.#peers.nudge(reply.touched);",
    to: "",
    also: {
      file: "workers/cron/every-minute.ts",
      from: "nudgeShards(env, log, busy),",
      to: "",
    },
    foundBy: ["every accepted run ends", "nothing is left over"],
    theme: "resharding",
  },
  {
    name: "workers are not told of other shards",
    file: "durable-objects/shard-closing.ts",
    from: "this.#sessions.announce(frame);",
    to: "",
    foundBy: ["every worker is connected to each shard that is wanted, and to no other"],
    theme: "resharding",
  },
  {
    name: "what is lent is forgotten when the shard begins anew",
    file: "durable-objects/shard-loans.ts",
    from: `    storage.writeLent(lending.takeChanged());
    this.#calls.endRests(now);`,
    to: `    lending.takeChanged();
    this.#calls.endRests(now);`,
    foundBy: ["no limit is exceeded"],
    theme: "limits",
    firstSeed: 50,
  },
  {
    name: "a shard lends what it has begun to own before others have said what they hold",
    file: "durable-objects/shard-gathering.ts",
    from: "lending.isClosed = !ownership.isAlone && this.#gathered !== this.#calls.term;",
    to: "lending.isClosed = false && !ownership.isAlone && this.#gathered !== this.#calls.term;",
    foundBy: ["no limit is exceeded", "no rate is exceeded"],
    theme: "limits",
    firstSeed: 40,
  },
  {
    name: "permits that are lent of two keys are one",
    file: "durable-objects/dispatcher/lent.ts",
    from: "${shard}/${generation}/${this.line.number}/${this.#lastHolder++}",
    to: "${shard}/${generation}/${this.#lastHolder++}",
    foundBy: ["no limit is exceeded"],
    theme: "limits",
  },
];
