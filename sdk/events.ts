/**
 * Events that were published: `client.events`. New ones are published with `client.publish`.
 */
import type {
  EventFilter as WireFilter,
  EventRecord,
  EventSummary,
  ReplayedEvents,
  ReplayEvents,
} from "../protocol/event-bodies.ts";
import type { Page, PublishedEvent } from "../protocol/http.ts";
import type { Metadata } from "../protocol/json.ts";
import type { Http } from "./http.ts";
import { timeText } from "./runs.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** Which events a call is about: all that fit everything given. */
export interface EventFilter {
  key?: string | undefined;
  scope?: string | undefined;
  /** Events published at this time or later. */
  since?: Date | string | undefined;
  /** Events published before this time. */
  until?: Date | string | undefined;
}

/** Which events are replayed: something must be said. */
export interface ReplayedEventFilter extends EventFilter {
  /** Events with all of these labels. */
  metadata?: Metadata | undefined;
}

export interface ListEvents extends EventFilter, CallOptions {
  /** Events on a page: 50 by default, at most 200. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

export interface ReplayEventOptions extends CallOptions {
  /** Two replays with the same key within a day are one. Default: a new key for each call. */
  idempotencyKey?: string | undefined;
}

export class Events {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** One event, with the runs it started and the filters that could not be evaluated for it. */
  async get(id: string, { signal }: CallOptions = {}): Promise<EventRecord> {
    return await this.#http.request("GET", eventPath(id), { signal });
  }

  /**
   * Events, newest first, a page at a time.
   *
   * @example
   * const { items, nextCursor } = await skein.events.list({ key: "order:created" });
   */
  async list({ signal, since, until, ...rest }: ListEvents = {}): Promise<Page<EventSummary>> {
    const query = { ...rest, since: timeText(since), until: timeText(until) };
    return await this.#http.request("GET", "/events", { query, signal });
  }

  /**
   * Publishes an event again, as a new one whose `replayOf` is this one: to the workflows and filters that
   * there are now. Throws `SkeinError` `event_not_found`.
   */
  async replay(
    id: string,
    { idempotencyKey = crypto.randomUUID(), signal }: ReplayEventOptions = {},
  ): Promise<PublishedEvent> {
    const body = JSON.stringify({ idempotencyKey });
    return await this.#http.request("POST", `${eventPath(id)}/replay`, { body, signal });
  }

  /**
   * Publishes every event again that fits the filter, oldest first. When a call fails, the events of the
   * calls before it have been published: with an `idempotencyKey` of your own, call again.
   *
   * @example
   * await skein.events.replayMany({ key: "order:created", since: "2026-01-31T12:00:00Z" });
   */
  async replayMany(
    filter: ReplayedEventFilter,
    { idempotencyKey = crypto.randomUUID(), signal }: ReplayEventOptions = {},
  ): Promise<ReplayedEvents["events"]> {
    const replay: ReplayEvents = { filter: wireFilter(filter), idempotencyKey };
    const events: ReplayedEvents["events"] = [];
    for (let cursor: string | null = null; ;) {
      const body = JSON.stringify({ ...replay, ...(cursor === null ? {} : { cursor }) });
      const answer: ReplayedEvents = await this.#http.request("POST", "/events/replay", {
        body,
        signal,
      });
      events.push(...answer.events);
      cursor = answer.nextCursor;
      if (cursor === null) return events;
    }
  }
}

function wireFilter({ since, until, key, scope, metadata }: ReplayedEventFilter): WireFilter {
  const [from, to] = [timeText(since), timeText(until)];
  return {
    ...(key !== undefined && { key }),
    ...(scope !== undefined && { scope }),
    ...(from !== undefined && { since: from }),
    ...(to !== undefined && { until: to }),
    ...(metadata !== undefined && { metadata }),
  };
}

function eventPath(id: string): string {
  return `/events/${encodeURIComponent(id)}`;
}
