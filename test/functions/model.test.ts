/**
 * Random DAGs, random interleavings of starts, results, losses, repeats, refills and recoveries:
 * after each step the tables hold what the naive model says. In particular a ready task is always in
 * exactly one place, so none can be lost or given out twice.
 */
import fc from "fast-check";
import { describe, expect, inject, test } from "vitest";
import type { CommitReply, CommitRequest, ResultRow } from "../../database/rows.ts";
import { runIdOf, taskId } from "../../protocol/ids.ts";
import { begun, openPool, type Registered, type Steps, TestShard } from "./support.ts";
import { isReady, Model, type ModelTask } from "./model.ts";

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
    else await this.#recover(next);
    await this.#compare();
  }

  /** Completes whatever is left: no run may be stuck. */
  async finish(): Promise<void> {
    while (this.#model.ready().length > 0) {
      await this.#take(100);
      const results = this.#model
        .inHand()
        .map((task) => resultOf(task, task.attempt + 1, "completed"));
      await this.#land(results, 1_000, false);
      await this.#compare();
    }
    for (const run of this.#model.runs) {
      const { state } = await this.#shard.run(run.id);
      expect(state).toBe(this.#model.finished(run));
    }
  }

  async #start(spill: boolean): Promise<void> {
    const s = spill ? this.#parents.map((_, step) => step) : [];
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
    for (const { pick, outcome, shift } of results) {
      const task = known[pick % known.length];
      if (task) rows.set(task.id, resultOf(task, Math.max(1, task.attempt + 1 + shift), outcome));
    }
    await this.#land([...rows.values()], room, isAnswerLost);
  }

  async #land(results: ResultRow[], room: number, isAnswerLost: boolean): Promise<void> {
    const settlement = this.#settlementOf(results);
    const request = this.#shard.request({
      results,
      room: { default: room, actions: {}, bytes: 2 ** 40 },
      ...settlement,
    });
    const reply = await this.#shard.send(request);
    const byId = new Map(this.#model.tasks().map((task) => [task.id, task]));
    const ready = this.#model.end(
      results.flatMap(({ t, a: attempt, s: outcome }) => {
        const task = byId.get(t);
        return task ? [{ task, attempt, outcome }] : [];
      }),
    );
    const roomOf = new Map<number, number>();
    for (const task of ready) {
      const step = task.run.tasks.indexOf(task);
      const used = roomOf.get(step) ?? 0;
      task.place = used < room ? request.seq : "queue";
      roomOf.set(step, used + 1);
    }
    for (const id of settlement.carried) {
      const task = byId.get(id);
      if (task && isReady(task) && task.place !== "queue") task.place = request.seq;
    }
    expect(handed(reply)).toEqual(ready.filter(({ place }) => place !== "queue").map(nameOf));
    if (isAnswerLost) await this.#repeat(request, reply);
  }

  /** The answer was lost: the same request again gives at least the same tasks. */
  async #repeat(request: CommitRequest, first: CommitReply): Promise<void> {
    const again = await this.#shard.send(request);
    const held = this.#model.inHand().filter(({ place }) => place === request.seq);
    expect(handed(again)).toEqual(held.map(nameOf));
    expect(handed(again)).toEqual(expect.arrayContaining(handed(first)));
  }

  /** Settles every handout that a result touches, and carries what is left of it. */
  #settlementOf(results: ResultRow[]): { settled: number[]; carried: string[] } {
    const ending = new Set(
      this.#model
        .inHand()
        .filter((task) => results.some(({ t, a }) => t === task.id && a === task.attempt + 1)),
    );
    const settled = new Set([...ending].map(({ place }) => Number(place)));
    const left = this.#model
      .inHand()
      .filter((task) => settled.has(Number(task.place)) && !ending.has(task));
    return { settled: [...settled], carried: left.map(({ id }) => id) };
  }

  async #take(count: number): Promise<void> {
    const steps = this.#workflow.steps.map((step) => `random:${step}`);
    const { ready } = await this.#shard.commit({
      take: Object.fromEntries(steps.map((action) => [action, count])),
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
      if (isTrusted) continue;
      task.attempt++;
      task.state = "queued";
    }
  }

  async #compare(): Promise<void> {
    const shard = this.#shard;
    const text = `select t.id, t.state, t.attempt from v1.task t join v1.workflow_run r on r.id = v1.run_id(t.id)
                    where r.tenant_id = $1 order by t.id`;
    const expected = this.#model.tasks().map(({ id, state, attempt }) => ({ id, state, attempt }));
    expect(await shard.rows(text, [shard.tenant])).toEqual(
      expected.toSorted((left, right) => (left.id < right.id ? -1 : 1)),
    );
    const held: Record<number, string[]> = {};
    for (const { id, place } of this.#model.inHand()) (held[Number(place)] ??= []).push(id);
    for (const ids of Object.values(held)) ids.sort();
    expect(await shard.handouts()).toEqual(held);
    expect(await shard.queued()).toEqual(this.#model.inQueue().map(({ id }) => id));
    for (const run of this.#model.runs) {
      const { state, remaining } = await shard.run(run.id);
      const open = run.tasks.filter((task) => task.state === "waiting" || isReady(task)).length;
      expect(remaining).toBe(open);
      const ended = this.#model.finished(run);
      expect(["queued", "running"].includes(state) ? undefined : state).toBe(ended);
    }
  }
}

function resultOf(task: ModelTask, attempt: number, outcome: ResultRow["s"]): ResultRow {
  return { t: task.id, r: runIdOf(task.id), a: attempt, s: outcome, o: task.id, w: "worker", b: 1 };
}

function nameOf({ id, attempt }: Pick<ModelTask, "id" | "attempt">): string {
  return `${id} attempt ${attempt + 1}`;
}

function handed({ ready }: Pick<CommitReply, "ready">): string[] {
  return (ready ?? []).map(({ id, attempt }) => `${id} attempt ${attempt}`).toSorted();
}
