/**
 * The client: starts runs, publishes events, registers workflows and reads what became of them.
 * Every call is safe to send twice (starts and publications carry an idempotency key), because
 * every call is retried.
 */
import type {
  PublishedEvent,
  PublishEvent,
  RegisteredWorkflow,
  StartedRun,
  StartRun,
} from "../protocol/http.ts";
import type { Why } from "../protocol/limit-bodies.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import type { ShardList } from "../protocol/slot-frames.ts";
import type { ActivationChoice } from "../protocol/states.ts";
import { bulkCalls } from "./bulk.ts";
import { checkedDelay, type DelayOptions } from "./delay.ts";
import { SkeinError } from "./errors.ts";
import { Events } from "./events.ts";
import { Filters } from "./filters.ts";
import { type Fetch, Http } from "./http.ts";
import { Imports } from "./imports.ts";
import { encodeJson } from "./json.ts";
import { environment } from "./platform.ts";
import { checkedPriority } from "./limits.ts";
import { Messages } from "./messages.ts";
import { Notifications } from "./notifications.ts";
import { Retention } from "./retention.ts";
import { Tenant } from "./tenant.ts";
import { type RunHandle, Runs, type WaitOptions } from "./runs.ts";
import { Schedules } from "./schedules.ts";
import { StoredLimits } from "./stored-limits.ts";
import { Webhooks } from "./webhooks.ts";
import { Workers } from "./workers.ts";
import type { InputArguments, Workflow } from "./workflow.ts";
import { Workflows } from "./workflows.ts";

export interface ClientOptions {
  /** Where Skein is: `https://skein.example.com`. Default `SKEIN_URL` of the environment. */
  url?: string | undefined;
  /** An API token. Default `SKEIN_TOKEN` of the environment. */
  token?: string | undefined;
  /** Used instead of the platform's `fetch`. */
  fetch?: Fetch | undefined;
  /** A number in [0, 1), for the jitter between retries. Default `Math.random`. */
  random?: (() => number) | undefined;
}

export interface StartOptions extends DelayOptions {
  /** Labels to find the run by; at most 16 KiB. Default none. */
  metadata?: Metadata | undefined;
  /** 1 to 3, the most urgent. Default its workflow's, else 2. */
  priority?: number | undefined;
  /**
   * Two starts with the same key within a day make one run. Default: a new key for each call, so
   * that a retry after a lost answer starts nothing twice.
   */
  idempotencyKey?: string | undefined;
  /** Aborts the call; a run that was started goes on. */
  signal?: AbortSignal | undefined;
}

export interface PublishOptions {
  /** What it is about, such as a customer: filters of that scope are asked, and those without one. */
  scope?: string | undefined;
  metadata?: Metadata | undefined;
  /** Two publications with the same key within a day are one event. Default: a new key each. */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** One of many runs to start. */
export interface StartItem<Input> extends DelayOptions {
  input: Input;
  metadata?: Metadata | undefined;
  priority?: number | undefined;
  idempotencyKey?: string | undefined;
}

/** One of many events to publish. */
export interface PublishItem {
  key: string;
  scope?: string | undefined;
  payload?: unknown;
  metadata?: Metadata | undefined;
  idempotencyKey?: string | undefined;
}

export interface RegisterOptions {
  /**
   * Whether new runs are bound to the version: `new`, when it is one that was not there before; `always`, also
   * when it equals an older one; `never`, not by this, so that it can be promoted. Default `new`: a worker that
   * starts again with an older version undoes no activation. A workflow's first version is active in any case.
   */
  activate?: ActivationChoice | undefined;
  signal?: AbortSignal | undefined;
  /** Tries after the first. */
  retries?: number | undefined;
}

/**
 * Speaks to Skein's HTTP API. Holds no connection: make one and share it.
 *
 * Every call throws `SkeinError` when the server refuses or can't be reached. Failures of the
 * network, 429 and 5xx are retried five times first, with jitter, honouring `Retry-After`.
 *
 * @example
 * const skein = new Client({ url: "https://skein.example.com", token });
 * const { parcel } = await skein.run(shipOrder, { id: "1" });
 */
export class Client {
  readonly runs: Runs;
  readonly workflows: Workflows;
  readonly workers: Workers;
  readonly limits: StoredLimits;
  readonly messages: Messages;
  readonly events: Events;
  readonly filters: Filters;
  readonly notifications: Notifications;
  readonly schedules: Schedules;
  readonly webhooks: Webhooks;
  readonly imports: Imports;
  readonly retention: Retention;
  readonly tenant: Tenant;
  /** @internal Shared with the worker. */
  readonly http: Http;

