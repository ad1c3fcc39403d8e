/**
 * Filters: those that a workflow declares, and those that are stored (`client.filters`), changed while
 * workers run. What an expression means only the server knows.
 */
import type {
  CreatedFilter,
  Filter,
  FilterCondition,
  FilterFailure,
  TriedFilter,
} from "../protocol/event-bodies.ts";
import type { Page } from "../protocol/http.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import { MAX_DECLARED_FILTERS } from "../protocol/limits.ts";
import { bulkCalls } from "./bulk.ts";
import { DefinitionError } from "./errors.ts";
import { checkedExpression } from "./expression.ts";
import type { Http } from "./http.ts";
import { encodeJson } from "./json.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

/**
 * A condition under which an event of a workflow's keys starts a run of it.
 *
 * @example
 * { expression: "input.amount > payload.least", payload: { least: 100 } }
 */
export interface FilterOptions {
  /** Only for events of this scope. Default: of any, or none. */
  scope?: string | undefined;
  /**
   * CEL over `input` (the event's payload), `metadata`, `event.key`, `event.id`, `event.scope` and
   * `payload` (the filter's). One that can't be evaluated is not met.
   */
  expression: string;
  /** What the run is told of why it was started: `ctx.filter.payload`; at most 16 KiB. Default null. */
  payload?: unknown;
}

/** What is left out stays as it is. */
export interface ChangeFilterOptions {
  /** Null: events of any scope. */
  scope?: string | null | undefined;
  expression?: string | undefined;
  payload?: unknown;
}

export interface ListFilters extends CallOptions {
  workflow?: string | undefined;
  scope?: string | undefined;
  /** Filters on a page: 50 by default, at most 200. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

/** What to try: an expression or a stored filter, for an event that was published or is made up. */
export interface TryFilterOptions extends CallOptions {
  filter?: string | undefined;
  expression?: string | undefined;
  payload?: unknown;
  event:
    | string
    | {
        key: string;
        scope?: string | undefined;
        payload?: unknown;
        metadata?: Metadata | undefined;
      };
}

export class Filters {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Stores a filter of a workflow: an event of its keys then starts a run for each of its filters that is
   * met. In force at the next event, everywhere. A filter that the workflow has already stays as it is, with
   * `created` false. Throws `SkeinError` `workflow_not_found`, `too_many_filters`, or `invalid_request` with
   * the place in the expression.
   *
   * @example
   * await skein.filters.create("triage", { expression: 'input.action == "opened"' });
   */
  async create(
    workflow: string,
    filter: FilterOptions,
    { signal }: CallOptions = {},
  ): Promise<CreatedFilter> {
    const body = encodeJson({ workflow, ...condition(filter) }, WHAT);
    return await this.#http.request("POST", "/filters", { body, signal });
  }

  /** Stores any number of filters of a workflow, 1,000 a call. In their order. */
  async createMany(
    workflow: string,
    filters: readonly FilterOptions[],
    { signal }: CallOptions = {},
  ): Promise<{ id: string; created: boolean }[]> {
    const bodies = filters.map((filter) => encodeJson({ workflow, ...condition(filter) }, WHAT));
    const created: { id: string; created: boolean }[] = [];
    for (const body of bulkCalls("filters", bodies)) {
      const answer = await this.#http.request<{ filters: { id: string; created: boolean }[] }>(
        "POST",
        "/filters/bulk",
        { body, signal },
      );
      created.push(...answer.filters);
    }
    return created;
  }

  /** Throws `SkeinError` `filter_not_found`. */
  async get(id: string, { signal }: CallOptions = {}): Promise<Filter> {
    return await this.#http.request("GET", filterPath(id), { signal });
  }

  /** A page of filters, the oldest first, with those that workflows declare. */
  async list({ signal, ...query }: ListFilters = {}): Promise<Page<Filter>> {
    return await this.#http.request("GET", "/filters", { query: { ...query }, signal });
  }

  /**
   * Changes a stored filter; in force at the next event, everywhere. Throws `SkeinError`
   * `filter_not_found`, `filter_exists`, or `filter_declared` when its workflow declares it.
   */
  async update(
    id: string,
    { scope, expression, payload }: ChangeFilterOptions,
    { signal }: CallOptions = {},
  ): Promise<Filter> {
    const change = {
      ...(scope !== undefined && { scope }),
      ...(expression !== undefined && { expression }),
      ...(payload !== undefined && { payload: payload as Json }),
    };
    const body = encodeJson(change, WHAT);
    return await this.#http.request("PATCH", filterPath(id), { body, signal });
  }

  /**
   * Deletes a stored filter. Throws as `update` does, and `filter_not_found` also when an earlier sending
   * of the same call has deleted it.
   */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("DELETE", filterPath(id), { signal });
  }

  /**
   * Evaluates a filter or an expression for an event. Starts nothing. An expression that is wrong is an
   * `error` of the answer, with its place.
   *
   * @example
   * const { isMatch, error } = await skein.filters.try({
   *   expression: "input.amount > 100",
   *   event: { key: "order:created", payload: { amount: 120 } },
   * });
   */
  async try({ signal, ...asked }: TryFilterOptions): Promise<TriedFilter> {
    const body = encodeJson(asked as unknown as Json, WHAT);
    return await this.#http.request("POST", "/filters/try", { body, signal });
  }

  /** Events for which the filter could not be evaluated, the newest first. */
  async failures(
    id: string,
    {
      signal,
      ...query
    }: CallOptions & { limit?: number | undefined; cursor?: string | undefined } = {},
  ): Promise<Page<FilterFailure>> {
    return await this.#http.request("GET", `${filterPath(id)}/failures`, { query, signal });
  }
}

/** Those that a workflow declares. */
export function checkedFilters(
  workflowName: string,
  filters: readonly FilterOptions[],
  hasEvents: boolean,
): readonly FilterCondition[] {
  if (filters.length > MAX_DECLARED_FILTERS) {
    throw new DefinitionError(
      `Workflow "${workflowName}" has ${filters.length} filters: use at most ${MAX_DECLARED_FILTERS}, and store the others with client.filters`,
    );
  }
  if (filters.length > 0 && !hasEvents) {
    throw new DefinitionError(
      `Workflow "${workflowName}" has filters, and no events that they could be asked for: give on.events`,
    );
  }
  return filters.map((filter, index) => {
    const what = `The expression of filters[${index}] of workflow "${workflowName}"`;
    checkedExpression(filter.expression, what, "input.amount > 100");
    encodeJson((filter.payload ?? null) as Json, `The payload of filters[${index}]`);
    return condition(filter);
  });
}

const WHAT = "The filter";

function condition({ scope, expression, payload }: FilterOptions): FilterCondition {
  return {
    ...(scope !== undefined && { scope }),
    expression,
    ...(payload !== undefined && { payload: payload as Json }),
  };
}

function filterPath(id: string): string {
  return `/filters/${encodeURIComponent(id)}`;
}
