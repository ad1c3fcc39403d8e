/** What is registered: `client.workflows`. Only reads; `client.register()` changes it. */
import type { Page, Workflow as RegisteredDefinition } from "../protocol/http.ts";
import type { Http } from "./http.ts";

export class Workflows {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** One workflow with its active version. Throws `SkeinError` `workflow_not_found`. */
  async get(name: string): Promise<RegisteredDefinition> {
    return await this.#http.request("GET", `/workflows/${encodeURIComponent(name)}`);
  }

  /** Workflows by name, a page at a time. */
  async list(
    page: { limit?: number | undefined; cursor?: string | undefined } = {},
  ): Promise<Page<RegisteredDefinition>> {
    return await this.#http.request("GET", "/workflows", { query: { ...page } });
  }
}
