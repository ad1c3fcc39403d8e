/**
 * What was seen of a simulation from outside: what clients were promised, what workers and shards
 * said to each other, what became durable and when. The checks read it afterwards.
 */
import type { LimitsRow } from "../../database/definition-rows.ts";
import type { CommitReply, CommitRequest, RecoverReply } from "../../database/rows.ts";
import type { Json } from "../../protocol/json.ts";
import type { ShardMap } from "../../protocol/shard-map.ts";
import type { RunState } from "../../protocol/states.ts";
import type { AttemptRef, ShardFrame, WorkerFrame } from "../../protocol/session.ts";
import { Ledger } from "./ledger.ts";
import type { Bound } from "./limit-plans.ts";
import { Names } from "./names.ts";
import type { Postgres, Rows } from "./postgres.ts";
import { readRunState, type RecordedRun } from "./record.ts";
import type { Statement } from "./simulated-database.ts";
import type { Trace } from "./trace.ts";

/** A 2xx answer to a client's wish: from then on its runs happen, whatever dies. */
export interface Promised {
  /** What the client calls its wish; it is the idempotency key, and in the runs' metadata. */
  label: string;
  by: "run" | "bulk" | "event";
  /** The workflow, or the event's key. */
  what: string;
  runs: string[];
  at: number;
}

/** What a client was told of a run's end. */
export interface Told {
  run: string;
  client: string;
  state: RunState;
  outputs: { [step: string]: Json };
}

/** A client's wish to cancel a run, and what it was answered. */
export interface AskedToCancel {
  run: string;
  at: number;
  /** Whether the call cancelled it; undefined until it is answered. */
  answer: boolean | undefined;
}

/** A wish for another number of shards, and when it was answered. */
export interface AskedForShards {
  count: number;
  at: number;
  answeredAt: number | undefined;
}

/** How many shards the tenant has had in Postgres since then. */
export interface ShardsSet {
  count: number;
  at: number;
}

/** Bounds of stored limits, and since when a shard may know them: Postgres has told it, or its life before. */
export interface LimitsTold {
  shard: number;
  at: number;
  bounds: Map<string, Bound>;
}

/** Something that a worker or a shard said about an attempt, and when it was heard. */
export interface Said extends AttemptRef {
  type: "task" | "returned" | "recorded" | "stale" | "gone" | "cancel";
  /** The number of the shard. */
  shard: number;
  worker: string;
  at: number;
}

/** A commit's reply, as Postgres gives it. */
interface Reply {
  ready: CommitReply["ready"];
  told: CommitReply;
}

export class History {
  readonly names = new Names();
  readonly ledger = new Ledger();
  readonly promised: Promised[] = [];
  /** Events that were accepted only, and are to be published. */
  readonly accepted = new Set<string>();
  readonly told: Told[] = [];
  readonly askedToCancel: AskedToCancel[] = [];
  readonly limitsTold: LimitsTold[] = [];
  readonly askedForShards: AskedForShards[] = [];
  readonly shardsSet: ShardsSet[] = [];
  /** What shards said, when they said it, and what workers heard, when they heard it. */
  readonly said: Said[] = [];
  readonly heard: Said[] = [];
  /** Each finished run as it was when it had just finished. */
  readonly finished = new Map<string, RecordedRun>();
  /** What should never happen in the product, whatever is thrown at it. */
  readonly faults: string[] = [];
  readonly #trace: Trace;
  readonly #clock: { readonly now: number };

  constructor(trace: Trace, clock: { readonly now: number }) {
    this.#trace = trace;
    this.#clock = clock;
  }

  get now(): number {
    return this.#clock.now;
  }

  blame(text: string): void {
    this.faults.push(text);
    this.#trace.note("FAULT", text.split("\n")[0] ?? "");
  }

  asksToCancel(run: string): AskedToCancel {
    const asked: AskedToCancel = { run, at: this.now, answer: undefined };
    this.askedToCancel.push(asked);
    this.#trace.note("client", `cancels ${this.names.run(run)}`);
    return asked;
  }

  asksForShards(count: number): AskedForShards {
    const asked: AskedForShards = { count, at: this.now, answeredAt: undefined };
    this.askedForShards.push(asked);
    return asked;
  }

