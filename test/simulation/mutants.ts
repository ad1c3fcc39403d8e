/**
 * Ways to break the product on purpose, each by changing one place of one source as it is loaded. A
 * simulation that doesn't notice is worth nothing: each of these must be found by its check, within
 * a few seeds. A place that is no longer in its file is an error, so that none is lost unnoticed.
 */

import type { Rewrite } from "./postgres.ts";
import { SHARD_MUTANTS } from "./shard-mutants.ts";
import type { AskedShards } from "./shard-plans.ts";
import type { ThemeName } from "./themes.ts";

export interface Edit {
  /** From the root of the project. */
  file: string;
  /** Stands in the file exactly once. */
  from: string;
  to: string;
}

export interface Mutant extends Edit {
  /** What is wrong with it. */
  name: string;
  /** Another place that has to be changed with it. */
  also?: Edit;
  /** Names of checks of which one at least must find it. */
  foundBy: string[];
  /** The kind of bad day that finds it soonest. */
  theme?: ThemeName;
  /** Default one: what is not of many shards is found sooner. */
  shards?: AskedShards;
  /** Where to begin, for one that few days find: there is one within a hundred. Default 1. */
  firstSeed?: number;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: "a result of an older attempt is recorded",
    file: "migrations/functions/complete_tasks.sql",
    from: "where t.id = x.t and v1.run_id(x.t) = x.r and t.attempt = x.a - 1",
    to: "where t.id = x.t and v1.run_id(x.t) = x.r",
    foundBy: ["every attempt of a task is in its history, once"],
    theme: "patience",
  },
  {
    name: "a repeated commit hands nothing out",
    file: "migrations/functions/commit.sql",
    from: "select u.id from unnest(v_prior) u(id) where not",
    to: "select u.id from unnest(v_prior) u(id) where false and not",
    foundBy: ["every accepted run ends"],
    theme: "database",
  },
  {
    name: "a commit doesn't write down what it hands out",
    file: "migrations/functions/commit.sql",
    from: "if cardinality(v_handed) > 0 then",
    to: "if false then",
    foundBy: ["every accepted run ends"],
    theme: "shard",
  },
  {
    name: "a call is answered before its commit has landed",
    file: "durable-objects/shard-calls.ts",
    from: `      refused: (error) => answer({ kind: "refused", message: errorFields(error).error }),
    });`,
    to: `      refused: (error) => answer({ kind: "refused", message: errorFields(error).error }),
    });
    answer({ kind: "committed", outcome: { events: {}, starts: {} } });`,
    foundBy: ["nothing accepted is lost"],
  },
  {
    name: "a result is acknowledged before its commit has landed",
    file: "durable-objects/shard-attempts.ts",
    from: `    const d = report.retryAt;
    lease.state = "ending";`,
    to: `    const d = report.retryAt;
    const { task, attempt } = lease;
    this.#state.outbox.add(session.id, { type: "recorded", task, attempt });
    lease.state = "ending";`,
    foundBy: ["what a worker is told of its result is true"],
    theme: "epochs",
  },
  {
    name: "leases are not kept in the shard's storage",
    file: "durable-objects/shard-attempts.ts",
    from: "storage.writeLeases([...returned, ...placed]);",
    to: "",
    foundBy: ["no fencing token is given twice, and they rise"],
    theme: "shard",
  },
  {
    name: "a shard without its memory gives the same attempts again",
    file: "migrations/functions/recover_shard.sql",
    from: "or (p->>'epoch')::bigint = v_epoch - 1;",
    to: "or true;",
    foundBy: ["no fencing token is given twice, and they rise"],
    theme: "shard",
  },
  {
    name: "a step waits for one parent fewer than it has",
    file: "migrations/functions/start_runs.sql",
    from: "case when x.ru is null then cardinality(d.parents)",
    to: "case when x.ru is null then greatest(cardinality(d.parents) - 1, least(cardinality(d.parents), 1))",
    foundBy: ["no step starts before its parents have completed, or are skipped"],
    theme: "calm",
  },
  {
    name: "idempotency keys are not looked at",
    file: "migrations/functions/claim_keys.sql",
    from: "where i.id <> x.id",
    to: "where false",
    foundBy: ["one wish is one run"],
    theme: "network",
  },
  {
    name: "a worker believes in its leases for too long",
    file: "sdk/session/heartbeat.ts",
    from: `const limit = this.#confirmedAt + limitMs - leaseMarginMs(limitMs);
    if (`,
    to: `const limit = this.#confirmedAt + 2 * limitMs;
    if (limitMs > 0) return limit;
    if (`,
    foundBy: ["a handler is told to stop before its task runs elsewhere"],
    theme: "rescue",
  },
  {
    name: "a silent worker is given up too late",
    file: "durable-objects/shard-sessions.ts",
    from: "this.heardAt(session.id) + session.heartbeatLimitMs <= now",
    to: "this.heardAt(session.id) + session.heartbeatLimitMs + 5_000 <= now",
    foundBy: ["a dead worker's tasks run elsewhere in time"],
    theme: "rescue",
  },
  {
    name: "a retry doesn't wait for its backoff",
    file: "durable-objects/dispatcher/retries.ts",
    from: "return Math.round(waitMs * (1 - jitter * random()));",
    to: "return Math.round(waitMs * (1 - jitter * random()) * 0.3);",
    foundBy: ["no retry comes before its wait is over"],
    theme: "calm",
  },
  {
    name: "a step is tried once more than it may be",
    file: "durable-objects/dispatcher/retries.ts",
    from: "failures >= policy.retries ||",
    to: "failures > policy.retries ||",
    foundBy: ["a task fails no more often than its retries allow"],
    theme: "calm",
  },
  {
    name: "steps are undone in the order in which they were done",
    file: "migrations/functions/unwind_runs.sql",
    from: "order by t.finished_at desc,",
    to: "order by t.finished_at asc,",
    foundBy: ["a failed run is undone, the last step first, then its onFailure is called"],
    theme: "calm",
  },
  {
    name: "the connection to the database stays open",
    file: "durable-objects/dispatcher-shard.ts",
    from: `this.#database.closeAll();
    this.#commits.rest(this.#closing.nextDue);`,
    to: "this.#commits.rest(this.#closing.nextDue);",
    foundBy: ["idle costs nothing"],
    theme: "calm",
  },
  {
    name: "the permits of attempts are forgotten when the shard begins anew",
    file: "durable-objects/shard-state.ts",
    from: "for (const { id } of lease.holds) this.permits.take(id, key);",
    to: "",
    foundBy: ["no limit is exceeded"],
    theme: "limits",
  },
  {
    name: "the permits of runs are forgotten when the shard begins anew",
    file: "durable-objects/shard-state.ts",
    from: "for (const id of ids) this.permits.take(id, run);",
    to: "",
    foundBy: ["no limit is exceeded"],
    theme: "limits",
  },
  {
    name: "a task takes its first permit and not the others",
    file: "durable-objects/dispatcher/scheduler.ts",
    from: "permits.take(need.id, holder);",
    to: "if (permits.heldBy(holder).length === 0) permits.take(need.id, holder);",
    foundBy: ["no limit is exceeded"],
    theme: "limits",
  },
  {
    name: "permits are never given back",
    file: "durable-objects/shard-limits.ts",
    from: "this.#state.permits.release(leaseKey(lease));",
    to: "void lease;",
    foundBy: ["every accepted run ends"],
    theme: "limits",
  },
  {
    name: "a run that is over goes on holding its limits",
    file: "durable-objects/shard-limits.ts",
    from: "permits.release(run);",
    to: "",
    foundBy: ["every accepted run ends"],
    theme: "limits",
  },
  {
    name: "the buckets of rates are full when the shard begins anew",
    file: "durable-objects/shard-state.ts",
    from: "for (const [id, bucket] of this.storage.readBuckets()) this.buckets.restore(id, bucket);",
    to: "",
    foundBy: ["no rate is exceeded"],
    theme: "limits",
  },
  {
    name: "a worker without the labels that a step requires is given its tasks",
    file: "durable-objects/dispatcher/roster.ts",
    from: "request.isRequired !== true || meets(session.labels[label], request)",
    to: "request.isRequired !== true || meets(session.labels[label], request) || true",
    foundBy: ["a task goes to no worker that it may not go to"],
    theme: "limits",
  },
  {
    name: "what waits in a crowded window is never parked",
    file: "durable-objects/dispatcher/scheduler.ts",
    from: "if (parts.window.isCrowded) scheduled.parked = park(parts.window, permits);",
    to: "",
    foundBy: ["every accepted run ends"],
    theme: "limits",
  },
  {
    name: "limits are open while nobody knows who holds them",
    file: "durable-objects/shard-limits.ts",
    from: "permits.closedUntil = now + (unknownMs ?? 0);",
    to: "permits.closedUntil = now + 0 * (unknownMs ?? 0);",
    foundBy: ["no limit is exceeded"],
    theme: "limits",
    firstSeed: 215,
  },
  {
    name: "a task that is skipped is given to a worker all the same",
    file: "durable-objects/shard-gates.ts",
    from: `        this.#skip(task, verdict.why);
        return false;`,
    to: `        this.#skip(task, verdict.why);
        return true;`,
    foundBy: ["what is skipped runs nowhere, and only what is to be skipped is"],
  },
  {
    name: "a wait that looks back does so at nothing",
    file: "migrations/functions/begin_waits.sql",
    from: "where d.gate->'wait'->'conditions' @? '$[*].event'",
    to: "where false",
    foundBy: ["an event that was accepted in time is not missed by a wait, and no other ends it"],
  },
  {
    name: "a shard takes a delayed run for one that is ready",
    file: "durable-objects/dispatcher/transitions.ts",
    from: "return h !== true && at === undefined && ro === undefined;",
    to: "return h !== true && ro === undefined;",
    foundBy: ["no run begins before its delay is over"],
  },
  {
    name: "a delayed run has no moment",
    file: "migrations/functions/start_runs.sql",
    from: "coalesce(v1.moment(x.at), 'infinity'::timestamptz)",
    to: "'infinity'::timestamptz",
    foundBy: ["every accepted run ends"],
  },
  ...SHARD_MUTANTS.map((mutant) => ({ ...mutant, shards: "many" as const })),
];

/** Applies a mutant; `checkApplied` throws when a file of it was never read. */
export function rewriterOf(mutant: Mutant | undefined): {
  rewrite: Rewrite;
  checkApplied: () => void;
} {
  const edits = [mutant, mutant?.also].filter((edit) => edit !== undefined);
  const applied = new Set<Edit>();
  return {
    rewrite: (path, source) => {
      const edit = edits.find(({ file }) => file === path);
      if (edit === undefined) return source;
      if (source.split(edit.from).length !== 2) {
        throw new Error(`${path} does not have exactly once: ${edit.from}`);
      }
      applied.add(edit);
      return source.replace(edit.from, () => edit.to);
    },
    checkApplied: () => {
      for (const edit of edits) {
        if (!applied.has(edit)) throw new Error(`${edit.file} was never read`);
      }
    },
  };
}
