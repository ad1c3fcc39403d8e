/**
 * Labels of workers, and what steps ask of them. Held here to what a shard takes, so that no label ends a
 * worker's session.
 */
import type { LabelRequest } from "../protocol/limit-bodies.ts";
import { MAX_LABEL_WEIGHT, MAX_LABELS, MAX_NAME_LENGTH } from "../protocol/limits.ts";
import { LABEL_COMPARATORS } from "../protocol/states.ts";
import { DefinitionError } from "./errors.ts";
import { isStorable } from "./json.ts";
import { checkName } from "./names.ts";

/** What a worker has for steps to ask for: texts of at most 200 characters, and numbers; at most 50. */
export type Labels = Readonly<Record<string, string | number>>;

/** What a step asks of its worker's labels: a value that must be met, or more exactly. */
export type LabelOptions = Readonly<Record<string, string | number | LabelRequest>>;

/** A worker's labels, as they were when this was called. */
export function checkedLabels(labels: Labels): { [label: string]: string | number } {
  const entries = Object.entries(labels);
  checkCount(entries.length, "A worker has");
  for (const [label, value] of entries) {
    checkName(label, "A label of a worker"); // One that no step could ask for is a mistake.
    checkValue(value, `The label "${label}" of a worker`);
  }
  return Object.fromEntries(entries);
}

/** What a step asks for; a value alone is required. `of` names the step in errors. */
export function checkedLabelRequests(
  labels: LabelOptions,
  of: string,
): { [label: string]: LabelRequest } {
  const entries = Object.entries(labels);
  checkCount(entries.length, `${of} asks for`);
  return Object.fromEntries(
    entries.map(([label, asked]) => {
      checkName(label, `A label of ${of}`);
      const request = typeof asked === "object" ? asked : { value: asked, isRequired: true };
      return [label, checkedRequest(request, `The label "${label}" of ${of}`)];
    }),
  );
}

function checkedRequest(request: LabelRequest, what: string): LabelRequest {
  const { value, comparator, isRequired, weight } = request;
  checkValue(value, what);
  if (comparator !== undefined && !LABEL_COMPARATORS.includes(comparator)) {
    throw new DefinitionError(
      `${what} has the comparator "${comparator}": use one of ${LABEL_COMPARATORS.join(" ")}`,
    );
  }
  if (weight === undefined) return request;
  if (isRequired === true) {
    throw new DefinitionError(`${what} is required, and only a preference has a weight`);
  }
  if (weight > 0 && weight <= MAX_LABEL_WEIGHT) return request;
  throw new DefinitionError(
    `${what} has the weight ${weight}: it must be more than 0, and at most ${MAX_LABEL_WEIGHT}`,
  );
}

function checkCount(count: number, has: string): void {
  if (count <= MAX_LABELS) return;
  throw new DefinitionError(`${has} ${count} labels: use at most ${MAX_LABELS}`);
}

function checkValue(value: unknown, what: string): void {
  if (typeof value === "number" && Number.isFinite(value)) return;
  if (isStorable(value) && value.length <= MAX_NAME_LENGTH) return;
  throw new DefinitionError(
    `${what} is ${JSON.stringify(value)}: give a number, or a text of at most ${MAX_NAME_LENGTH} characters without U+0000`,
  );
}
