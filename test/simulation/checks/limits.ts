/**
 * Limits are never exceeded, whatever dies: held against what handlers did, and against when shards
 * said what. A handler that was told to stop holds nothing any more, nor one whose worker stands still
 * for so long that its lease may end before it can be told.
 */
import { isFinishedRun } from "../../../protocol/states.ts";
import type { Said } from "../history.ts";
import type { Execution } from "../ledger.ts";
import { type Bound, type NeedPlan, needsOf } from "../limit-plans.ts";
import { stepPlan, ZONE } from "../scenario.ts";
import type { WorkerProcess } from "../worker-process.ts";
import { type Check, type Evidence, isSame, versionsOf } from "./check.ts";

/** A worker that stands still for longer may lose its leases before it can tell its handlers. */
const STANDS_STILL_MS = 2_000;

/** What a shard says is held back until what it has written is durable, by so much at most. */
const HELD_BACK_MS = 500;

/** An answer of Postgres that a shard has not heard is asked for again, and heard within so long. */
const HEARD_WITHIN_MS = 12_000;

/** A worker that has stood still runs what had come to it, until it hears that its connection is gone. */
const COMES_TO_ITSELF_MS = 2_000;

/** The time in which somebody holds a limit. */
interface Holding {
  limit: string;
  key: string;
  need: NeedPlan;
  /** Who: an attempt, or a run. */
  label: string;
  from: number;
  to: number;
  /** When the shard gave it. */
  givenAt: number;
}

export const limitsAreKept: Check = {
  name: "no limit is exceeded",
  find: (evidence) => {
    const holdings = [...attemptsHolding(evidence), ...runsHolding(evidence)];
    const byCount = Map.groupBy(holdings, ({ limit, key, need }) =>
      need.isStored ? `${limit} ${key}` : `${limit} ${key} ${need.isOfRun}`,
    );
    return [...byCount.values()].flatMap((same) =>
      same.flatMap(({ from, limit, key, need }) => {
        const together = same.filter((other) => other.from <= from && other.to > from);
        // Those before the last have what they were given: a bound that falls lets them finish.
        const last = Math.max(...together.map(({ givenAt }) => givenAt));
        const bound = boundAt(need, last, evidence);
        const held = together.filter(({ givenAt, to }) => givenAt <= last && to > last);
        if (held.length <= bound) return [];
        const labels = held.map(({ label }) => label).join(", ");
        return [
          `${limit} of "${key}" allows ${bound}, and ${labels} had it at ${evidence.at(from)}`,
        ];
      }),
    );
  },
};

export const ratesAreKept: Check = {
  name: "no rate is exceeded",
  find: (evidence) => {
    const { history, at } = evidence;
    const executions = new Map(history.ledger.executions.map((run) => [run.label, run]));
    const given = history.said
      .filter(({ type }) => type === "task")
      .flatMap((said) => {
        const settled = executions.get(history.names.attempt(said))?.settled ?? [];
        return needsOfTask(said.task, evidence)
          .filter((need) => isRate(need, evidence))
          .map((need) => ({
            need,
            said,
            unused: settled.filter(({ limit }) => limit === need.limit),
          }));
      });
    const byCount = Map.groupBy(given, ({ need }) => `${need.limit} ${need.key}`);
    return [...byCount].flatMap(([name, same]) =>
      same.flatMap(({ need, said: first }, index) => {
        let units = 0;
        for (const { need: one, said } of same.slice(index)) {
          units += one.units;
          const unused = same
            .flatMap((other) => other.unused)
            .filter((each) => each.at >= first.at && each.at <= said.at)
            .reduce((sum, each) => sum + each.unused, 0);
          const most = mostUnits(need, first.at, said.at, evidence);
          if (units - unused <= most) continue;
          return [`${name}: ${units} units from ${at(first.at)} to ${at(said.at)}, of ${most}`];
        }
        return [];
      }),
    );
  },
};

export const tasksGoWhereTheyMay: Check = {
  name: "a task goes to no worker that it may not go to",
  find: ({ scenario, history, workers, at }) =>
    history.ledger.executions.flatMap(({ label, worker, workflow, step, startedAt }) => {
      const plan = stepPlan(scenario.workflows, workflow, step);
      const zone = workers.find(({ name }) => name === worker)?.plan.zone;
      if (plan?.isZoned !== true || zone === ZONE) return [];
      return [`${label} ran on ${worker} of zone ${zone} at ${at(startedAt)}`];
    }),
};

/** Each attempt's permits, while its handler runs and does not wait for children. */
function attemptsHolding(evidence: Evidence): Holding[] {
  const { history, workers } = evidence;
  const given = Map.groupBy(
    history.said.filter(({ type }) => type === "task" || type === "returned"),
    (said) => history.names.attempt(said),
  );
  return history.ledger.executions.flatMap((run) => {
    const worker = workers.find(({ name }) => name === run.worker);
    const needs = needsOfTask(run.task, evidence).filter(({ isOfRun }) => !isOfRun);
    return spansOf(run, worker, given.get(run.label) ?? []).flatMap((span) =>
      needs.map((need) => ({ ...span, limit: need.limit, key: need.key, need, label: run.label })),
    );
  });
}

