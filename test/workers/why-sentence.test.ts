/** The sentence for each reason that a task is not running. */
import { expect, test } from "vitest";
import type { WaitReason } from "../../protocol/limit-bodies.ts";
import { sentenceOf } from "../../workers/api/why-sentence.ts";

const T = "2026-01-31T12:00:00.000Z";
const line = { position: 3, length: 10, isExact: true };
const permits = { kind: "concurrency" as const, limit: "llm", key: "acme", holders: [], line };
const returning = { kind: "returning" as const, worker: "box", since: T };
const units = { kind: "rate" as const, limit: "tokens", key: "", availableAt: T, line };

const SENTENCES: [WaitReason, string][] = [
  [{ kind: "running", worker: "w1", since: T }, `Worker "w1" has had it since ${T}.`],
  [{ kind: "running", worker: "w1", since: null }, 'Worker "w1" has it.'],
  [{ kind: "running", worker: null, since: null }, "A worker has it."],
  [
    { kind: "wait", since: T, until: null, anyOf: [[{ event: "order:paid", if: "true" }]] },
    `It has waited since ${T} for an event "order:paid".`,
  ],
  [
    {
      kind: "wait",
      since: T,
      until: T,
      anyOf: [
        [{ event: "paid", if: "event.payload.id == 1" }, { until: T }],
        ...["b", "c", "d", "e", "f"].map((event) => [{ event, if: "true" }]),
      ],
    },
    `It has waited since ${T} for an event "paid" with event.payload.id == 1 and ${T}, or an event "b", or an event "c", or an event "d", or an event "e", or one of 1 other ways, at most until ${T}.`,
  ],
  [{ kind: "finished", state: "completed" }, "It has completed."],
  [{ kind: "finished", state: "failed" }, "It has failed for good: its error says why."],
  [
    { kind: "finished", state: "cancelled" },
    "It was cancelled, with its run or because a step before it failed.",
  ],
  [{ kind: "finished", state: "skipped" }, "It was skipped, and does not run."],
  [
    { kind: "children", worker: "box", since: T },
    `Worker "box" has had it since ${T}. Its handler waits for runs that it has started, and takes no slot and no permit of its own meanwhile.`,
  ],
  [
    { ...returning, needs: { of: "limit", limit: "llm", key: "acme", held: 2, bound: 2 } },
    `Worker "box" has had it since ${T}. Its handler has waited for runs that it had started, and goes on once it has limit "llm" with key "acme" again, of which 2 of 2 permits are held.`,
  ],
  [
    { ...returning, needs: { of: "slots" } },
    `Worker "box" has had it since ${T}. Its handler has waited for runs that it had started, and goes on once its worker has room for it again.`,
  ],
  [
    { ...returning, needs: { of: "connection" } },
    `Worker "box" has had it since ${T}. Its handler has waited for runs that it had started, and goes on once its worker is connected again.`,
  ],
  [
    { ...returning, needs: { of: "nothing" } },
    `Worker "box" has had it since ${T}. Its handler has waited for runs that it had started, and goes on next.`,
  ],
  [{ kind: "parents", parents: ["a"] }, 'It waits until "a" has completed.'],
  [{ kind: "parents", parents: ["a", "b"] }, 'It waits until "a" and "b" have completed.'],
  [
    { kind: "parents", parents: ["a", "b", "c", "d", "e", "f", "g"] },
    'It waits until "a", "b", "c", "d", "e" and 2 more have completed.',
  ],
  [
    { kind: "paused", since: T },
    `Its run was started while the workflow was paused, which it has been since ${T}, and begins when the workflow is resumed.`,
  ],
  [{ kind: "delayed", until: T }, `Its run was started with a delay, and begins at ${T}.`],
  [{ kind: "backoff", until: T }, `Its last attempt failed, and the next is due at ${T}.`],
  [
    { ...permits, held: 2, bound: 2 },
    'It waits for limit "llm" with key "acme": 2 of 2 permits are held, and one must be released, or the limit raised; it is number 3 of 10 in line.',
  ],
  [
    { ...permits, held: 5, bound: 2 },
    'It waits for limit "llm" with key "acme": 5 of 2 permits are held, and none is given until enough are released, or the limit is raised; it is number 3 of 10 in line.',
  ],
  [
    { ...permits, held: 1, bound: 2 },
    'It waits for its turn at limit "llm" with key "acme": 1 of 2 permits are held; it is number 3 of 10 in line.',
  ],
  [
    { ...permits, held: 3, bound: 3, heldElsewhere: 2 },
    'It waits for limit "llm" with key "acme": 3 of 3 permits are held, 2 of them at other shards, and one must be released, or the limit raised; it is number 3 of 10 in line.',
  ],
  [
    { ...permits, held: 1, bound: 3, doubt: "unreached" },
    'It waits for limit "llm" with key "acme": at least 1 of 3 permits are held, and the shard that counts them could not be asked now; it is number 3 of 10 in line.',
  ],
  [
    { ...permits, held: 1, bound: 3, doubt: "gathering" },
    'It waits for limit "llm" with key "acme": at least 1 of 3 permits are held, and none is given until all shards have said what they hold; it is number 3 of 10 in line.',
  ],
  [
    { ...permits, held: 1, bound: 3, closedUntil: T },
    `It waits for limit "llm" with key "acme": at least 1 of 3 permits are held, and none is given before ${T}, for until then others may be held of which nothing is known; it is number 3 of 10 in line.`,
  ],
  [
    { ...units, units: 500, isPaused: false, doubt: "unreached" },
    `It waits for 500 units of limit "tokens": there is enough at ${T} at the earliest, and the shard that counts them could not be asked now; it is number 3 of 10 in line.`,
  ],
  [
    {
      ...returning,
      needs: { of: "limit", limit: "llm", key: "", held: 1, bound: 2, doubt: "unreached" },
    },
    `Worker "box" has had it since ${T}. Its handler has waited for runs that it had started, and goes on once it has limit "llm" again, of which at least 1 of 2 permits are held.`,
  ],
  [
    { ...units, units: 500, isPaused: false },
    `It waits for 500 units of limit "tokens": there is enough at ${T} if nothing else takes it; it is number 3 of 10 in line.`,
  ],
  [
    { ...units, units: 1, isPaused: true },
    `It waits for 1 unit of limit "tokens", which a worker has paused because it met the real limit: there is enough at ${T} if nothing else takes it; it is number 3 of 10 in line.`,
  ],
  [
    { kind: "no_worker", action: "w:a", detail: "none that takes tasks offers it", line },
    'No worker that is connected can take action "w:a" (none that takes tasks offers it): connect one that can; it is number 3 of 10 in line.',
  ],
  [
    {
      kind: "no_worker",
      action: "w:a",
      detail: "none that takes tasks offers it",
      elsewhere: { shard: 2, shards: [0, 1] },
      line,
    },
    'No worker that is connected to shard 2, where it waits, can take action "w:a" (none that takes tasks offers it), while at shards 0, 1 one could: those workers are not connected to shard 2, most likely because of their `affinity`: raise it or leave it out; it is number 3 of 10 in line.',
  ],
  [
    { kind: "no_free_slot", action: "w:a", used: 8, slots: 8, line },
    'The workers that could take action "w:a" have too few free slots, 8 of 8 being in use: connect more, or give them more slots; it is number 3 of 10 in line.',
  ],
  [
    { kind: "no_free_slot", action: "w:a", used: 0, slots: 0, line },
    'The workers that could take action "w:a" have too few free slots, all being at other shards: connect more, or give them more slots; it is number 3 of 10 in line.',
  ],
  [{ kind: "next" }, "Nothing stands in its way: it is given to a worker next."],
  [
    { kind: "queue", action: "w:a", line: { position: 21, length: 90, isExact: false } },
    'It waits in the queue of action "w:a" behind tasks that came first; it is number 21 or later of at least 90 in line.',
  ],
  [{ kind: "arriving" }, "It is ready, and on its way to the shard that gives it to a worker."],
];

test.each(SENTENCES)("%j", (reason, sentence) => {
  expect(sentenceOf(reason)).toBe(sentence);
});

/** One of each kind: the compiler sees to it. */
const KINDS: Record<WaitReason["kind"], true> = {
  running: true,
  children: true,
  returning: true,
  finished: true,
  parents: true,
  wait: true,
  paused: true,
  delayed: true,
  backoff: true,
  concurrency: true,
  rate: true,
  no_worker: true,
  no_free_slot: true,
  next: true,
  queue: true,
  arriving: true,
};

test("there is a sentence for every kind of reason, and each is one", () => {
  const kinds = new Set(SENTENCES.map(([{ kind }]) => kind));
  expect([...kinds].toSorted()).toEqual(Object.keys(KINDS).toSorted());
  for (const [reason] of SENTENCES) expect(sentenceOf(reason)).toMatch(/^[A-Z].*[^.]\.$/);
});
