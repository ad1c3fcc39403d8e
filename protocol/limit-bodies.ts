/**
 * What the HTTP API says of limits: as workflows use them, as they are stored, how they are used now, and
 * why a task waits. Times are ISO 8601 in UTC.
 */
import type { LabelComparator, LimitKind, LimitStrategy, TaskState } from "./states.ts";

/** One window of a rate limit: a bucket that fills evenly. */
export interface RateWindow {
  /** Units that it gets in `perMs`. */
  units: number;
  /** At most thirty days. */
  perMs: number;
  /** Units that it holds at most: what can be spent at once after a pause. Default `units`. */
  burst?: number;
}

/** How much there may be of something: tasks at once, or units in each of the windows. */
export interface Bound {
  concurrency?: number;
  rate?: RateWindow[];
}

/**
 * A limit that a workflow's runs or a step's tasks are under: a stored one by its name, or with a bound
 * of its own. With a key alone it bounds nothing, and shares what there is fairly among its keys.
 */
export interface LimitUse extends Bound {
  /** A stored limit's name. Then there is no bound here. */
  limit?: string;
  /**
   * CEL over `input`, `metadata` and, of a step, `parents`: a text or number by which it is counted.
   * Default the stored limit's, else one count for all.
   */
  key?: string;
  /** The key where it can't be evaluated or is neither; without one the run fails with `invalid_key`. */
  fallbackKey?: string;
  /** Of a rate: what one task takes; a number, or CEL over the same. Default 1. */
  units?: number | string;
  /** The key's share beside other keys that wait; a number, or CEL over the same. Default 1. */
  weight?: number | string;
  /** Of a concurrency: what happens when it is full. Default `queue`. */
  strategy?: LimitStrategy;
}

/** What a step asks of its worker's label. */
export interface LabelRequest {
  value: string | number;
  /** Between the worker's label and `value`. Default `==`. */
  comparator?: LabelComparator;
  /** Only workers that meet it get the task. Default false: those that do are preferred. */
  isRequired?: boolean;
  /** How much a preference counts beside others. Default 100. */
  weight?: number;
}

/** Another bound, or another share, for some of a limit's keys. */
export interface LimitOverride extends Bound {
  /** A key, or the beginning of keys and `*`. The first that fits counts. */
  key: string;
  weight?: number;
}

/**
 * A stored limit: shared by every workflow that names it, and changed while they run. A raised one
 * dispatches at once, a lowered one lets what runs finish.
 */
export interface PutLimit extends Bound {
  /** For people; shown beside the name. */
  description?: string;
  /** CEL over `input`, `metadata` and `parents`, for uses that have no key of their own. */
  key?: string;
  fallbackKey?: string;
  units?: number | string;
  strategy?: LimitStrategy;
  /** Tasks that are under it without naming it: all of the tenant, or all of an action. Default none. */
  appliesTo?: { tenant: true } | { action: string };
  overrides?: LimitOverride[];
}

export interface StoredLimit extends PutLimit {
  name: string;
  kind: LimitKind;
  createdAt: string;
  updatedAt: string;
}

/** A stored limit, and how it is used now: the keys with most waiting first, at most 100. */
export interface LimitState extends StoredLimit {
  /** Names of workflows whose active version names it. */
  workflows: string[];
  keys: LimitKeyState[];
  /** There are more keys in use. */
  hasMoreKeys: boolean;
}

/** How one key of a limit is used now. */
export interface LimitKeyState {
  /** The empty text: all together. */
  key: string;
  /** Of a concurrency: permits held and bound; at most 20 of the holders. */
  held?: number;
  limit?: number;
  holders?: LimitHolder[];
  /** Of a rate: units in the fullest use of its windows, and when a worker's pause ends. */
  available?: number;
  pausedUntil?: string;
  /** Tasks in shards' memories that wait for it; there may be more in the queue. */
  waiting: number;
}

/** Who holds a permit: an attempt, or for a workflow's limit a run. */
export interface LimitHolder {
  run: string;
  task?: string;
  attempt?: number;
}

/** Why a task is not running: one true sentence, and its parts. */
export interface Why {
  task: string;
  run: string;
  step: string;
  state: TaskState;
  sentence: string;
  reason: WaitReason;
}

export type WaitReason =
  | { kind: "running"; worker: string | null; since: string | null }
  /** Its handler waits for the runs that it has started: it has no slot and no permit of its own. */
  | { kind: "children"; worker: string | null; since: string }
  /** Its handler has waited for them, and goes on once it has its slots and permits again. */
  | { kind: "returning"; worker: string | null; since: string; needs: ReturnNeed }
  | { kind: "finished"; state: "completed" | "failed" | "cancelled" | "skipped" }
  /** Its parents that have not completed. */
  | { kind: "parents"; parents: string[] }
  /** What its step's `waitFor` says: one of the sets of conditions is enough. */
  | { kind: "wait"; since: string; until: string | null; anyOf: OpenCondition[][] }
  | { kind: "paused"; since: string }
  /** Its run was started with a delay. */
  | { kind: "delayed"; until: string }
  | { kind: "backoff"; until: string }
  | {
      kind: "concurrency";
      limit: string;
      key: string;
      /** At all shards. */
      held: number;
      bound: number;
      /** At most 20 of them. */
      holders: LimitHolder[];
      /** Of `held`, those lent to other shards that did not say whose they are. */
      heldElsewhere?: number;
      /** None is given before: until then nobody knows who holds what. */
      closedUntil?: string;
      doubt?: CountDoubt;
      line: LinePosition;
    }
  | {
      kind: "rate";
      limit: string;
      key: string;
      units: number;
      /** When there will be enough, if nothing else takes it. */
      availableAt: string;
      isPaused: boolean;
      doubt?: CountDoubt;
      line: LinePosition;
    }
  /** Nobody who is connected has the action, or none of them the labels, versions or slots. */
  | {
      kind: "no_worker";
      action: string;
      detail: string;
      /** The shard at which it waits, and other shards at which a worker could take it. Absent: at none. */
      elsewhere?: { shard: number; shards: number[] };
      line: LinePosition;
    }
  /** Those who could take it are busy. */
  | { kind: "no_free_slot"; action: string; used: number; slots: number; line: LinePosition }
  /** It comes next: nothing stands in its way. */
  | { kind: "next" }
  /** It is in the queue, behind tasks that wait for the same and came first. */
  | { kind: "queue"; action: string; line: LinePosition }
  /** It is ready, and on its way to the shard that gives it to a worker. */
  | { kind: "arriving" };

/**
 * Why what is said of a limit is the least that is known. `unreached`: the shard that counts it could not be asked.
 * `gathering`: that one asks all others what they hold, and gives nothing until they have said so.
 */
export type CountDoubt = "unreached" | "gathering";

/** An event or a moment that a task still waits for. */
export type OpenCondition = { event: string; if: string } | { until: string };

/** What an attempt has not got yet that it needs to go on. */
export type ReturnNeed =
  | { of: "limit"; limit: string; key: string; held: number; bound: number; doubt?: CountDoubt }
  /** Of its own worker. */
  | { of: "slots" }
  | { of: "connection" }
  /** Nothing that is known of: it is the next to go on. */
  | { of: "nothing" };

/** Where a task stands among those that wait for the same: from 1. `isExact` false: at least. */
export interface LinePosition {
  position: number;
  length: number;
  isExact: boolean;
}