/** When a handler ran with its permits: up to its end, to its first wait, and after each. */
function spansOf(
  run: Execution,
  worker: WorkerProcess | undefined,
  given: Said[],
): Pick<Holding, "from" | "to" | "givenAt">[] {
  const stops = (worker?.stops ?? []).filter(({ from, to }) => to - from > STANDS_STILL_MS);
  const end = Math.min(
    run.endedAt ?? Number.POSITIVE_INFINITY,
    run.abortedAt ?? Number.POSITIVE_INFINITY,
    worker?.diedAt ?? Number.POSITIVE_INFINITY,
    ...stops.filter(({ to }) => to > run.startedAt).map((stop) => stop.from),
  );
  const isLate = stops.some(
    ({ from, to }) => run.startedAt >= from && run.startedAt <= to + COMES_TO_ITSELF_MS,
  );
  if (isLate) return [];
  const spans: Pick<Holding, "from" | "to" | "givenAt">[] = [];
  let from = run.startedAt;
  const close = (to: number): void => {
    const givenAt = given.findLast(({ at }) => at <= from)?.at;
    if (givenAt !== undefined && to > from) spans.push({ from, to: Math.min(to, end), givenAt });
  };
  for (const { waitedFrom, waitedTo } of run.children) {
    if (waitedFrom === undefined) continue;
    close(waitedFrom);
    from = waitedTo ?? Number.POSITIVE_INFINITY;
  }
  close(end);
  return spans.filter((span) => span.to > span.from);
}

/** Each run's permits: from when an attempt of it came to something until it was over. */
function runsHolding(evidence: Evidence): Holding[] {
  const { history, recorded, scenario } = evidence;
  // A shard that has lost its memory knows of a run's permits by what is recorded of it.
  const isForgetful = scenario.faults.some(({ kind }) => kind === "storage lost");
  return recorded.runs.flatMap((run) => {
    const { id, finishedAt, state } = run;
    // What undoes steps, or sees to a failed run, takes nothing for it.
    const steps = new Set(
      run.tasks.filter((own) => needsOfTask(own.id, evidence).length > 0).map((own) => own.id),
    );
    const given = history.said.filter(({ type, task }) => type === "task" && steps.has(task));
    const ended = run.tasks.flatMap(({ id: task, finishedAt: at, state: of }) =>
      of === "completed" && at !== null && steps.has(task) ? [at] : [],
    );
    const from = isForgetful ? Math.min(...ended) : (given[0]?.at ?? Number.POSITIVE_INFINITY);
    const to = isFinishedRun(state) ? (finishedAt ?? 0) : Number.POSITIVE_INFINITY;
    const [task] = steps;
    if (task === undefined || !Number.isFinite(from) || to <= from) return [];
    return needsOfTask(task, evidence)
      .filter(({ isOfRun }) => isOfRun)
      .map((need) => ({
        limit: need.limit,
        key: need.key,
        need,
        label: history.names.run(id),
        from,
        to,
        givenAt: given[0]?.at ?? from,
      }));
  });
}

/** What a task is under. What undoes steps, or sees to a failed run, is under nothing. */
function needsOfTask(task: string, { scenario, recorded }: Evidence): NeedPlan[] {
  const run = recorded.runs.find(({ tasks }) => tasks.some(({ id }) => id === task));
  const own = run?.tasks.find(({ id }) => id === task);
  const step = recorded.steps.find((one) => one.version === run?.version && one.step === own?.step);
  const plan = scenario.workflows.find(({ name }) =>
    versionsOf(name, recorded.steps).includes(run?.version ?? ""),
  );
  const stepPlan = plan?.steps.find(({ name }) => name === step?.name);
  if (run === undefined || plan === undefined || stepPlan === undefined) return [];
  if (step?.kind !== "step") return [];
  return needsOf(plan, stepPlan, scenario.storedLimits, run.input);
}

/** The largest bound that may have been in force. */
function boundAt(need: NeedPlan, moment: number, evidence: Evidence): number {
  const bounds = boundsOf(need, moment, moment, evidence).flat();
  return Math.max(...bounds.map(({ concurrency }) => concurrency ?? Number.POSITIVE_INFINITY));
}

function isRate(need: NeedPlan, { scenario }: Evidence): boolean {
  const stored = scenario.storedLimits.find(({ name }) => need.isStored && name === need.limit);
  return (stored ?? need).rate !== undefined;
}

/** What a rate may have given in a time: what its bucket holds, and what has come meanwhile. */
function mostUnits(need: NeedPlan, from: number, to: number, evidence: Evidence): number {
  const most = boundsOf(need, from, to, evidence).map((bounds) => {
    const rates = bounds.flatMap(({ rate }) => rate ?? []);
    // A window of another length begins full.
    const burst = rates.reduce((sum, { units }) => sum + units, 0);
    const perMs = Math.max(...rates.map(({ units, perMs: per }) => units / per));
    return burst + perMs * (to - from + HELD_BACK_MS);
  });
  return Math.max(...most);
}

/** Bounds that may have been in force at some moment of a time, by each shard: one may hear late of a change. */
function boundsOf(
  need: NeedPlan,
  from: number,
  to: number,
  { history: { limitsTold } }: Evidence,
): Bound[][] {
  if (!need.isStored) return [[need]];
  // Whichever shard counts: each was told when it asked.
  return [...Map.groupBy(limitsTold, ({ shard }) => shard).values()].map((told) => {
    const changes: { at: number; bound: Bound }[] = [];
    for (const { at, bounds } of told) {
      const bound = bounds.get(need.limit);
      if (bound && !isSame(bound, changes.at(-1)?.bound)) changes.push({ at, bound });
    }
    return changes
      .filter(({ at }, index) => {
        const until = (changes[index + 1]?.at ?? Number.POSITIVE_INFINITY) + HEARD_WITHIN_MS;
        return at <= to && until >= from;
      })
      .map(({ bound }) => bound);
  });
}
