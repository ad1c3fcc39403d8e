/** Runs and definitions that they are held against: waits, times, retries, and how runs end. */
import type { Task } from "../../protocol/http.ts";
import { at, failedAfter, neverRun } from "../support/exported-run.ts";
import { CANCELLED, CHAIN, flow, type Story } from "./replay-stories.ts";

const waited = (parts: Partial<Task["waited"]> = {}): Partial<Task> => ({
  waited: { since: at(0), timesOutAt: null, endedAt: at(60), isMet: true, met: [], ...parts },
});
const PACKED = {
  condition: 0,
  at: Date.parse(at(60)),
  event: {
    id: "019c1427-0000-7000-8000-000000000001",
    key: "packed",
    payload: { weight: 2 },
    metadata: {},
  },
};

export const TIMED_STORIES: Record<string, Story> = {
  "a wait": {
    definition: flow({
      a: { waitFor: { event: "packed", if: "event.payload.weight > 1", timeoutMs: 90_000 } },
    }),
    ends: { a: waited({ met: [PACKED] }) },
    others: [
      [
        "for the same by other words",
        flow({ a: { waitFor: { event: "packed", if: "event.payload.weight == 2" } } }),
        [],
      ],
      ["for another event", flow({ a: { waitFor: { event: "sent" } } }), ["a wait_changed"]],
      [
        "for the event with another condition",
        flow({ a: { waitFor: { event: "packed", if: "event.payload.weight > 9" } } }),
        ["a wait_changed"],
      ],
      [
        "that is too short",
        flow({ a: { waitFor: { event: "packed", timeoutMs: 30_000 } } }),
        ["a wait_changed"],
      ],
      [
        "that a sleep would end first",
        flow({ a: { waitFor: { any: [{ event: "packed" }, { sleepMs: 20_000 }] } } }),
        ["a wait_changed"],
      ],
      [
        "that needs more",
        flow({ a: { waitFor: { all: [{ event: "packed" }, { event: "paid" }] } } }),
        ["a wait_changed"],
      ],
      ["no longer", flow({ a: {} }), ["a wait_changed"]],
    ],
  },
  "no wait": {
    definition: flow({ a: {} }),
    ends: {},
    others: [["but now one", flow({ a: { waitFor: { sleepMs: 5_000 } } }), ["a wait_changed"]]],
  },
  "a wait whose time was over": {
    definition: flow({ a: { waitFor: { event: "packed", timeoutMs: 60_000, onTimeout: "skip" } } }),
    ends: {
      a: {
        ...neverRun("skipped", "What it waited for did not come in time."),
        ...waited({ isMet: false }),
      },
    },
    others: [
      [
        "and might be longer",
        flow({ a: { waitFor: { event: "packed", timeoutMs: 600_000, onTimeout: "skip" } } }),
        ["a wait_changed"],
      ],
      [
        "and would go on then",
        flow({ a: { waitFor: { event: "packed", timeoutMs: 60_000, onTimeout: "continue" } } }),
        ["a step_run"],
      ],
      [
        "and would fail then",
        flow({ a: { waitFor: { event: "packed", timeoutMs: 60_000 } } }),
        ["a condition_failed", "end_changed"],
      ],
      [
        "and would be met by a sleep",
        flow({ a: { waitFor: { any: [{ event: "packed" }, { sleepMs: 30_000 }] } } }),
        ["a wait_changed"],
      ],
    ],
  },
  "times and retries": {
    definition: flow({ a: { timeoutMs: 20_000, retries: 2 }, b: { parents: ["a"] } }),
    ends: {
      a: {
        attempts: [
          ...(failedAfter(2, "busy").attempts ?? []),
          {
            attempt: 3,
            outcome: "completed",
            worker: "w",
            startedAt: at(1),
            finishedAt: at(11),
            error: null,
          },
        ],
      },
    },
    others: [
      [
        "the same but for the wait between",
        flow({
          a: { timeoutMs: 20_000, retries: 2, backoff: { initialMs: 5 } },
          b: { parents: ["a"] },
        }),
        [],
      ],
      [
        "with more of both",
        flow({ a: { timeoutMs: 90_000, retries: 9 }, b: { parents: ["a"] } }),
        [],
      ],
      [
        "in a shorter time",
        flow({ a: { timeoutMs: 5_000, retries: 2 }, b: { parents: ["a"] } }),
        ["a timeout_changed"],
      ],
      [
        "with fewer retries",
        flow({ a: { timeoutMs: 20_000, retries: 1 }, b: { parents: ["a"] } }),
        ["a retries_changed"],
      ],
      [
        "with a retryIf that ends them",
        flow({
          a: { timeoutMs: 20_000, retries: 2, retryIf: 'error.message != "busy"' },
          b: { parents: ["a"] },
        }),
        ["a retries_changed"],
      ],
      [
        "in a shorter run",
        flow({ a: { timeoutMs: 20_000, retries: 2 }, b: { parents: ["a"] } }, { timeoutMs: 1_000 }),
        ["timeout_changed"],
      ],
      [
        "with less patience in the queue",
        flow({
          a: { timeoutMs: 20_000, retries: 2 },
          b: { parents: ["a"], scheduleTimeoutMs: 1_000 },
        }),
        [],
      ],
    ],
  },
  "an attempt that ran out of time": {
    definition: flow({ a: { timeoutMs: 1_000 } }),
    ends: {
      a: {
        ...failedAfter(1),
        attempts: [
          {
            attempt: 1,
            outcome: "timed_out",
            worker: "w",
            startedAt: at(0),
            finishedAt: at(1),
            error: { code: "execution_timeout", name: "E", message: "m" },
          },
        ],
      },
    },
    parts: { state: "failed" },
    others: [
      ["and may take longer", flow({ a: { timeoutMs: 9_000 } }), ["a timeout_changed"]],
      [
        "and would be tried again",
        flow({ a: { timeoutMs: 1_000, retries: 1 } }),
        ["a retries_changed"],
      ],
    ],
  },
  "a task that was queued for long": {
    definition: flow({ a: {} }),
    ends: { a: { queuedAt: at(0), startedAt: at(50) } },
    others: [
      ["with less patience", flow({ a: { scheduleTimeoutMs: 10_000 } }), ["a timeout_changed"]],
    ],
  },
  "a run that failed": {
    definition: flow(
      { a: { compensate: {} }, b: { parents: ["a"], retries: 1 }, c: { parents: ["b"] }, d: {} },
      { onFailure: {} },
    ),
    ends: { b: failedAfter(2), c: CANCELLED, "a:compensate": {}, "on-failure": {} },
    parts: { state: "failed" },
    others: [
      [
        "and would be tried again",
        flow(
          {
            a: { compensate: {} },
            b: { parents: ["a"], retries: 2 },
            c: { parents: ["b"] },
            d: {},
          },
          { onFailure: {} },
        ),
        ["b retries_changed"],
      ],
      [
        "with nothing that undoes",
        flow(
          { a: {}, b: { parents: ["a"], retries: 1 }, c: { parents: ["b"] }, d: {} },
          { onFailure: {} },
        ),
        ["a compensation_changed"],
      ],
      [
        "with more that undoes",
        flow(
          {
            a: { compensate: {} },
            b: { parents: ["a"], retries: 1 },
            c: { parents: ["b"] },
            d: { compensate: {} },
          },
          { onFailure: {} },
        ),
        ["d compensation_changed"],
      ],
      [
        "with nothing that sees to it",
        flow({
          a: { compensate: {} },
          b: { parents: ["a"], retries: 1 },
          c: { parents: ["b"] },
          d: {},
        }),
        ["on_failure_changed"],
      ],
      [
        "and would skip what failed",
        flow(
          {
            a: { compensate: {} },
            b: { parents: ["a"], skipIf: "true" },
            c: { parents: ["b"] },
            d: {},
          },
          { onFailure: {} },
        ),
        ["b step_skipped", "c step_run"],
      ],
      [
        "and would be without what failed",
        flow({ a: { compensate: {} }, d: {} }, { onFailure: {} }),
        ["b step_removed", "end_changed"],
      ],
    ],
  },
  "a run that nothing saw to": {
    definition: flow({ a: {} }),
    ends: { a: failedAfter(1) },
    parts: { state: "failed" },
    others: [["and something would", flow({ a: {} }, { onFailure: {} }), ["on_failure_changed"]]],
  },
  "a run that took too long": {
    definition: flow(CHAIN, { timeoutMs: 1_000 }),
    ends: { b: CANCELLED, c: CANCELLED },
    parts: { state: "failed", error: { code: "run_timeout", name: "T", message: "m" } },
    others: [["and might take longer", flow(CHAIN, { timeoutMs: 9_000 }), ["timeout_changed"]]],
  },
  "an event that started it": {
    definition: flow({ a: {} }, { events: ["user:*"] }),
    ends: {},
    rest: {
      event: {
        id: "e",
        key: "user:made",
        scope: null,
        payload: null,
        metadata: {},
        replayOf: null,
        publishedAt: at(0),
      },
    },
    others: [
      ["and would", flow({ a: {} }, { events: ["user:made"] }), []],
      ["and would not", flow({ a: {} }, { events: ["user:gone", "other:*"] }), ["not_started"]],
    ],
  },
};
