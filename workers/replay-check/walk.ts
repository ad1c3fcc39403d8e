/**
 * Walks a definition's DAG with what a run recorded: no handler runs, each step comes to what its task came to,
 * and conditions and waits are judged by the code that the shard judges them by. Pure.
 */
import { judgeGate, type Verdict } from "../../durable-objects/dispatcher/gates.ts";
import { STEP_CONDITION, type StepData } from "../../expressions/step-condition.ts";
import type { GateRow } from "../../database/definition-rows.ts";
import type { Task } from "../../protocol/http.ts";
import type { Json } from "../../protocol/json.ts";
import type { DagRow } from "../definitions/dag.ts";
import { compileOfStep } from "../definitions/step-expressions.ts";
import { compareAttempts } from "./attempts.ts";
import type { Candidate } from "./candidate.ts";
import type { Findings } from "./findings.ts";
import { compareParents } from "./parents.ts";
import { cancellerOf, hasRun, type Recorded, wasCut, wasReached } from "./recorded.ts";
import { compareWaits, describe } from "./waits.ts";

/** What a step would come to. `unknown`: it would run, and nobody has recorded what its handler would give. */
export type Outcome =
  | { kind: "completed"; output: Json }
  | { kind: "skipped" | "failed" | "cancelled" | "unknown" };

const CONDITIONS = ["skipIf", "runIf", "cancelIf"] as const;

export class Walk {
  readonly outcomes = new Map<string, Outcome>();
  /** A condition would cancel the run, or has done so and would again. */
  isCancelled = false;
  readonly #recorded: Recorded;
  readonly #candidate: Candidate;
  readonly #findings: Findings;
  readonly #tasks: Map<string, Task>;
  readonly #oldSteps: Map<string, DagRow>;

  constructor(
    recorded: Recorded,
    candidate: Candidate,
    oldSteps: Map<string, DagRow>,
    findings: Findings,
  ) {
    this.#recorded = recorded;
    this.#candidate = candidate;
    this.#findings = findings;
    this.#oldSteps = oldSteps;
    const steps = recorded.run.tasks.filter(({ kind }) => kind === "step");
    this.#tasks = new Map(steps.map((task) => [task.step, task]));
  }

