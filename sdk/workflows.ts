/** What is registered, and pausing it: `client.workflows`. `client.register()` registers. */
import type { Page, Workflow as RegisteredDefinition } from "../protocol/http.ts";
import type { PauseMode } from "../protocol/states.ts";
import type { Http } from "./http.ts";

export interface PauseOptions {
  /**
   * What becomes of new runs: `hold` starts them, and they wait until the workflow is resumed; `drop`
   * refuses them with `workflow_paused`, and events start none.
   */
  mode: PauseMode;
  signal?: AbortSignal | undefined;
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
  async list(
    page: { limit?: number | undefined; cursor?: string | undefined } = {},
  ): Promise<Page<RegisteredDefinition>> {
    return await this.#http.request("GET", "/workflows", { query: { ...page } });
  }

  /**
   * Pauses a workflow: its new runs wait, or don't happen. Runs that have begun go on. Paused again it
   * takes the new mode. Throws `SkeinError` `workflow_not_found`.
   *
   * @example
   * await skein.workflows.pause("order", { mode: "hold" });
   */
  async pause(name: string, { mode, signal }: PauseOptions): Promise<void> {
    const body = JSON.stringify({ mode });
    await this.#http.request("PUT", `${workflowPath(name)}/pause`, { body, signal });
  }

  /** Ends a pause: the runs that were held begin. One that isn't paused stays as it is. */
  async resume(name: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#http.request("DELETE", `${workflowPath(name)}/pause`, { signal });
  }
}

function workflowPath(name: string): string {
  return `/workflows/${encodeURIComponent(name)}`;
}
