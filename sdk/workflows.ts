/** What is registered, its versions, and pausing it: `client.workflows`. `client.register()` registers. */
import type {
  Page,
  Workflow as RegisteredDefinition,
  WorkflowDefinition,
} from "../protocol/http.ts";
import { MAX_ROLLBACK_WINDOW_MS } from "../protocol/limits.ts";
import type { PauseMode } from "../protocol/states.ts";
import type { VersionDiff, VersionSummary, WorkflowChange } from "../protocol/version-bodies.ts";
import { type Duration, durationMs } from "./duration.ts";
import type { Http } from "./http.ts";
import {
  type CheckedWorkflow,
  checkReplay,
  type ReplayCheckOptions,
  type ReplayCheckResult,
} from "./replay-check.ts";

export interface PauseOptions {
  /**
   * What becomes of new runs: `hold` starts them, and they wait until the workflow is resumed; `drop`
   * refuses them with `workflow_paused`, and events start none.
   */
  mode: PauseMode;
  signal?: AbortSignal | undefined;
}

export interface ActivateOptions {
  /** Its number. */
  version: number;
  /** Why, as the list of changes shows it; at most 1,000 characters. */
  reason?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface RollBackOptions extends Omit<ActivateOptions, "version"> {
  /** Default the newest version older than the active one that has been active. */
  version?: number | undefined;
}

export interface PromoteOptions extends ActivateOptions {
  /** Of new runs, from 0 to 100, with at most two decimals. */
  percent: number;
  /**
   * Where in a run the value is by which runs stay together, such as `input.customer`: a text, a whole number or
   * a truth value. Default each run by its idempotency key, or for itself.
   */
  key?: string | undefined;
  /**
   * When the promotion ends by itself: as soon as `failureRate` (above 0, up to 1) of its runs have failed that
   * ended within `window` (default 10m, from 1m to 1d), and at least `minimumRuns` (default 20) have ended.
   */
  rollbackWhen?:
    | { failureRate: number; window?: Duration | undefined; minimumRuns?: number | undefined }
    | undefined;
}

export interface EndPromotionOptions {
  reason?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** A page of a list. */
interface PageOptions {
  limit?: number | undefined;
  cursor?: string | undefined;
}

export class Workflows {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** One workflow with its active version. Throws `SkeinError` `workflow_not_found`. */
  async get(name: string): Promise<RegisteredDefinition> {
    return await this.#http.request("GET", workflowPath(name));
  }

  /** Workflows by name, a page at a time. */
  async list(page: PageOptions = {}): Promise<Page<RegisteredDefinition>> {
    return await this.#http.request("GET", "/workflows", { query: { ...page } });
  }

  /** Its versions, the newest first, each with its share of new runs. */
  async versions(name: string, page: PageOptions = {}): Promise<Page<VersionSummary>> {
    return await this.#http.request("GET", `${workflowPath(name)}/versions`, {
      query: { ...page },
    });
  }

  /** One version with its definition. Throws `SkeinError` `version_not_found`. */
  async version(
    name: string,
    number: number,
  ): Promise<VersionSummary & { definition: WorkflowDefinition }> {
    return await this.#http.request("GET", `${workflowPath(name)}/versions/${number}`);
  }

  /**
   * What differs between two versions; `to` is the active one unless it is given.
   *
   * @example
   * const { steps } = await skein.workflows.diff("order", { from: 3 });
   * console.log(steps.added, steps.removed, steps.changed);
   */
  async diff(
    name: string,
    { from, to }: { from: number; to?: number | undefined },
  ): Promise<VersionDiff> {
    return await this.#http.request("GET", `${workflowPath(name)}/diff`, { query: { from, to } });
  }

