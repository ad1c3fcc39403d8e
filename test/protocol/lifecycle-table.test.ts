/** docs/lifecycle.md shows the tables of protocol/states.ts, cell by cell. */
import { expect, test } from "vitest";
import {
  ATTEMPT_OUTCOMES,
  TASK_EVENTS,
  TASK_STATES,
  TASK_TRANSITIONS,
} from "../../protocol/states.ts";
import { readTable } from "./document.ts";

const IGNORED = "–";

test("the states and events of tasks", () => {
  const table = readTable("docs/lifecycle.md", "state");
  expect(table.columns.slice(1)).toEqual([...TASK_EVENTS]);
  expect(table.rows.map(([state]) => state)).toEqual([...TASK_STATES]);
  for (const [index, state] of TASK_STATES.entries()) {
    const shown = table.rows[index]?.slice(1).map((cell) => (cell === IGNORED ? "ignored" : cell));
    expect(shown, state).toEqual(TASK_EVENTS.map((event) => TASK_TRANSITIONS[state][event]));
  }
});

test("the outcomes of attempts", () => {
  const { rows } = readTable("docs/lifecycle.md", "outcome");
  expect(rows.map(([outcome]) => outcome)).toEqual([...ATTEMPT_OUTCOMES]);
});