  constructor(options: ClientOptions = {}) {
    this.http = new Http({
      url: options.url ?? environment("SKEIN_URL") ?? missingUrl(),
      token: options.token ?? environment("SKEIN_TOKEN"),
      fetch: options.fetch,
      random: options.random,
    });
    this.runs = new Runs(this.http);
    this.workflows = new Workflows(this.http);
    this.workers = new Workers(this.http);
    this.limits = new StoredLimits(this.http);
    this.messages = new Messages(this.http);
    this.events = new Events(this.http);
    this.filters = new Filters(this.http);
    this.notifications = new Notifications(this.http);
    this.schedules = new Schedules(this.http, this.runs);
    this.webhooks = new Webhooks(this.http);
    this.imports = new Imports(this.http);
    this.retention = new Retention(this.http);
    this.tenant = new Tenant(this.http);
  }

  /**
   * Starts a run and waits for its result: the output of the step given to `returns()`, or all
   * outputs by step name. Throws `InvalidInputError` before anything is sent when the schema
   * refuses the input, `RunFailedError` when the run failed or was cancelled.
   *
   * @example
   * const { parcel } = await skein.run(shipOrder, { id: "1" }, { timeoutMs: 60_000 });
   */
  async run<Input, Value, Result>(
    workflow: Workflow<Input, Value, Result>,
    ...[input, options]: InputArguments<Input, StartOptions & WaitOptions>
  ): Promise<Result> {
    const handle = await this.#start(workflow, input as Input, options);
    return await handle.result(options);
  }

