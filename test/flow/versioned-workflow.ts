/** A workflow in three versions, which differ in their steps: a worker has one of them. */
import { type Workflow, workflow } from "../../sdk/index.ts";

/** Steps of each version; each follows the one before. */
export const SHAPES: readonly (readonly string[])[] = [
  ["first", "second"],
  ["first", "third"],
  ["first", "second", "third", "fourth"],
];

/** @param number From 1. */
export function versioned(number: number): Workflow {
  const made = workflow({ name: "versioned" });
  let before: Parameters<typeof made.step>[1]["parents"] = [];
  for (const name of SHAPES[number - 1] ?? []) {
    const run = (): object => ({ step: name, builtWith: number });
    before = [made.step(name, { parents: before, run })];
  }
  return made;
}
