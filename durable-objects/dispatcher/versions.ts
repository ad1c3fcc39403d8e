/**
 * DAGs of workflow versions, in memory. A version never changes, so an entry is never wrong. What has
 * not been used for as long as it took to add `MAX_VERSIONS` others goes: never one in use.
 */
import type { StepRow, VersionRow } from "../../database/definition-rows.ts";
import { MAX_VERSIONS } from "./limits.ts";

export class Versions {
  #recent = new Map<string, VersionRow>();
  #older = new Map<string, VersionRow>();

  add(versions: VersionRow[]): void {
    for (const version of versions) this.#keep(version);
  }

  /** Those of `ids` that are not here, each once. */
  missing(ids: Iterable<string>): string[] {
    return [...new Set(ids)].filter((id) => this.find(id) === undefined);
  }

  find(id: string): VersionRow | undefined {
    const recent = this.#recent.get(id);
    if (recent !== undefined) return recent;
    const older = this.#older.get(id);
    if (older !== undefined) this.#keep(older);
    return older;
  }

  step(version: string, step: number): StepRow | undefined {
    return this.find(version)?.steps[step];
  }

  #keep(version: VersionRow): void {
    if (this.#recent.size >= MAX_VERSIONS) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(version.id, version);
  }
}
