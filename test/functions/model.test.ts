/**
 * Random DAGs, random interleavings of starts, results, retries, losses, cancellations, repeats,
 * refills and recoveries: after each step the tables hold what the naive model says. In particular a
 * ready task is always in exactly one place, so none can be lost or given out twice.
 */
import fc from "fast-check";
import { describe, expect, inject, test } from "vitest";
import type { CommitReply, CommitRequest, ResultRow, WakeRow } from "../../database/rows.ts";
import { runIdOf, taskId } from "../../protocol/ids.ts";
import { begun, error } from "./rows.ts";
import { openPool, type Registered, type Steps, TestShard } from "./support.ts";
import { expectSound } from "./invariants.ts";
import { isOpen, Model, type ModelResult, type ModelTask } from "./model.ts";

const NOW = 1_800_000_000_000;
const LATER = NOW + 60_000;
const SEQUENCES = 12; // random sequences a database
const OUTCOMES = ["completed", "completed", "completed", "failed", "timed_out", "lost"] as const;

/** For each step the earlier ones it waits for. */
const dag = fc
  .array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 6 })
  .map((steps) =>
    steps.map((picks, step) => (step === 0 ? [] : [...new Set(picks.map((n) => n % step))])),
  );

const result = fc.record({
  pick: fc.nat(),
  outcome: fc.constantFrom(...OUTCOMES),
  next: fc.constantFrom("never" as const, "now" as const, "later" as const),
  // Now and then an attempt that is not the task's next.
  shift: fc.constantFrom(0, 0, 0, 0, -1, 1),
});

const move = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("start" as const), spill: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("report" as const),
      results: fc.array(result, { minLength: 1, maxLength: 4 }),
      room: fc.nat({ max: 2 }),
      isAnswerLost: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("take" as const), count: fc.nat({ max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("begin" as const), pick: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("wake" as const),
      picks: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
      room: fc.nat({ max: 2 }),
      isAnswerLost: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("cancel" as const),
      pick: fc.nat(),
      leases: fc.array(fc.nat(), { maxLength: 3 }),
      isAnswerLost: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("recover" as const),
      leases: fc.array(fc.nat(), { maxLength: 4 }),
      isTrusted: fc.boolean(),
    }),
  },
);
type Move = typeof move extends fc.Arbitrary<infer Value> ? Value : never;

describe.each(inject("databases"))("whatever happens on $name", (database) => {
  const pool = openPool(database);

  test("every ready task is in exactly one place, and runs advance as the model says", async () => {
    const story = fc.tuple(dag, fc.array(move, { minLength: 10, maxLength: 30 }));
    await fc.assert(
      fc.asyncProperty(story, async ([parents, moves]) => {
        const play = await Play.begin(await TestShard.create(pool), parents);
        await play.make({ kind: "start", spill: false });
        for (const next of moves) await play.make(next);
        await play.finish();
      }),
      { numRuns: SEQUENCES, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: false },
    );
  });
});

/** One sequence: each move is made in the database and in the model, then the two are compared. */
class Play {
  #shard: TestShard;
  #workflow: Registered;
  #parents: number[][];
  #model = new Model();

  private constructor(shard: TestShard, workflow: Registered, parents: number[][]) {
    this.#shard = shard;
    this.#workflow = workflow;
    this.#parents = parents;
  }

  static async begin(shard: TestShard, parents: number[][]): Promise<Play> {
    const steps: Steps = Object.fromEntries(
      parents.map((above, step) => [`s${step}`, above.map((parent) => `s${parent}`)]),
    );
    return new Play(shard, await shard.register("random", steps), parents);
  }

  async make(next: Move): Promise<void> {
    if (next.kind === "start") await this.#start(next.spill);
    else if (next.kind === "report") await this.#report(next);
    else if (next.kind === "take") await this.#take(next.count);
    else if (next.kind === "begin") await this.#begin(next.pick);
    else if (next.kind === "wake") await this.#wake(next);
    else if (next.kind === "cancel") await this.#cancel(next);
    else await this.#recover(next);
    await this.#compare();
  }

