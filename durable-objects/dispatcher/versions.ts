/**
 * DAGs of workflow versions, in memory. A version never changes, so an entry is never wrong; the
 * least recently added goes when there are too many.
 */
import type { StepRow, VersionRow } from "../../database/rows.ts";
import { MAX_VERSIONS } from "./limits.ts";

export class Versions {
  #versions = new Map<string, VersionRow>();

  add(versions: VersionRow[]): void {
    for (const version of versions) this.#versions.set(version.id, version);
    for (const id of this.#versions.keys()) {
      if (this.#versions.size <= MAX_VERSIONS) return;
      this.#versions.delete(id);
    }
  }

  /** Those of `ids` that are not here, each once. */
  missing(ids: Iterable<string>): string[] {
    return [...new Set(ids)].filter((id) => !this.#versions.has(id));
  }

  find(id: string): VersionRow | undefined {
    return this.#versions.get(id);
  }

  step(version: string, step: number): StepRow | undefined {
    return this.#versions.get(version)?.steps[step];
  }
}
