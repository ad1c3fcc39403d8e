/**
 * Tasks under conditions, when they are ready: each is judged here before it comes into the window, and
 * what its step's conditions say becomes a transition. Until that is durable the task is in a handout, so
 * the next life of a shard that dies judges it again, and says the same.
 */
import type { GateRow } from "../database/definition-rows.ts";
import { judgeGate } from "./dispatcher/gates.ts";
import type { ReadyTask } from "./dispatcher/lane.ts";
import { errorOf } from "./dispatcher/task-errors.ts";
import type { ShardAttempts } from "./shard-attempts.ts";
import type { ShardState } from "./shard-state.ts";

export class ShardGates {
  #state: ShardState;
  #attempts: ShardAttempts;

  constructor(state: ShardState, attempts: ShardAttempts) {
    this.#state = state;
    this.#attempts = attempts;
  }

  /** Whether the task goes on to a worker now. */
  admits(task: ReadyTask, step: string, gate: GateRow): boolean {
    const { input, metadata, parents, waited } = task;
    const data = { input, metadata, parents };
    const verdict = judgeGate(gate, data, waited ?? undefined, this.#state.stepConditions);
    switch (verdict.kind) {
      case "pass":
        return true;
      case "wait":
        this.#state.committer.add({ kind: "wait", row: { t: task.id, r: task.run }, bytes: 0 });
        return false;
      case "skip":
        this.#skip(task, verdict.why);
        return false;
      case "cancel":
        this.#cancel(task, `The run was cancelled by step "${step}": ${verdict.why}`);
        return false;
      case "fail":
        this.#attempts.refuse(task, verdict.code, verdict.why);
        return false;
    }
  }

  #skip({ id, run, attempt, version, step }: ReadyTask, why: string): void {
    const row = { t: id, r: run, a: attempt, s: "skipped" as const, e: errorOf("skipped", why) };
    const of = { bytes: 0, session: undefined, version, step };
    this.#state.committer.add({ kind: "result", row: { ...row, f: Date.now() }, ...of });
  }

  #cancel({ id, run }: ReadyTask, message: string): void {
    const { committer, handouts } = this.#state;
    committer.add({
      kind: "cancel",
      row: { r: run, e: errorOf("cancelled", message) },
      bytes: 0,
      landed: () => handouts.end(id),
      refused: () => {}, // the next life finds it in its handout
    });
  }
}