  /** Completes whatever is left: no run may be stuck. */
  async finish(): Promise<void> {
    while (this.#model.ready().length + this.#model.asleep().length > 0) {
      await this.#land({ wakes: this.#model.asleep().map(wakeOf) }, 1_000, false);
      await this.#take(100);
      const results = this.#model
        .inHand()
        .map((task) => resultOf(task, task.attempt + 1, "completed", "never"));
      await this.#land({ results }, 1_000, false);
      await this.#compare();
    }
    for (const run of this.#model.runs) {
      const { state } = await this.#shard.run(run.id);
      expect(state).toBe(this.#model.finished(run));
    }
  }

  async #start(spill: boolean): Promise<void> {
    const s = spill ? this.#parents.map((_, step): [number, number] => [step, 0]) : [];
    const start = this.#shard.start(this.#workflow, { s });
    await this.#shard.commit({ starts: [start] });
    const tasks = this.#parents.map((_, step) => taskId(start.id, step));
    this.#model.start(start.id, tasks, this.#parents, () =>
      spill ? "queue" : this.#shard.lastSeq,
    );
  }

  async #report({ results, room, isAnswerLost }: Extract<Move, { kind: "report" }>): Promise<void> {
    // Workers report on what is in hand, on what has ended, and on nothing twice in a batch.
    const known = this.#model
      .tasks()
      .filter(({ place, state }) => place !== "queue" && state !== "waiting");
    if (known.length === 0) return;
    const rows = new Map<string, ResultRow>();
    for (const { pick, outcome, next, shift } of results) {
      const task = known[pick % known.length];
      const attempt = Math.max(1, (task?.attempt ?? 0) + 1 + shift);
      if (task) rows.set(task.id, resultOf(task, attempt, outcome, next));
    }
    await this.#land({ results: [...rows.values()] }, room, isAnswerLost);
  }

  async #wake({ picks, room, isAnswerLost }: Extract<Move, { kind: "wake" }>): Promise<void> {
    // Those that sleep, and now and then one that does not.
    const tasks = [...this.#model.asleep(), ...this.#model.tasks().slice(0, 1)];
    const picked = new Set(picks.flatMap((pick) => tasks[pick % tasks.length] ?? []));
    await this.#land({ wakes: [...picked].map(wakeOf) }, room, isAnswerLost);
  }

  async #land(
    { results = [], wakes = [] }: Pick<CommitRequest, "results" | "wakes">,
    room: number,
    isAnswerLost: boolean,
  ): Promise<void> {
    const ending = this.#model
      .inHand()
      .filter((task) => results.some(({ t, a }) => t === task.id && a === task.attempt + 1));
    const settlement = this.#settlementOf(ending);
    const request = this.#shard.request({
      at: NOW,
      results,
      wakes,
      room: { default: room, actions: {}, bytes: 2 ** 40 },
      ...settlement,
    });
    const reply = await this.#shard.send(request);
    const byId = new Map(this.#model.tasks().map((task) => [task.id, task]));
    const ended = this.#model.end(
      results.flatMap((row) => {
        const task = byId.get(row.t);
        return task && row.s !== "skipped"
          ? [{ task, attempt: row.a, outcome: row.s, next: nextOf(row) }]
          : [];
      }),
    );
    const woken = this.#model.wake(wakes.flatMap(({ t }) => byId.get(t) ?? []));
    const ready = [...ended, ...woken].toSorted((left, right) => (left.id < right.id ? -1 : 1));
    const roomOf = new Map<number, number>();
    for (const task of ready) {
      const step = task.run.tasks.indexOf(task);
      const used = roomOf.get(step) ?? 0;
      task.place = used < room ? request.seq : "queue";
      roomOf.set(step, used + 1);
    }
    this.#carry(settlement.carried, request.seq);
    expect(handed(reply)).toEqual(ready.filter(({ place }) => place !== "queue").map(nameOf));
    // A repeat can't be told from a report of another attempt: both hear of the timer there is.
    const asleep = results.filter(({ t, d }) => d !== undefined && byId.get(t)?.place === "timer");
    expect(idsOfTimers(reply)).toEqual(asleep.map(({ t }) => t).toSorted());
    if (isAnswerLost) await this.#repeat(request, reply);
  }

  /** The answer was lost: the same request again gives at least the same tasks, but for what it carried. */
  async #repeat(request: CommitRequest, first: CommitReply): Promise<void> {
    const again = await this.#shard.send(request);
    expect(idsOfTimers(again)).toEqual(idsOfTimers(first));
    const held = this.#model
      .inHand()
      .filter(({ id, place }) => place === request.seq && !request.carried?.includes(id));
    expect(handed(again)).toEqual(held.map(nameOf));
    expect(handed(again)).toEqual(expect.arrayContaining(handed(first)));
  }

  /** Settles every handout of tasks that leave the shard's hands, and carries what is left of it. */
  #settlementOf(ending: ModelTask[]): { settled: number[]; carried: string[] } {
    const settled = new Set(ending.map(({ place }) => Number(place)));
    const left = this.#model
      .inHand()
      .filter((task) => settled.has(Number(task.place)) && !ending.includes(task));
    return { settled: [...settled], carried: left.map(({ id }) => id) };
  }

  #carry(ids: string[], seq: number): void {
    for (const task of this.#model.inHand()) if (ids.includes(task.id)) task.place = seq;
  }

  async #take(count: number): Promise<void> {
    const steps = this.#workflow.steps.map((step) => `random:${step}`);
    const { ready } = await this.#shard.commit({
      take: steps.map((action) => ({ action, lane: 0, n: count })),
    });
    const taken = this.#parents.flatMap((_, step) =>
      this.#model
        .inQueue()
        .filter((task) => task.run.tasks.indexOf(task) === step)
        .slice(0, count),
    );
    for (const task of taken) task.place = this.#shard.lastSeq;
    expect(handed({ ready: ready ?? [] })).toEqual(taken.map(nameOf).toSorted());
  }

  async #begin(pick: number): Promise<void> {
    const held = this.#model.inHand();
    const task = held[pick % Math.max(1, held.length)];
    if (!task) return;
    await this.#shard.commit({ started: [begun(task.id, task.attempt + 1)] });
    task.state = "running";
  }

  async #cancel({ pick, leases, isAnswerLost }: Extract<Move, { kind: "cancel" }>): Promise<void> {
    const run = this.#model.runs[pick % this.#model.runs.length];
    if (run === undefined) return;
    const held = this.#model.inHand().filter((task) => task.run === run);
    const leased = new Set(leases.flatMap((lease) => held[lease % Math.max(1, held.length)] ?? []));
    const l = [...leased].map(({ id, attempt }) => ({ t: id, a: attempt + 1, w: "worker", b: 1 }));
    const settlement = this.#settlementOf(this.#model.finished(run) ? [] : held);
    const cancels = [{ r: run.id, e: error("cancelled"), l }];
    const request = this.#shard.request({ cancels, ...settlement });
    const first = await this.#shard.send(request);
    this.#model.cancel(run, [...leased]);
    this.#carry(settlement.carried, request.seq);
    const finished = [{ run: run.id, state: this.#model.finished(run) }];
    expect(first).toMatchObject({ cancelled: [run.id], finished, ready: [] });
    if (isAnswerLost) await this.#repeat(request, first);
  }

  async #recover({ leases, isTrusted }: Extract<Move, { kind: "recover" }>): Promise<void> {
    const held = this.#model.inHand();
    const leased = new Set(leases.flatMap((pick) => held[pick % Math.max(1, held.length)] ?? []));
    const remembered = [...leased].map(({ id, attempt }) => ({ t: id, a: attempt + 1 }));
    const epoch = isTrusted ? this.#shard.epoch : this.#shard.epoch - 1;
    const reply = await this.#shard.recover(remembered, { epoch });
    expect(reply.trusted).toBe(isTrusted);
    for (const task of held) {
      if (isTrusted && leased.has(task)) {
        task.place = 0;
        continue;
      }
      task.place = "queue";
      task.state = "queued";
      if (!isTrusted) task.attempt++;
    }
  }

  async #compare(): Promise<void> {
    const shard = this.#shard;
    await expectSound(shard);
    const text = `select t.id, t.state, t.attempt, t.failures, t.rescues from v1.task t join v1.workflow_run r on r.id = v1.run_id(t.id)
                    where r.tenant_id = $1 order by t.id`;
    const expected = this.#model.tasks().map(({ id, state, attempt, failures, rescues }) => {
      return { id, state, attempt, failures, rescues };
    });
    expect(await shard.rows(text, [shard.tenant])).toEqual(
      expected.toSorted((left, right) => (left.id < right.id ? -1 : 1)),
    );
    const held: Record<number, string[]> = {};
    for (const { id, place } of this.#model.inHand()) (held[Number(place)] ??= []).push(id);
    for (const ids of Object.values(held)) ids.sort();
    expect(await shard.handouts()).toEqual(held);
    expect((await shard.timers()).map(({ id }) => id)).toEqual(
      this.#model.asleep().map(({ id }) => id),
    );
    expect(await shard.queued()).toEqual(this.#model.inQueue().map(({ id }) => id));
    for (const run of this.#model.runs) {
      const { state, remaining } = await shard.run(run.id);
      expect(remaining).toBe(run.tasks.filter(isOpen).length);
      const ended = this.#model.finished(run);
      expect(["queued", "running"].includes(state) ? undefined : state).toBe(ended);
    }
  }
}

