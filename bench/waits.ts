/**
 * What Postgres's connections do while a load runs, seen from one of its own: how many commits are at
 * work at once, and what they wait for. A look is a sample, so a rare wait may be missed, and a
 * frequent one can't be.
 */
import pg from "pg";
import { COMMIT_STATEMENT } from "../database/functions.ts";
import { pauseMs } from "./clock.ts";

/** Between two looks. */
const LOOK_MS = 10;

/** Connections that a look has found doing the same. */
export interface Seen {
  isCommit: boolean;
  /** Postgres's names for it: `IO`, `LWLock`, `Lock`, …; null: it waits for nothing. */
  type: string | null;
  event: string | null;
  /** For a `Lock`: whose. */
  lock: string | null;
  count: number;
}

export type Look = readonly Seen[];

export interface Waits {
  looks: number;
  /** Commits seen, each as often as it was. */
  commits: number;
  /** At work at once, on average of the looks that saw any, and at most. */
  meanAtOnce: number;
  mostAtOnce: number;
  /** Shares of the commits seen, by what they did, the largest first. */
  doing: Map<string, number>;
  /** Commits that were seen waiting for a lock that somebody holds until his transaction ends; and others that were. */
  lockedCommits: number;
  lockedOthers: number;
  /** Each of these locks, and how often it was waited for. */
  locks: Map<string, number>;
}

// A query that asks for locks takes locks of the lock table itself: only when somebody waits.
const LOOK = `
  select query = $1 as "isCommit", wait_event_type as type, wait_event as event, lock, count(*)::integer as count
    from (
      select a.query, a.wait_event_type, a.wait_event, case when a.wait_event_type = 'Lock' then (
        select concat_ws(' ', l.locktype, l.relation::regclass::text,
                         case when l.locktype = 'advisory' then coalesce(
                           $2::jsonb->>((l.classid::bigint << 32) | l.objid::bigint)::text, 'of something else') end)
          from pg_locks l where l.pid = a.pid and not l.granted limit 1) end as lock
        from pg_stat_activity a
        where a.datname = current_database() and a.state = 'active' and a.pid <> pg_backend_pid()
    ) seen
    group by 1, 2, 3, 4`;

export class Watch {
  readonly #client: pg.Client;
  /** Names by the advisory locks' keys. */
  readonly #names: string;

  private constructor(client: pg.Client, names: string) {
    this.#client = client;
    this.#names = names;
  }

  /** Knows the advisory locks of this tenant by name. */
  static async open(databaseUrl: string, tenant: string, shards: number): Promise<Watch> {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    const { rows } = await client.query<{ names: string }>(
      `select jsonb_object_agg(key, name)::text as names from (
         select v1.definitions_lock($1)::text as key, 'of the definitions' as name
         union all select v1.shard_lock($1, n)::text, 'of shard ' || n from generate_series(0, $2::integer - 1) n) named`,
      [tenant, shards],
    );
    return new Watch(client, rows[0]?.names ?? "{}");
  }

  /** Looks from now on until `work` has come to its end. */
  async during<Result>(work: Promise<Result>): Promise<{ result: Result; looks: Look[] }> {
    const ended = new AbortController();
    const worked = work.finally(() => ended.abort());
    worked.catch(() => {}); // It is thrown below, after the last look.
    const looks: Look[] = [];
    while (!ended.signal.aborted) {
      const query = { name: "look", text: LOOK, values: [COMMIT_STATEMENT, this.#names] };
      looks.push((await this.#client.query<Seen>(query)).rows);
      await pauseMs(LOOK_MS);
    }
    return { result: await worked, looks };
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}

export function waitsOf(looks: readonly Look[]): Waits {
  const atOnce = looks.map((look) => total(look.filter(({ isCommit }) => isCommit)));
  const busy = atOnce.filter((count) => count > 0);
  const all = looks.flat();
  const seen = all.filter(({ isCommit }) => isCommit);
  // To extend a table is a lock for the moment that it takes to add pages: it shows in `doing`.
  const locked = all.filter(({ type, event }) => type === "Lock" && event !== "extend");
  const commits = total(seen);
  return {
    looks: looks.length,
    commits,
    meanAtOnce: busy.length === 0 ? 0 : commits / busy.length,
    mostAtOnce: Math.max(0, ...atOnce),
    doing: new Map(
      [...countBy(seen, whatOf)]
        .map(([what, count]) => [what, count / commits] as const)
        .toSorted(([, left], [, right]) => right - left),
    ),
    lockedCommits: total(locked.filter(({ isCommit }) => isCommit)),
    lockedOthers: total(locked.filter(({ isCommit }) => !isCommit)),
    locks: countBy(locked, ({ lock, event }) => lock ?? event ?? "unknown"),
  };
}

function whatOf({ type, event }: Seen): string {
  return type === null ? "work" : `${type} ${event}`;
}

function countBy(seen: readonly Seen[], keyOf: (one: Seen) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const one of seen) {
    const key = keyOf(one);
    counts.set(key, (counts.get(key) ?? 0) + one.count);
  }
  return counts;
}

function total(seen: readonly Seen[]): number {
  return seen.reduce((sum, { count }) => sum + count, 0);
}