  /**
   * Holds recorded runs against a workflow as it is written, or a registered version: tells where it would have
   * gone another way with the same inputs and outputs. No handler runs, and nothing changes. Throws `SkeinError`
   * `workflow_not_found`, `version_not_found`, `run_not_found`, `run_not_finished` and `invalid_workflow`.
   *
   * @example
   * const result = await skein.workflows.replayCheck(order, { runs: { last: 500 } });
   * assert(result.isSame, String(result));
   */
  async replayCheck(
    workflow: CheckedWorkflow,
    options: ReplayCheckOptions = {},
  ): Promise<ReplayCheckResult> {
    return await checkReplay(this.#http, workflow, options);
  }

  /** What was changed about it, by whom and when, the newest first. */
  async changes(name: string, page: PageOptions = {}): Promise<Page<WorkflowChange>> {
    return await this.#http.request("GET", `${workflowPath(name)}/changes`, { query: { ...page } });
  }

  /**
   * Binds all new runs to a version. Runs that have been started keep theirs. Throws `SkeinError`
   * `version_not_found`, or `version_unusable` when it uses limits that have been deleted.
   *
   * @example
   * await skein.workflows.activate("order", { version: 4, reason: "the canary is fine" });
   */
  async activate(
    name: string,
    { signal, ...body }: ActivateOptions,
  ): Promise<RegisteredDefinition> {
    return await this.#change("POST", name, "activate", body, signal);
  }

  /**
   * Binds all new runs to an older version again. Workers that start with a newer one don't undo it. Throws
   * `SkeinError` `nothing_to_roll_back` when no older version has been active.
   */
  async rollback(
    name: string,
    { signal, version, ...body }: RollBackOptions = {},
  ): Promise<RegisteredDefinition> {
    if (version !== undefined) {
      return await this.#change("POST", name, "rollback", { version, ...body }, signal);
    }
    // The call may be sent twice: it says from where, so that it goes back once.
    const { version: active } = await this.get(name);
    return await this.#change("POST", name, "rollback", { from: active.number, ...body }, signal);
  }

  /**
   * Has a version take a share of new runs beside the active one; again, another share. Runs of one key stay on
   * their side while it rises. Throws `SkeinError` `version_not_found` or `version_active`.
   *
   * @example
   * await skein.workflows.promote("order", {
   *   version: 5,
   *   percent: 10,
   *   key: "input.customer",
   *   rollbackWhen: { failureRate: 0.05, window: "10m" },
   * });
   */
  async promote(
    name: string,
    { signal, rollbackWhen, ...body }: PromoteOptions,
  ): Promise<RegisteredDefinition> {
    const { window, ...rule } = rollbackWhen ?? {};
    const windowMs =
      window === undefined
        ? undefined
        : durationMs(window, `The window of "${name}"'s promotion`, {
            maximumMs: MAX_ROLLBACK_WINDOW_MS,
          });
    const asked = { ...body, ...(rollbackWhen && { rollbackWhen: { ...rule, windowMs } }) };
    return await this.#change("PUT", name, "promotion", asked, signal);
  }

  /** Binds all new runs to the active version again. */
  async endPromotion(
    name: string,
    { reason, signal }: EndPromotionOptions = {},
  ): Promise<RegisteredDefinition> {
    const options = { query: { reason }, signal };
    return await this.#http.request("DELETE", `${workflowPath(name)}/promotion`, options);
  }

  /**
   * Pauses a workflow: its new runs wait, or don't happen. Runs that have begun go on. Paused again it
   * takes the new mode. Throws `SkeinError` `workflow_not_found`.
   *
   * @example
   * await skein.workflows.pause("order", { mode: "hold" });
   */
  async pause(name: string, { mode, signal }: PauseOptions): Promise<void> {
    await this.#change("PUT", name, "pause", { mode }, signal);
  }

  /** Ends a pause: the runs that were held begin. One that isn't paused stays as it is. */
  async resume(name: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#http.request("DELETE", `${workflowPath(name)}/pause`, { signal });
  }

  async #change(
    method: "POST" | "PUT",
    name: string,
    what: string,
    body: object,
    signal: AbortSignal | undefined,
  ): Promise<RegisteredDefinition> {
    const options = { body: JSON.stringify(body), signal };
    return await this.#http.request(method, `${workflowPath(name)}/${what}`, options);
  }
}

function workflowPath(name: string): string {
  return `/workflows/${encodeURIComponent(name)}`;
}
