/**
 * Bodies of the HTTP API about events and the filters that decide what they start. As in `http.ts`, times
 * are ISO 8601 in UTC and ids are UUIDs, version 7.
 */
import type { ExpressionErrorCode } from "./errors.ts";
import type { Json, Metadata } from "./json.ts";

/** A condition under which an event of a workflow's keys starts a run of it. */
export interface FilterCondition {
  /** Only for events of this scope. Default: of any scope, or none. */
  scope?: string;
  /**
   * CEL over `input` (the event's payload), `metadata`, `event.key`, `event.id`, `event.scope` (the empty
   * text without one) and `payload` (the filter's). One that can't be evaluated is not met.
   */
  expression: string;
  /** What the run is told of why it was started: `ctx.filter.payload`. Default null. */
  payload?: Json;
}

export interface CreateFilter extends FilterCondition {
  /** The workflow's name. */
  workflow: string;
}

/** What is left out stays as it is. */
export interface ChangeFilter extends Partial<Omit<FilterCondition, "scope">> {
  /** Null: of any scope. */
  scope?: string | null;
}

export interface Filter {
  id: string;
  workflow: string;
  /** Null: of any scope. */
  scope: string | null;
  expression: string;
  payload: Json;
  /** The workflow's active version declares it: it changes with the workflow, and not by itself. */
  isDeclared: boolean;
  createdAt: string;
  updatedAt: string;
}

/** The answer to a creation: `created` is false when the workflow had this very filter. */
export interface CreatedFilter extends Filter {
  created: boolean;
}

/** An expression that could not be evaluated. Never quotes the data. */
export interface EvaluationError {
  code: ExpressionErrorCode;
  message: string;
  position?: { start: number; end: number; line: number; column: number };
  excerpt?: string;
}

/** A filter that could not be evaluated for an event, which so did not start a run. */
export interface FilterFailure {
  filter: string;
  event: string;
  error: EvaluationError;
  at: string;
}

/** Evaluates an expression, or a filter, for an event that was published or is made up. Changes nothing. */
export interface TryFilter {
  /** The filter's expression and payload are taken, where the body has none. */
  filter?: string;
  expression?: string;
  payload?: Json;
  /** One that was published, or one that could be. */
  event: string | { key: string; scope?: string; payload?: Json; metadata?: Metadata };
}

export interface TriedFilter {
  isMatch: boolean;
  /** Why it could not be evaluated, or be stored; else null. */
  error: EvaluationError | null;
}

export interface EventSummary {
  id: string;
  key: string;
  scope: string | null;
  metadata: Metadata;
  publishedAt: string;
  /** The event that this one repeats, else null. */
  replayOf: string | null;
  /** The runs it started. */
  runs: string[];
}

export interface EventRecord extends Omit<EventSummary, "runs"> {
  payload: Json;
  runs: StartedByEvent[];
  /** Filters that could not be evaluated for it. */
  failures: { filter: string; error: EvaluationError }[];
}

/** A run that an event has started, and the filter that it met; null: its workflow had none. */
export interface StartedByEvent {
  id: string;
  workflow: string;
  filter: string | null;
}

/** Which events a call is about: all of a tenant's that fit everything given. */
export interface EventFilter {
  key?: string;
  scope?: string;
  /** Published then or later, and before. */
  since?: string;
  until?: string;
  metadata?: Metadata;
}

/** Publishes events again that fit, oldest first, each once and as one call would. */
export interface ReplayEvents {
  filter: EventFilter;
  /** Two calls with the same key and cursor publish the same events. */
  idempotencyKey?: string;
  /** `nextCursor` of the call before. */
  cursor?: string;
}

export interface ReplayedEvents {
  events: { id: string; replayOf: string; runs: string[] }[];
  /** Give it as `cursor` for the next ones; null when all have been replayed. */
  nextCursor: string | null;
}
