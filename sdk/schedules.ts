/** Schedules that are stored: `client.schedules`. They start runs by the clock, whoever is connected. */
import type { Page, StartedRun } from "../protocol/http.ts";
import type { Json } from "../protocol/json.ts";
import type { CreatedSchedule, Schedule, SchedulePreview } from "../protocol/schedule-bodies.ts";
import { bulkCalls, pieces } from "./bulk.ts";
import { checkedCron, checkedScheduleOptions, type ScheduleRunOptions } from "./crons.ts";
import type { Http } from "./http.ts";
import { encodeJson } from "./json.ts";
import { type RunHandle, type Runs, timeText } from "./runs.ts";
import type { Workflow } from "./workflow.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** When: at each tick of a cron expression, or once. */
export type ScheduleTimes =
  | { cron: string; timezone?: string | undefined; at?: undefined }
  | { at: Date | string; cron?: undefined; timezone?: undefined };

export type CreateScheduleOptions<Input = unknown> = ScheduleTimes &
  ScheduleRunOptions<Input> & {
    /** Unique within its workflow. Default none. */
    name?: string | undefined;
    /** Default true. */
    isEnabled?: boolean | undefined;
    /** Two creations with the same key within a day are one. Default: a new key for each call. */
    idempotencyKey?: string | undefined;
  };

/** What is left out stays as it is. */
export interface ChangeScheduleOptions extends Omit<ScheduleRunOptions, "priority"> {
  /** Null: none. */
  name?: string | null | undefined;
  cron?: string | undefined;
  timezone?: string | undefined;
  at?: Date | string | undefined;
  /** Null: its workflow's. */
  priority?: number | null | undefined;
  isEnabled?: boolean | undefined;
}

export interface ListSchedules extends CallOptions {
  workflow?: string | undefined;
  kind?: "cron" | "once" | undefined;
  /** Schedules on a page: 50 by default, at most 200. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

export interface PreviewOptions extends CallOptions {
  cron: string;
  timezone?: string | undefined;
  /** Ticks after this. Default now. */
  after?: Date | string | undefined;
  /** Default 10, at most 100. */
  count?: number | undefined;
}

/** Ids in one call to delete. */
const MAX_IDS = { count: 1_000, bytes: Number.POSITIVE_INFINITY };

export class Schedules {
  readonly #http: Http;
  readonly #runs: Runs;

  constructor(http: Http, runs: Runs) {
    this.#http = http;
    this.#runs = runs;
  }

  /**
   * Stores a schedule of a workflow. Of each tick runs are started once, whatever dies. Throws `SkeinError`
   * `workflow_not_found`, `schedule_exists`, `too_many_schedules`, or `invalid_request` with the place in the expression;
   * `InvalidInputError` when the workflow itself is given and its schema refuses the input.
   *
   * @example
   * await skein.schedules.create(report, { cron: "0 9 * * *", timezone: "Europe/Berlin", input: { to: "acme" } });
   * await skein.schedules.create("reminder", { at: new Date("2027-01-31T09:00:00Z"), input: { id: 1 } });
   */
  async create<Input>(
    workflow: Workflow<Input> | string,
    schedule: CreateScheduleOptions<Input>,
    { signal }: CallOptions = {},
  ): Promise<CreatedSchedule> {
    await validate(workflow, [schedule]);
    const body = createBody(workflow, schedule);
    return await this.#http.request("POST", "/schedules", { body, signal });
  }

