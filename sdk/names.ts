/**
 * Names and event keys as they may be written. The same rules as the API's, refused where they are
 * written.
 */
import { MAX_EVENT_KEYS, MAX_NAME_LENGTH } from "../protocol/limits.ts";
import { DefinitionError } from "./errors.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** One key, or all that begin alike: `user:*`. */
const EVENT_KEYS = /^(?:[^\s*]+\*?|\*)$/;

/** One key, in full. */
const EVENT_KEY = /^[^\s*]+$/;

export function checkName(name: string, what: string): void {
  if (name === "") throw new DefinitionError(`${what} has an empty name: give it one`);
  if (!NAME.test(name)) {
    throw new DefinitionError(
      `${what} is named ${JSON.stringify(name)}: begin with a letter or digit and use letters, digits, ".", "_" and "-" only`,
    );
  }
  if (name.length > MAX_NAME_LENGTH) {
    throw new DefinitionError(
      `${what} has a name of ${name.length} characters: use at most ${MAX_NAME_LENGTH}`,
    );
  }
}

/** An action is made of names, and is itself held to a name's length. */
export function checkAction(action: string, of: string): void {
  if (action.length <= MAX_NAME_LENGTH) return;
  throw new DefinitionError(
    `The action of ${of} has ${action.length} characters (${action}): shorten a name, to at most ${MAX_NAME_LENGTH} together`,
  );
}

/** The keys without repetitions. */
export function checkedEvents(workflowName: string, keys: readonly string[]): readonly string[] {
  const events = [...new Set(keys)];
  if (events.length > MAX_EVENT_KEYS) {
    throw new DefinitionError(
      `Workflow "${workflowName}" listens to ${events.length} event keys: use at most ${MAX_EVENT_KEYS}`,
    );
  }
  const bad = events.find((key) => !EVENT_KEYS.test(key) || key.length > MAX_NAME_LENGTH);
  if (bad !== undefined) {
    throw new DefinitionError(
      `Workflow "${workflowName}" listens to the event key ${JSON.stringify(bad)}: use 1 to ${MAX_NAME_LENGTH} characters without spaces, and "*" only as the last`,
    );
  }
  return events;
}

/** `of` names what waits for the event. */
export function checkEventKey(key: string, of: string): void {
  if (typeof key === "string" && EVENT_KEY.test(key) && key.length <= MAX_NAME_LENGTH) return;
  throw new DefinitionError(
    `The event of ${of} is ${JSON.stringify(key)}: give one key in full, 1 to ${MAX_NAME_LENGTH} characters without spaces and "*"`,
  );
}
