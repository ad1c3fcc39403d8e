/** Log lines for people. */
import { expect, test } from "vitest";
import { prettyLog } from "../../local/pretty-log.ts";

const RUN = "0192f0c1-2b3c-7d4e-8f50-0123456789ab";

test("a JSON line becomes time, level, event, shortened ids, and the rest", () => {
  const line = JSON.stringify({
    time: "2026-01-02T03:04:05.678Z",
    level: "warn",
    event: "task_rescued",
    attempt: 2,
    run_id: RUN,
    detail: { slots: 3 },
  });
  expect(prettyLog({ isColoured: false })(line)).toBe(
    '03:04:05.678 warn  task_rescued run=456789ab attempt=2 detail={"slots":3}',
  );
});

test("colours are only used where they are asked for", () => {
  const line = '{"level":"error","event":"commit_failed"}';
  expect(prettyLog({ isColoured: true })(line)).toContain("\u001b[31merror");
  expect(prettyLog({ isColoured: false })(line)).toBe("error commit_failed");
});

test("what is not a JSON object passes unchanged", () => {
  const pretty = prettyLog({ isColoured: false });
  for (const line of ["plain text", "{not json", "[1,2]", '"quoted"', ""]) {
    expect(pretty(line)).toBe(line);
  }
});
