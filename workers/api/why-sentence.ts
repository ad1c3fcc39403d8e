/**
 * Why a task is not running, in one sentence: what stands in its way, since or until when, and what to do
 * about it where something can be done. Says nothing that the reason does not. Pure.
 */
import type {
  CountDoubt,
  OpenCondition,
  LinePosition,
  ReturnNeed,
  WaitReason,
} from "../../protocol/limit-bodies.ts";

/** Parents that the sentence names; the reason has all of them. */
const MAX_NAMED = 5;

export function sentenceOf(reason: WaitReason): string {
  switch (reason.kind) {
    case "running":
      return ofRunning(reason);
    case "children":
      return `${ofRunning(reason)} Its handler waits for runs that it has started, and takes no slot and no permit of its own meanwhile.`;
    case "returning":
      return `${ofRunning(reason)} Its handler has waited for runs that it had started, and goes on ${ofReturn(reason.needs)}.`;
    case "finished":
      return FINISHED[reason.state];
    case "parents":
      return `It waits until ${listed(reason.parents)} ${reason.parents.length === 1 ? "has" : "have"} completed.`;
    case "wait":
      return ofWait(reason);
    case "paused":
      return `Its run was started while the workflow was paused, which it has been since ${reason.since}, and begins when the workflow is resumed.`;
    case "delayed":
      return `Its run was started with a delay, and begins at ${reason.until}.`;
    case "backoff":
      return `Its last attempt failed, and the next is due at ${reason.until}.`;
    case "concurrency":
      return ofConcurrency(reason);
    case "rate":
      return ofRate(reason);
    case "no_worker":
      return ofNoWorker(reason);
    case "no_free_slot":
      return `The workers that could take action "${reason.action}" have too few free slots, ${slotsOf(reason)}: connect more, or give them more slots; ${place(reason.line)}.`;
    case "next":
      return "Nothing stands in its way: it is given to a worker next.";
    case "queue":
      return `It waits in the queue of action "${reason.action}" behind tasks that came first; ${place(reason.line)}.`;
    case "arriving":
      return "It is ready, and on its way to the shard that gives it to a worker.";
  }
}

const FINISHED: Record<Extract<WaitReason, { kind: "finished" }>["state"], string> = {
  completed: "It has completed.",
  failed: "It has failed for good: its error says why.",
  cancelled: "It was cancelled, with its run or because a step before it failed.",
  skipped: "It was skipped, and does not run.",
};

function ofNoWorker({
  action,
  detail,
  elsewhere,
  line,
}: Extract<WaitReason, { kind: "no_worker" }>): string {
  const end = `; ${place(line)}.`;
  if (elsewhere === undefined) {
    return `No worker that is connected can take action "${action}" (${detail}): connect one that can${end}`;
  }
  const { shard, shards } = elsewhere;
  const others = `${shards.length === 1 ? "shard" : "shards"} ${shards.join(", ")}`;
  return `No worker that is connected to shard ${shard}, where it waits, can take action "${action}" (${detail}), while at ${others} one could: those workers are not connected to shard ${shard}, most likely because of their \`affinity\`: raise it or leave it out${end}`;
}

function ofRunning({
  worker,
  since,
}: Extract<WaitReason, { kind: "running" | "children" | "returning" }>): string {
  const who = worker === null ? "A worker" : `Worker "${worker}"`;
  return since === null ? `${who} has it.` : `${who} has had it since ${since}.`;
}

function ofWait({ since, until, anyOf }: Extract<WaitReason, { kind: "wait" }>): string {
  const named = anyOf.slice(0, MAX_NAMED).map((set) => set.map(awaited).join(" and "));
  const more = anyOf.length - named.length;
  const what = named.join(", or ") + (more > 0 ? `, or one of ${more} other ways` : "");
  const end = until === null ? "" : `, at most until ${until}`;
  return `It has waited since ${since} for ${what}${end}.`;
}

