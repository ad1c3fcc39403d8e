/**
 * Commits of every kind of transition at once, in random mixtures, some of them sent twice: the tables
 * stay sound, a repeat changes nothing, and whatever is left alone afterwards ends.
 */
import fc from "fast-check";
import { describe, expect, inject, test } from "vitest";
import { pauseWorkflow, resumeWorkflow } from "../../database/workflow-changes.ts";
import type { CommitRequest, LaneRow, StartRow, TakeRow } from "../../database/rows.ts";
import { runIdOf } from "../../protocol/ids.ts";
import { expectSound } from "./invariants.ts";
import {
  abandoned,
  cancelled,
  child,
  completed,
  failed,
  lost,
  outOfTime,
  released,
  retried,
  spawned,
  woken,
} from "./rows.ts";
import { openPool, queryOf, type Registered, takes, TestShard } from "./support.ts";

const SEQUENCES = 15; // random sequences a database
const MAX_COMMITS_TO_END = 60; // each ends a step of every run at least
const NOW = 1_800_000_000_000;
const LATER = NOW + 60_000;

const KINDS = [
  "start",
  "start",
  "hold",
  "replay",
  "complete",
  "complete",
  "complete",
  "complete",
  "fail",
  "retry",
  "lose",
  "abandon",
  "spawn",
  "spawn",
  "wake",
  "release",
  "cancel",
  "time out",
  "take",
  "expire",
  "recover",
] as const;
type Kind = (typeof KINDS)[number];