function resultOf(
  { id }: ModelTask,
  attempt: number,
  outcome: ResultRow["s"],
  next: ModelResult["next"],
): ResultRow {
  const row = { t: id, r: runIdOf(id), a: attempt, s: outcome, w: "worker", b: 1 };
  if (outcome === "completed") return { ...row, o: id };
  const e = error(outcome === "lost" ? "worker_lost" : "handler_error");
  if (outcome === "lost") return { ...row, e, ...(next === "never" && { x: true }) };
  return { ...row, e, ...(next !== "never" && { d: next === "now" ? NOW : LATER }) };
}

function nextOf({ s: outcome, d: due, x: isLast }: ResultRow): ModelResult["next"] {
  if (outcome === "lost") return isLast ? "never" : "now";
  return due === undefined ? "never" : due > NOW ? "later" : "now";
}

function wakeOf({ id }: ModelTask): WakeRow {
  return { t: id, r: runIdOf(id) };
}

function idsOfTimers({ timers }: CommitReply): string[] {
  return (timers ?? []).map(({ id }) => id).toSorted();
}

function nameOf({ id, attempt }: Pick<ModelTask, "id" | "attempt">): string {
  return `${id} attempt ${attempt + 1}`;
}

function handed({ ready }: Pick<CommitReply, "ready">): string[] {
  return (ready ?? []).map(({ id, attempt }) => `${id} attempt ${attempt}`).toSorted();
}