function awaited(condition: OpenCondition): string {
  if ("until" in condition) return condition.until;
  const { event, if: source } = condition;
  return source === "true" ? `an event "${event}"` : `an event "${event}" with ${source}`;
}

function ofReturn(needs: ReturnNeed): string {
  switch (needs.of) {
    case "limit":
      return `once it has ${limitName(needs.limit, needs.key)} again, of which ${permitsHeld(needs)} are held`;
    case "slots":
      return "once its worker has room for it again";
    case "connection":
      return "once its worker is connected again";
    case "nothing":
      return "next";
  }
}

function ofConcurrency({
  limit,
  key,
  held,
  bound,
  heldElsewhere = 0,
  closedUntil,
  doubt,
  line,
}: Extract<WaitReason, { kind: "concurrency" }>): string {
  const which = limitName(limit, key);
  const where = place(line);
  const elsewhere = heldElsewhere > 0 ? `, ${heldElsewhere} of them at other shards` : "";
  const isUnknown = doubt !== undefined || closedUntil !== undefined;
  const permits = `${isUnknown ? "at least " : ""}${held} of ${bound} permits are held${elsewhere}`;
  if (doubt !== undefined)
    return `It waits for ${which}: ${permits}, and ${DOUBTS[doubt]}; ${where}.`;
  if (closedUntil !== undefined) {
    return `It waits for ${which}: ${permits}, and none is given before ${closedUntil}, for until then others may be held of which nothing is known; ${where}.`;
  }
  if (held < bound) return `It waits for its turn at ${which}: ${permits}; ${where}.`;
  const until =
    held === bound
      ? "one must be released, or the limit raised"
      : "none is given until enough are released, or the limit is raised";
  return `It waits for ${which}: ${permits}, and ${until}; ${where}.`;
}

function ofRate({
  limit,
  key,
  units,
  availableAt,
  isPaused,
  doubt,
  line,
}: Extract<WaitReason, { kind: "rate" }>): string {
  const what = `${units} ${units === 1 ? "unit" : "units"} of ${limitName(limit, key)}`;
  const paused = isPaused ? ", which a worker has paused because it met the real limit" : "";
  if (doubt !== undefined) {
    return `It waits for ${what}${paused}: there is enough at ${availableAt} at the earliest, and ${DOUBTS[doubt]}; ${place(line)}.`;
  }
  return `It waits for ${what}${paused}: there is enough at ${availableAt} if nothing else takes it; ${place(line)}.`;
}

/** What comes after the least that is known. */
const DOUBTS: Record<CountDoubt, string> = {
  unreached: "the shard that counts them could not be asked now",
  gathering: "none is given until all shards have said what they hold",
};

/** Of an attempt that wants to go on. */
function permitsHeld({ held, bound, doubt }: Extract<ReturnNeed, { of: "limit" }>): string {
  return `${doubt === undefined ? "" : "at least "}${held} of ${bound} permits`;
}

function limitName(limit: string, key: string): string {
  return key === "" ? `limit "${limit}"` : `limit "${limit}" with key "${key}"`;
}

/** Where it stands; a position that is not exact is the least that is known. */
function place({ position, length, isExact }: LinePosition): string {
  return isExact
    ? `it is number ${position} of ${length} in line`
    : `it is number ${position} or later of at least ${length} in line`;
}

function listed(names: readonly string[]): string {
  const quoted = names.slice(0, MAX_NAMED).map((name) => `"${name}"`);
  const more = names.length - quoted.length;
  if (more > 0) return `${quoted.join(", ")} and ${more} more`;
  const last = quoted.pop() ?? "";
  return quoted.length === 0 ? last : `${quoted.join(", ")} and ${last}`;
}

/** Workers of many shards lend each of them some of their slots. */
function slotsOf({ used, slots }: { used: number; slots: number }): string {
  return slots === 0 ? "all being at other shards" : `${used} of ${slots} being in use`;
}
