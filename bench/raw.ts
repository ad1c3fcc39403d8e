/**
 * The baseline: the commits of a load, sent straight to the database by `pg`, with no Skein between.
 * Whatever Skein costs is the difference. It uses the tenant whose shard never wakes, so nothing
 * else touches its rows.
 */
import pg from "pg";
import { COMMIT_STATEMENT, readCommitReply, recoverShard } from "../database/functions.ts";
import { machineMs, randomGap } from "./clock.ts";
import { countCompleted } from "./database.ts";
import { pipeline, RawShard, rawWorkflow, resultRows, startRows } from "./raw-commits.ts";
import type { Rig } from "./rig.ts";

const CONNECTIONS = 2; // as many commits as a shard has in flight

export class RawSql {
  readonly #rig: Rig;
  readonly #clients: pg.Client[];
  readonly #shard: RawShard;
  readonly #definitions: number;

  private constructor(rig: Rig, clients: pg.Client[], shard: RawShard, definitions: number) {
    this.#rig = rig;
    this.#clients = clients;
    this.#shard = shard;
    this.#definitions = definitions;
  }

  static async open(rig: Rig): Promise<RawSql> {
    const clients = Array.from(
      { length: CONNECTIONS },
      () => new pg.Client({ connectionString: rig.databaseUrl }),
    );
    await Promise.all(clients.map((client) => client.connect()));
    const { id } = rig.raw;
    const query = async (text: string, values: unknown[]): Promise<Record<string, unknown>[]> =>
      (await rig.database.query(text, values)).rows;
    const request = { tenant: id, shard: 0, epoch: 0, at: Date.now(), leases: [], agenda: 0 };
    const { epoch } = await recoverShard(query, request);
    const [row] = await query("select definitions_version from v1.tenant where id = $1", [id]);
    return new RawSql(rig, clients, new RawShard(id, epoch), Number(row?.["definitions_version"]));
  }

  /** Runs a second, through both connections, in commits of the given size. */
  async throughput(name: string, runs: number, runsPerCommit: number): Promise<number> {
    const workflow = rawWorkflow(this.#rig.raw, name, this.#definitions);
    const shares = this.#clients.map((client) => {
      const share = Math.ceil(runs / this.#clients.length);
      return { client, ...pipeline(this.#shard, workflow, share, runsPerCommit) };
    });
    const startedAt = machineMs();
    const replies = await Promise.all(
      shares.map(async ({ client, commits }) => {
        const texts: string[] = [];
        for (const text of commits) texts.push(await commit(client, text));
        return texts;
      }),
    );
    const elapsedMs = machineMs() - startedAt;
    for (const text of replies.flat()) refuseLosses(text);
    const ids = shares.flatMap(({ runIds }) => runIds);
    await countCompleted(this.#rig.database, ids);
    return (ids.length * 1_000) / elapsedMs;
  }

  /** For each run, at rest: milliseconds of its start's commit and then of each step's result's. */
  async latencies(name: string, samples: number, gapMs: number): Promise<number[][]> {
    const workflow = rawWorkflow(this.#rig.raw, name, this.#definitions);
    const [client] = this.#clients;
    if (client === undefined) throw new Error("The raw SQL has no connection.");
    const ids: string[] = [];
    const found: number[][] = [];
    for (let sample = 0; sample < samples; sample++) {
      await randomGap(gapMs);
      const starts = startRows(workflow, 1);
      const trips: number[] = [];
      let settled: number[] = [];
      for (let step = -1; step < workflow.actions.length; step++) {
        const results = step < 0 ? [] : resultRows(starts, step);
        const started = step < 0 ? starts : [];
        const request = this.#shard.request(started, results, settled, workflow.actions);
        const sentAt = machineMs();
        const reply = await commit(client, request.text);
        trips.push(machineMs() - sentAt);
        refuseLosses(reply);
        settled = [request.seq];
      }
      ids.push(...starts.map(({ id }) => id));
      found.push(trips);
    }
    await countCompleted(this.#rig.database, ids);
    return found;
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()));
  }
}

async function commit(client: pg.Client, text: string): Promise<string> {
  const { rows } = await client.query({ name: "commit", text: COMMIT_STATEMENT, values: [text] });
  return String(rows[0].reply);
}

function refuseLosses(text: string): void {
  const reply = readCommitReply(text);
  const refused = Object.entries({ ...reply.starts, ...reply.results });
  if (refused.length === 0 && (reply.spilled ?? []).length === 0) return;
  throw new Error(`A raw commit did less than it was asked to: ${text.slice(0, 500)}`);
}