  /**
   * Stores any number of schedules of a workflow, 1,000 a call. In their order. When a call fails, those of the
   * calls before it are stored: give keys of your own to items that you would store again.
   */
  async createMany<Input>(
    workflow: Workflow<Input> | string,
    schedules: readonly CreateScheduleOptions<Input>[],
    { signal }: CallOptions = {},
  ): Promise<{ id: string; created: boolean }[]> {
    await validate(workflow, schedules);
    const bodies = schedules.map((schedule) => createBody(workflow, schedule));
    const created: { id: string; created: boolean }[] = [];
    for (const body of bulkCalls("schedules", bodies)) {
      const answer = await this.#http.request<{ schedules: { id: string; created: boolean }[] }>(
        "POST",
        "/schedules/bulk",
        { body, signal },
      );
      created.push(...answer.schedules);
    }
    return created;
  }

  /** Throws `SkeinError` `schedule_not_found`. */
  async get(id: string, { signal }: CallOptions = {}): Promise<Schedule> {
    return await this.#http.request("GET", schedulePath(id), { signal });
  }

  /**
   * A page of schedules with their next ticks, the oldest first, with those that workflows declare. The runs of one:
   * `runs.list({ scheduleId })`.
   */
  async list({ signal, ...query }: ListSchedules = {}): Promise<Page<Schedule>> {
    return await this.#http.request("GET", "/schedules", { query: { ...query }, signal });
  }

  /**
   * Changes a schedule: moves one run to another time, gives a cron another expression. Throws `SkeinError`
   * `schedule_not_found`, `schedule_exists`, `schedule_over` once its run has started, and `schedule_declared` for
   * more than `isEnabled` of one that its workflow declares.
   *
   * @example
   * await skein.schedules.update(id, { at: new Date("2027-02-01T09:00:00Z") });
   */
  async update(
    id: string,
    { name, cron, timezone, at, priority, isEnabled, ...options }: ChangeScheduleOptions,
    { signal }: CallOptions = {},
  ): Promise<Schedule> {
    const change = {
      ...(name !== undefined && { name }),
      ...(cron !== undefined && { cron: checkedCron(cron, WHAT) }),
      ...(timezone !== undefined && { timezone }),
      ...(at !== undefined && { at: timeText(at) }),
      ...(priority !== undefined && { priority }),
      ...(isEnabled !== undefined && { isEnabled }),
      ...checkedScheduleOptions(options, WHAT),
    };
    const body = encodeJson(change as unknown as Json, WHAT);
    return await this.#http.request("PATCH", schedulePath(id), { body, signal });
  }

  /** It starts runs again, from its next tick on. One run whose time has passed starts at once. */
  async enable(id: string, options: CallOptions = {}): Promise<Schedule> {
    return await this.update(id, { isEnabled: true }, options);
  }

  /** It starts no runs until it is enabled. */
  async disable(id: string, options: CallOptions = {}): Promise<Schedule> {
    return await this.update(id, { isEnabled: false }, options);
  }

  /**
   * Deletes a schedule; its runs stay. Throws `SkeinError` `schedule_declared`, and `schedule_not_found` also when
   * an earlier sending of the same call has deleted it.
   */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("DELETE", schedulePath(id), { signal });
  }

  /** Deletes any number of schedules, 1,000 a call; tells those that were there and are not declared. */
  async deleteMany(ids: readonly string[], { signal }: CallOptions = {}): Promise<string[]> {
    const deleted: string[] = [];
    for (const piece of pieces(ids, (id) => id, MAX_IDS)) {
      const body = JSON.stringify({ ids: piece });
      const path = "/schedules/delete";
      const answer = await this.#http.request<{ ids: string[] }>("POST", path, { body, signal });
      deleted.push(...answer.ids);
    }
    return deleted;
  }

  /**
   * Starts a run of a schedule now, whether or not it is enabled; its ticks stay as they are.
   *
   * @example
   * const outputs = await (await skein.schedules.trigger(id)).result();
   */
  async trigger(
    id: string,
    {
      idempotencyKey = crypto.randomUUID(),
      signal,
    }: CallOptions & { idempotencyKey?: string | undefined } = {},
  ): Promise<RunHandle<{ [step: string]: Json }>> {
    const body = JSON.stringify({ idempotencyKey });
    const path = `${schedulePath(id)}/trigger`;
    const started = await this.#http.request<StartedRun>("POST", path, { body, signal });
    return this.#runs.handle(started, (outputs) => outputs);
  }

  /**
   * The ticks of an expression, each also as the zone's own clock shows it. Stores nothing. Throws `SkeinError`
   * `invalid_request` with what is wrong, where, and what may have been meant.
   *
   * @example
   * const { ticks } = await skein.schedules.preview({ cron: "30 2 * * *", timezone: "Europe/Berlin" });
   */
  async preview({ signal, after, ...asked }: PreviewOptions): Promise<SchedulePreview> {
    const body = JSON.stringify({
      ...asked,
      ...(after !== undefined && { after: timeText(after) }),
    });
    return await this.#http.request("POST", "/schedules/preview", { body, signal });
  }
}

const WHAT = "The schedule";

/** A workflow that is given by its name alone has no schema to ask. */
async function validate<Input>(
  workflow: Workflow<Input> | string,
  schedules: readonly CreateScheduleOptions<Input>[],
): Promise<void> {
  if (typeof workflow === "string") return;
  await Promise.all(schedules.map(({ input }) => workflow.validate(input as Input)));
}

function createBody<Input>(
  workflow: Workflow<Input> | string,
  schedule: CreateScheduleOptions<Input>,
): string {
  const { cron, timezone, at, name, isEnabled, idempotencyKey, ...options } = schedule;
  const body = {
    workflow: typeof workflow === "string" ? workflow : workflow.name,
    ...(name !== undefined && { name }),
    ...(cron !== undefined && { cron: checkedCron(cron, WHAT) }),
    ...(timezone !== undefined && { timezone }),
    ...(at !== undefined && { at: timeText(at) }),
    ...checkedScheduleOptions(options, WHAT),
    ...(isEnabled !== undefined && { isEnabled }),
    idempotencyKey: idempotencyKey ?? crypto.randomUUID(), // Kept for every try of the call.
  };
  return encodeJson(body as unknown as Json, WHAT);
}

function schedulePath(id: string): string {
  return `/schedules/${encodeURIComponent(id)}`;
}
