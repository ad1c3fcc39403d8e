/**
 * What a check finds in one run, as sentences. Pure.
 */
import type { Run } from "../../protocol/http.ts";
import type { Divergence, DivergenceKind } from "../../protocol/replay-check-bodies.ts";

export class Findings {
  readonly list: Divergence[] = [];
  readonly #run: Pick<Run, "id" | "version">;

  constructor(run: Pick<Run, "id" | "version">) {
    this.#run = run;
  }

  /** `then` and `now` are parts of one sentence: _then it ran; now it would be skipped_. */
  add(step: string | null, kind: DivergenceKind, then: string, now: string): void {
    const { id: run, version } = this.#run;
    const subject = step === null ? "The run" : `Step "${step}"`;
    const message = `${subject}: then ${then}; now ${now.replace(/\.$/, "")}.`;
    this.list.push({ run, version, step, kind, was: then, would: now, message });
  }
}
