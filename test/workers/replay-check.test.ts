/** A recorded run held against another definition: every way in which that would have gone another way. */
import { describe, expect, test } from "vitest";
import type { RunExport } from "../../protocol/history-bodies.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { DIVERGENCE_KINDS, type DivergenceKind } from "../../protocol/replay-check-bodies.ts";
import { prepareCandidate } from "../../workers/replay-check/candidate.ts";
import { checkRun } from "../../workers/replay-check/check-run.ts";
import { at, exportedRun, failedAfter } from "../support/exported-run.ts";
import { flow, STORIES } from "./replay-stories.ts";
import { TIMED_STORIES } from "./replay-timed-stories.ts";

const seen = new Set<DivergenceKind>();

/** `step kind` of each divergence, in the order that they were found. */
function check(recorded: RunExport, definition: WorkflowDefinition): string[] {
  return checkRun(recorded, prepareCandidate(definition)).map(({ step, kind }) => {
    seen.add(kind);
    return step === null ? kind : `${step} ${kind}`;
  });
}

function sentences(recorded: RunExport, definition: WorkflowDefinition): string[] {
  return checkRun(recorded, prepareCandidate(definition)).map(({ message }) => message);
}

const ALL = Object.entries({ ...STORIES, ...TIMED_STORIES });

describe.each(ALL)("%s", (_name, { definition, ends, parts, rest, others }) => {
  const recorded = exportedRun(definition, ends, parts, rest);

  test("go the same way by the same definition", () => {
    expect(sentences(recorded, definition)).toEqual([]);
  });

  test.each(others)("%s", (_which, other, expected) => {
    expect(check(recorded, other)).toEqual(expected);
  });
});

test("every kind of divergence is found here", () => {
  expect([...seen].toSorted()).toEqual(DIVERGENCE_KINDS.toSorted());
});

test("a replay's reused steps have no attempts that could be other ones, and are not undone", () => {
  const definition = flow({ a: { compensate: {} }, b: { parents: ["a"] } });
  const ends = { a: { attempts: [], startedAt: at(-90) }, b: failedAfter(1) };
  const recorded = exportedRun(definition, ends, { state: "failed" }, { reusedSteps: ["a"] });
  const slower = flow({
    a: { compensate: {}, scheduleTimeoutMs: 1, waitFor: { sleepMs: 1 } },
    b: { parents: ["a"] },
  });
  expect(check(recorded, slower)).toEqual([]);
});

test("each is a sentence with what was and what would be", () => {
  const conditions = STORIES["conditions"];
  const recorded = exportedRun(conditions?.definition ?? flow({}), conditions?.ends ?? {});
  const [finding] = checkRun(
    recorded,
    prepareCandidate(
      flow({ a: {}, b: { parents: ["a"] }, c: { parents: ["a", "b"], skipIf: "true" } }),
    ),
  );
  expect(finding).toEqual({
    run: recorded.run.id,
    version: 1,
    step: "b",
    kind: "step_run",
    was: "it was skipped: Its runIf is false",
    would: "it would run",
    message: 'Step "b": then it was skipped: Its runIf is false; now it would run.',
  });
});