  /**
   * Why a task is not running: one true sentence, and its parts by `reason.kind`. A run's tasks have
   * their ids in `runs.get(id)`. Throws `SkeinError` `task_not_found`.
   *
   * @example
   * const { sentence } = await skein.why(task.id);
   * // The task "charge" waits for the limit bank of "acme": 5 of 5 permits are held. …
   */
  async why(task: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Why> {
    return await this.http.request("GET", `/tasks/${encodeURIComponent(task)}/why`, { signal });
  }

  /**
   * Starts a run. Once this resolves the run happens, whatever dies.
   *
   * @example
   * const handle = await skein.start(shipOrder, { id: "1" }, { idempotencyKey: "order-1" });
   * console.log(handle.id, await handle.result());
   */
  async start<Input, Value, Result>(
    workflow: Workflow<Input, Value, Result>,
    ...[input, options]: InputArguments<Input, StartOptions>
  ): Promise<RunHandle<Result>> {
    return await this.#start(workflow, input as Input, options);
  }

  /**
   * Starts any number of runs, 1,000 a call. The handles are in the order of the items. When a call
   * fails, the runs of the calls before it have been started: give keys of your own to items that
   * you would start again.
   *
   * @example
   * const handles = await skein.startMany(shipOrder, orders.map(({ id }) => ({ input: { id } })));
   */
  async startMany<Input, Value, Result>(
    workflow: Workflow<Input, Value, Result>,
    items: readonly StartItem<Input>[],
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<RunHandle<Result>[]> {
    await Promise.all(items.map((item) => workflow.validate(item.input)));
    const bodies = items.map((item) => startBody(workflow.name, item.input, item));
    const handles: RunHandle<Result>[] = [];
    for (const body of bulkCalls("runs", bodies)) {
      const { signal } = options;
      const answer = await this.http.request<{ runs: StartedRun[] }>("POST", "/runs/bulk", {
        body,
        signal,
      });
      for (const started of answer.runs) handles.push(this.#handle(workflow, started));
    }
    return handles;
  }

  /**
   * Publishes an event: it starts a run of each workflow that listens to its key. While its shard can't
   * take it the event is `accepted`: durable, and published soon; until then its `runs` are not known.
   * Publishes an event: it starts a run of each workflow that listens to its key; of one with filters, for
   * each that the event meets.
   *
   * @example
   * const { runs } = await skein.publish("order:created", { id: "1" });
   */
  async publish(
    key: string,
    payload?: unknown,
    options: PublishOptions = {},
  ): Promise<PublishedEvent> {
    const body = publishBody({ ...options, key, payload });
    return await this.http.request("POST", "/events", { body, signal: options.signal });
  }

  /** Publishes any number of events, 1,000 a call, in order; see `startMany` about failures. */
  async publishMany(
    items: readonly PublishItem[],
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<PublishedEvent[]> {
    const published: PublishedEvent[] = [];
    for (const body of bulkCalls("events", items.map(publishBody))) {
      const { signal } = options;
      const answer = await this.http.request<{ events: PublishedEvent[] }>("POST", "/events/bulk", {
        body,
        signal,
      });
      published.push(...answer.events);
    }
    return published;
  }

  /**
   * Registers a workflow: a new version, only if it differs from those that are there. Workers do this
   * themselves when they start.
   */
  async register(
    workflow: { definition(): ReturnType<Workflow["definition"]> },
    { activate, ...options }: RegisterOptions = {},
  ): Promise<RegisteredWorkflow> {
    const definition = workflow.definition();
    return await this.http.request("PUT", `/workflows/${encodeURIComponent(definition.name)}`, {
      ...options,
      query: { activate },
      body: JSON.stringify(definition),
    });
  }

  /** @internal The tenant's shards, for workers. */
  async shards(
    options: { signal?: AbortSignal | undefined; retries?: number | undefined } = {},
  ): Promise<ShardList> {
    return await this.http.request("GET", "/shards", options);
  }

  async #start<Input, Value, Result>(
    workflow: Workflow<Input, Value, Result>,
    input: Input,
    options: StartOptions = {},
  ): Promise<RunHandle<Result>> {
    await workflow.validate(input);
    const body = startBody(workflow.name, input, options);
    const { signal } = options;
    const started = await this.http.request<StartedRun>("POST", "/runs", { body, signal });
    return this.#handle(workflow, started);
  }

  #handle<Input, Value, Result>(
    workflow: Workflow<Input, Value, Result>,
    started: StartedRun,
  ): RunHandle<Result> {
    return this.runs.handle(started, (outputs) => workflow.resultOf(outputs));
  }
}

function startBody(
  workflow: string,
  input: unknown,
  { metadata, priority, idempotencyKey, ...options }: StartOptions,
): string {
  const delay = checkedDelay(options, `a run of workflow "${workflow}"`);
  const start: Omit<StartRun, "input"> & { input: Json } = {
    workflow,
    input: (input ?? null) as Json,
    ...(metadata === undefined ? {} : { metadata }),
    ...(priority === undefined
      ? {}
      : { priority: checkedPriority(priority, `a run of workflow "${workflow}"`) }),
    idempotencyKey: idempotencyKey ?? crypto.randomUUID(),
    ...(delay === undefined
      ? {}
      : "delayMs" in delay
        ? delay
        : { startAt: delay.startAt.toISOString() }),
  };
  return encodeJson(start, `The input of a run of workflow "${workflow}"`);
}

function publishBody({ key, scope, payload, metadata, idempotencyKey }: PublishItem): string {
  const event: PublishEvent = {
    key,
    ...(scope === undefined ? {} : { scope }),
    payload: (payload ?? null) as Json,
    ...(metadata === undefined ? {} : { metadata }),
    idempotencyKey: idempotencyKey ?? crypto.randomUUID(),
  };
  return encodeJson(event, `The payload of event "${key}"`);
}

function missingUrl(): never {
  throw new SkeinError({
    status: 0,
    code: "invalid_configuration",
    detail: "There is no address: give `url` to Client, or set SKEIN_URL",
  });
}
