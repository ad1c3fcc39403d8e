/**
 * Short names for runs and tasks, in the order in which they are first seen, so that traces and
 * evidence can be read: `r3` is a run, `r3.0` the task of its first step.
 */
import { runIdOf } from "../../protocol/ids.ts";

export class Names {
  readonly #runs = new Map<string, string>();

  run(id: string): string {
    let name = this.#runs.get(id);
    if (name === undefined) {
      name = `r${this.#runs.size + 1}`;
      this.#runs.set(id, name);
    }
    return name;
  }

  task(id: string): string {
    return `${this.run(runIdOf(id))}.${Number.parseInt(id.slice(-4), 16) - 1}`;
  }

  attempt({ task, attempt }: { task: string; attempt: number }): string {
    return `${this.task(task)}·${attempt}`;
  }
}