  take(): void {
    for (const row of this.#candidate.steps) this.outcomes.set(row.name, this.#visit(row));
    for (const task of this.#tasks.values()) {
      if (this.outcomes.has(task.step) || !hasRun(task)) continue;
      this.#findings.add(task.step, "step_removed", "it ran", "there is no such step");
    }
  }

  #visit(row: DagRow): Outcome {
    const task = this.#tasks.get(row.name);
    const names = row.parents.map((parent) => this.#nameOf(parent));
    if (task !== undefined && hasRun(task)) {
      compareParents(task, names, this.#tasks, this.#findings);
    }
    const stopped = names.find((name) => {
      const kind = this.outcomes.get(name)?.kind;
      return kind === "failed" || kind === "cancelled";
    });
    if (stopped !== undefined) {
      if (task !== undefined && hasRun(task)) {
        const now = `it would be cancelled, as "${stopped}" would not complete`;
        this.#findings.add(row.name, "step_not_run", "it ran", now);
      }
      return { kind: "cancelled" };
    }
    const verdict = this.#judge(row, task, names);
    if (verdict === undefined) return outcomeOf(task);
    return this.#follow(row, task, verdict);
  }

  /** Undefined: it can't be said, and has been; the record is followed. */
  #judge(row: DagRow, task: Task | undefined, parents: string[]): Verdict | undefined {
    const { wait, ...conditions } = row.gate ?? {};
    const data = this.#dataFor(parents);
    const unknown = parents.filter((name) => this.outcomes.get(name)?.kind === "unknown");
    const undecided = CONDITIONS.find((name) => {
      const source = conditions[name];
      if (source === undefined || unknown.length === 0) return false;
      const known = parents.filter((parent) => !unknown.includes(parent));
      return !compileOfStep(source, STEP_CONDITION, known).ok;
    });
    if (undecided !== undefined) {
      const then = task === undefined ? "there was no such step" : wordFor(task);
      const which = unknown.map((name) => `"${name}"`).join(" and ");
      const now = `its ${undecided} needs what ${which} would give, which is not recorded`;
      this.#findings.add(row.name, "undecided", then, now);
      return undefined;
    }
    const verdict = judgeGate(conditions, data, undefined, this.#candidate.stepConditions);
    if (verdict.kind !== "pass") return verdict;
    return this.#judgeWait(row, task, wait, data);
  }

  #judgeWait(
    row: DagRow,
    task: Task | undefined,
    wait: GateRow["wait"],
    data: StepData,
  ): Verdict | undefined {
    if (task === undefined || !wasReached(task) || this.#isReused(task)) return { kind: "pass" };
    const { waited } = task;
    if (wait === undefined) {
      if (waited !== null) {
        const old = this.#oldSteps.get(row.name)?.gate?.wait;
        const then = `it waited${old === undefined ? "" : ` for ${describe(old)}`}`;
        this.#findings.add(row.name, "wait_changed", then, "it would not wait");
        return undefined;
      }
      return { kind: "pass" };
    }
    if (waited === null) {
      if (task.state === "skipped" || task.error?.code === "condition_failed") {
        return { kind: "pass" }; // it was not let as far as its wait
      }
      const now = `it would wait for ${describe(wait)}`;
      this.#findings.add(row.name, "wait_changed", "it did not wait", now);
      return undefined;
    }
    const differs = compareWaits(wait, waited, data, this.#candidate.waitConditions);
    if (differs !== undefined) {
      this.#findings.add(row.name, "wait_changed", differs.was, differs.would);
      return undefined;
    }
    if (waited.isMet === null) return undefined;
    const { isMet, met } = waited;
    return judgeGate({ wait }, data, { isMet, met }, this.#candidate.stepConditions);
  }

  #follow(row: DagRow, task: Task | undefined, verdict: Verdict): Outcome {
    const { name } = row;
    const { run } = this.#recorded;
    const wasCanceller = cancellerOf(run) === name;
    const isOpen = task !== undefined && !wasReached(task) && !wasCanceller && wasCut(run);
    if (isOpen) return { kind: "cancelled" }; // the run had been ended before it came to this
    if (wasCanceller && verdict.kind !== "cancel") {
      const then = `it cancelled the run: ${run.error?.message.split(": ").slice(1).join(": ")}`;
      this.#findings.add(name, "run_not_cancelled", then.replace(/\.$/, ""), wordOf(verdict));
    }
    switch (verdict.kind) {
      case "skip":
        if (task !== undefined && task.state !== "skipped" && wasReached(task)) {
          this.#findings.add(name, "step_skipped", wordFor(task), wordOf(verdict));
        }
        return { kind: "skipped" };
      case "cancel":
        this.isCancelled = true;
        if (!wasCanceller) {
          const then = task === undefined ? "there was no such step" : wordFor(task);
          this.#findings.add(name, "run_cancelled", then, wordOf(verdict));
        }
        return { kind: "cancelled" };
      case "fail":
        if (task?.error?.code !== verdict.code) {
          const then = task === undefined ? "there was no such step" : wordFor(task);
          this.#findings.add(name, "condition_failed", then, wordOf(verdict));
        }
        return { kind: "failed" };
      default:
        return this.#run(row, task, wasCanceller);
    }
  }

  /** It would be given to a handler. */
  #run(row: DagRow, task: Task | undefined, wasCanceller: boolean): Outcome {
    if (task === undefined) {
      const parents = row.parents.map((parent) => `"${this.#nameOf(parent)}"`).join(" and ");
      const now = `it would run${parents === "" ? "" : `, after ${parents}`}`;
      this.#findings.add(row.name, "step_added", "there was no such step", now);
      return { kind: "unknown" };
    }
    const isUnjudged =
      task.error?.code === "condition_failed" || task.error?.code === "wait_timeout";
    if (!hasRun(task) && (task.state !== "failed" || isUnjudged)) {
      if (!wasCanceller) this.#findings.add(row.name, "step_run", wordFor(task), "it would run");
      return { kind: "unknown" };
    }
    if (!this.#isReused(task)) {
      const old = this.#oldSteps.get(row.name);
      compareAttempts(task, { row, old }, this.#candidate, this.#findings);
    }
    return outcomeOf(task);
  }

  #dataFor(parents: string[]): StepData {
    const { input, metadata } = this.#recorded.run;
    const outputs: { [step: string]: Json } = {};
    for (const name of parents) {
      const outcome = this.outcomes.get(name);
      if (outcome?.kind === "completed") outputs[name] = outcome.output;
    }
    return { input, metadata: { ...metadata }, parents: outputs };
  }

  /** Its attempts are those of the run that this one repeats. */
  #isReused({ step }: Task): boolean {
    return this.#recorded.reusedSteps.includes(step);
  }

  #nameOf(step: number): string {
    return this.#candidate.definition.steps[step]?.name ?? "";
  }
}

function outcomeOf(task: Task | undefined): Outcome {
  switch (task?.state) {
    case "completed":
      return { kind: "completed", output: task.output };
    case "failed":
    case "skipped":
    case "cancelled":
      return { kind: task.state };
    default:
      return { kind: "unknown" };
  }
}

function wordFor({ state, error }: Task): string {
  const why = (error?.message ?? "").replace(/\.$/, "");
  if (state === "completed") return "it ran";
  if (state === "skipped") return `it was skipped: ${why}`;
  if (state === "failed") return `it failed: ${why}`;
  return "it was cancelled";
}

function wordOf(verdict: Verdict): string {
  switch (verdict.kind) {
    case "skip":
      return `it would be skipped: ${verdict.why}`;
    case "cancel":
      return `it would cancel the run: ${verdict.why}`;
    case "fail":
      return `it would fail: ${verdict.why}`;
    default:
      return "it would run";
  }
}