  shardSays(shard: number, worker: string, text: string): void {
    this.#keep(this.said, { shard, worker }, text);
  }

  workerHears(shard: number, worker: string, text: string): void {
    this.#trace.note(worker, `← shard${shard} ${this.summary(text)}`);
    this.#keep(this.heard, { shard, worker }, text);
  }

  shardHears(shard: number, worker: string, text: string): void {
    this.#trace.note(worker, `→ shard${shard} ${this.summary(text)}`);
  }

  /** A statement has taken effect; nobody has been told yet. */
  async executed(statement: Statement, rows: Rows | undefined, postgres: Postgres): Promise<void> {
    if (statement.text.includes("v1.recover_shard")) {
      const { limits } = Object.values(rows?.rows[0] ?? {})[0] as RecoverReply;
      this.#tellLimits(shardOf(statement), limits);
    }
    if (statement.text.includes("v1.set_shards")) {
      const { count } = Object.values(rows?.rows[0] ?? {})[0] as ShardMap;
      this.shardsSet.push({ count, at: this.now });
    }
    if (!isCommit(statement)) return;
    const { ready, told } = JSON.parse(String(Object.values(rows?.rows[0] ?? {})[0])) as Reply;
    if (this.#trace.isPrinted) {
      const readied = (ready ?? []).map(({ id, attempt }) =>
        this.names.attempt({ task: id, attempt }),
      );
      this.#trace.remark(
        "database",
        `${this.describe(statement)} ⇒ ${readied.join(" ")} ${JSON.stringify(told)}`,
      );
    }
    if (told.limits) this.#tellLimits(shardOf(statement), told.limits);
    for (const { run, state } of told.finished ?? []) {
      this.#trace.note("database", `${this.names.run(run)} ${state}`);
      if (!this.finished.has(run)) this.finished.set(run, await readRunState(postgres, run));
    }
  }

  /** A statement in a few words. */
  describe(statement: Statement): string {
    const { text, values } = statement;
    if (!isCommit(statement)) return /v1\.\w+/.exec(text)?.[0] ?? text.slice(0, 40);
    const request = JSON.parse(String(values[0])) as CommitRequest;
    const starts = request.starts?.map(({ id }) => `starts ${this.names.run(id)}`) ?? [];
    const results = request.results?.map(({ t, a, s }) => {
      return `${this.names.attempt({ task: t, attempt: a })} ${s}`;
    });
    const take = request.take ? [`takes ${Object.keys(request.take).join(" ")}`] : [];
    return [`commit ${request.seq}`, ...starts, ...(results ?? []), ...take].join(", ");
  }

  /** A message in a few words. */
  summary(text: string): string {
    return framesOf(text)
      .map((frame) => {
        const about = "task" in frame ? ` ${this.names.attempt(frame)}` : "";
        return `${frame.type}${about}`;
      })
      .join(", ");
  }

  #tellLimits(shard: number, { limits }: LimitsRow): void {
    const bounds = limits.map(({ name, concurrency, rate }): [string, Bound] => [
      name,
      {
        ...(concurrency !== undefined && { concurrency }),
        ...(rate?.[0] && { rate: rate[0] }),
      },
    ]);
    this.limitsTold.push({ shard, at: this.now, bounds: new Map(bounds) });
  }

  #keep(list: Said[], by: Pick<Said, "shard" | "worker">, text: string): void {
    for (const frame of framesOf(text)) {
      if (!("task" in frame) || !isSaid(frame.type)) continue;
      const { task, attempt } = frame;
      list.push({ type: frame.type, task, attempt, ...by, at: this.now });
    }
  }
}

/** Over a connection it has a name, over HTTP it has none. */
export function isCommit({ text }: Pick<Statement, "text">): boolean {
  return text.includes("v1.commit(");
}

/** The number of the shard that has sent a statement. */
function shardOf({ values }: Statement): number {
  return (JSON.parse(String(values[0])) as { shard: number }).shard;
}

function isSaid(type: string): type is Said["type"] {
  return ["task", "returned", "recorded", "stale", "gone", "cancel"].includes(type);
}

function framesOf(text: string): (ShardFrame | WorkerFrame)[] {
  return (JSON.parse(text) as { frames: (ShardFrame | WorkerFrame)[] }).frames;
}
