/**
 * What checks of many runs come to: counts, and the first divergences. Pure.
 */
import { MAX_DIVERGENCES } from "../../protocol/limits.ts";
import type { Divergence, ReplayCheck } from "../../protocol/replay-check-bodies.ts";

type Counts = Omit<ReplayCheck, "workflow" | "version" | "tooLarge" | "nextCursor">;

export class Tally {
  #checked = 0;
  #divergent = 0;
  #count = 0;
  readonly #byKind: Record<string, number> = {};
  readonly #listed: Divergence[] = [];

  add(divergences: Divergence[]): void {
    this.#checked += 1;
    if (divergences.length > 0) this.#divergent += 1;
    for (const divergence of divergences) {
      this.#count += 1;
      this.#byKind[divergence.kind] = (this.#byKind[divergence.kind] ?? 0) + 1;
      if (this.#listed.length < MAX_DIVERGENCES) this.#listed.push(divergence);
    }
  }

  counts(): Counts {
    return {
      checked: this.#checked,
      same: this.#checked - this.#divergent,
      divergent: this.#divergent,
      byKind: this.#byKind,
      divergences: this.#listed,
      more: this.#count - this.#listed.length,
    };
  }
}