const step = fc.record({
  kinds: fc.array(fc.record({ kind: fc.constantFrom(...KINDS), pick: fc.nat() }), {
    minLength: 1,
    maxLength: 6,
  }),
  room: fc.constantFrom(0, 1, 100),
  isRepeated: fc.boolean(),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

interface Held {
  id: string;
  attempt: number;
}

describe.each(inject("databases"))("everything at once on $name", (database) => {
  const pool = openPool(database);

  test("leaves the tables sound, and every run ends", async () => {
    const steps = fc.array(step, { minLength: 8, maxLength: 18 });
    await fc.assert(
      fc.asyncProperty(steps, async (story) => {
        const play = await Play.begin(await TestShard.create(pool), queryOf(pool));
        for (const next of story) await play.make(next);
        await play.end();
      }),
      { numRuns: SEQUENCES, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: false },
    );
  });
});

/** A shard that does as chance tells it. */
class Play {
  #shard: TestShard;
  #query: ReturnType<typeof queryOf>;
  #main: Registered;
  #paused: Registered;

  private constructor(
    shard: TestShard,
    query: ReturnType<typeof queryOf>,
    main: Registered,
    paused: Registered,
  ) {
    this.#shard = shard;
    this.#query = query;
    this.#main = main;
    this.#paused = paused;
  }

  static async begin(shard: TestShard, query: ReturnType<typeof queryOf>): Promise<Play> {
    const main = await shard.register(
      "main",
      {
        a: { compensate: { retries: 1 }, scheduleTimeoutMs: 1_000 },
        b: { parents: ["a"], compensate: {} },
        c: ["a"],
        d: ["b", "c"],
      },
      { timeoutMs: 60_000, onFailure: {}, cancelOn: [{ event: "stop" }] },
    );
    const paused = await shard.register("paused", { x: [], y: ["x"] }, { timeoutMs: 60_000 });
    await pauseWorkflow(query, shard.change("paused"), "hold");
    await shard.readDefinitions();
    return new Play(shard, query, main, paused);
  }

  async make({ kinds, room, isRepeated }: Step): Promise<void> {
    if (kinds.some(({ kind }) => kind === "recover")) await this.#shard.recover();
    const held = await this.#held();
    const parts: Partial<CommitRequest> = {};
    for (const { kind, pick } of kinds) await this.#add(parts, kind, pick, held);
    await this.#commit(
      { ...parts, at: NOW, room: { default: room, actions: {}, bytes: 2 ** 40 } },
      isRepeated,
    );
  }

  /** Completes whatever there is, and wakes, releases and cancels what waits for its time. */
  async end(): Promise<void> {
    await resumeWorkflow(this.#query, this.#shard.change("paused"));
    await this.#shard.readDefinitions();
    for (let commits = 0; (await this.#open()).length > 0; commits++) {
      expect(commits).toBeLessThan(MAX_COMMITS_TO_END);
      const timers = await this.#shard.timers();
      const due = (kind: string): string[] =>
        timers.flatMap((timer) => (timer.kind === kind ? [timer.id] : []));
      const held = await this.#held();
      await this.#commit(
        {
          results: held.map(({ id, attempt }) => completed(id, "end", attempt + 1)),
          wakes: due("retry").map(woken),
          releases: due("release").map(released),
          cancels: due("cancel").map((run) => cancelled(run)),
          take: await this.#queuedLanes(),
        },
        false,
      );
    }
    const left = (await this.#shard.timers()).filter(({ kind }) => kind !== "cancel");
    expect(left).toEqual([]);
    expect(await this.#held()).toEqual([]);
  }

  async #add(parts: Partial<CommitRequest>, kind: Kind, pick: number, held: Held[]): Promise<void> {
    const shard = this.#shard;
    const start = (row: StartRow): void => void (parts.starts ??= []).push(row);
    switch (kind) {
      case "start":
        return start(shard.start(this.#main, pick % 2 === 0 ? { s: [[0, 0]] } : {}));
      case "hold":
        return start(shard.start(this.#paused, { h: true }));
      case "replay": {
        const [row] = await this.#replayOf(pick);
        return row && start(row);
      }
      case "spawn": {
        const parent = held[pick % Math.max(1, held.length)];
        if (parent === undefined) return;
        const workflow = pick % 3 === 0 ? "paused" : "main";
        const one = child(`key-${pick % 2}`, workflow, { isDetached: pick % 5 === 0 });
        (parts.spawns ??= []).push(spawned(parent.id, [one], parent.attempt + 1));
        return;
      }
      case "wake":
      case "release": {
        const asleep = (await shard.timers()).filter(
          (timer) => timer.kind === (kind === "wake" ? "retry" : "release"),
        );
        const timer = asleep[pick % Math.max(1, asleep.length)];
        if (timer === undefined) return;
        if (kind === "wake") (parts.wakes ??= []).push(woken(timer.id));
        else (parts.releases ??= []).push(released(timer.id));
        return;
      }
      case "cancel":
      case "time out": {
        const open = await this.#open();
        const run = open[pick % Math.max(1, open.length)];
        if (run === undefined) return;
        const leases = held
          .filter(({ id }) => runIdOf(id) === run && pick % 2 === 0)
          .map(({ id: t, attempt }) => ({ t, a: attempt + 1, w: "worker", b: 1 }));
        (parts.cancels ??= []).push(
          kind === "cancel" ? cancelled(run, leases) : outOfTime(run, leases),
        );
        return;
      }
      case "take":
        parts.take = takes({ "main:a": 1 + (pick % 3), "main:b": 1, "paused:x": 1 });
        return;
      case "expire":
        parts.expired = 2;
        return;
      case "recover":
        return;
      default: {
        const task = held[pick % Math.max(1, held.length)];
        if (task === undefined || parts.results?.some(({ t }) => t === task.id)) return;
        (parts.results ??= []).push(resultOf(kind, task, pick));
      }
    }
  }

  /** Sends it, perhaps twice, carrying all that the shard still holds. */
  async #commit(parts: Partial<CommitRequest>, isRepeated: boolean): Promise<void> {
    const shard = this.#shard;
    const ending = new Set((parts.results ?? []).map(({ t }) => t));
    const carried = (await this.#held()).map(({ id }) => id).filter((id) => !ending.has(id));
    const settled = Object.keys(await shard.handouts()).map(Number);
    const request = shard.request({ ...parts, settled, carried });
    const first = await shard.send(request);
    await expectSound(shard);
    // Without a handout a refill that is repeated is a refill; all else has been done.
    const hasHandout = shard.lastSeq in (await shard.handouts());
    if (!isRepeated || (!hasHandout && (parts.take || parts.expired))) return;
    const before = await shard.picture();
    const again = await shard.send(request);
    expect(await shard.picture()).toEqual(before);
    const ids = (again.ready ?? []).map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining((first.ready ?? []).map(({ id }) => id)));
    for (const key of ["starts", "spawned", "timers", "cancelled"] as const) {
      expect({ key, told: again[key] ?? [] }).toEqual({ key, told: first[key] ?? [] });
    }
    expect(again.finished ?? []).toEqual(expect.arrayContaining(first.finished ?? []));
  }

  /** Repeats a run that has ended, from any of its steps on. */
  async #replayOf(pick: number): Promise<StartRow[]> {
    const ended = await this.#shard.rows<{ id: string; done: number[] }>(
      `select r.id, array(select t.step from v1.task t where v1.run_id(t.id) = r.id and t.state = 'completed'
                            and t.step < 4 order by t.step) as done
         from v1.workflow_run r where r.tenant_id = $1 and r.version_id = $2 and r.finished_at is not null`,
      [this.#shard.tenant, this.#main.version],
    );
    const run = ended[pick % Math.max(1, ended.length)];
    if (run === undefined) return [];
    // Steps stand below their parents, so the first few of what is done need nothing else.
    const ru = run.done.slice(0, Math.min(3, pick % 5)).filter((number, at) => number === at);
    const parts = ru.length > 0 ? { ru, n: this.#main.size - ru.length } : {};
    return [this.#shard.start(this.#main, { ro: run.id, ...parts })];
  }

  /** Ready tasks in the shard's hands. */
  async #held(): Promise<Held[]> {
    const text = `select t.id, t.attempt from v1.handout h cross join unnest(h.tasks) u(id)
                    join v1.task t on t.id = u.id and t.state in ('queued', 'running')
                    where h.tenant_id = $1 group by t.id, t.attempt order by t.id`;
    return await this.#shard.rows<Held>(text, [this.#shard.tenant]);
  }

  /** Runs that have not ended. */
  async #open(): Promise<string[]> {
    const text =
      "select id from v1.workflow_run where tenant_id = $1 and finished_at is null order by id";
    const rows = await this.#shard.rows<{ id: string }>(text, [this.#shard.tenant]);
    return rows.map(({ id }) => id);
  }

  async #queuedLanes(): Promise<TakeRow[]> {
    const text = "select distinct action, lane::integer from v1.queue_item where tenant_id = $1";
    const rows = await this.#shard.rows<LaneRow>(text, [this.#shard.tenant]);
    return rows.map((row) => ({ ...row, n: 1_000 }));
  }
}

function resultOf(kind: Kind, { id, attempt }: Held, pick: number): ReturnType<typeof completed> {
  const next = attempt + 1;
  if (kind === "fail") return failed(id, next);
  if (kind === "retry") return retried(id, pick % 2 === 0 ? NOW : LATER, next);
  if (kind === "lose") return lost(id, next);
  if (kind === "abandon") return abandoned(id, next);
  return completed(id, pick, next);
}
