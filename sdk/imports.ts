/** Exports of runs that were brought here to be looked at: `client.imports`. None of them is ever executed. */
import type {
  CreatedImport,
  Import,
  ImportSummary,
  RunExport,
} from "../protocol/history-bodies.ts";
import type { Page } from "../protocol/http.ts";
import type { Http } from "./http.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

export class Imports {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Imports the export of a run, of this Skein or another. The same document again is the same import. Throws
   * `SkeinError` `invalid_request` for one of a format that this Skein does not know, `payload_too_large` beyond
   * 8 MiB, and `too_many_imports`.
   *
   * @example
   * const { id } = await skein.imports.create(JSON.parse(await readFile("failed-run.json", "utf8")));
   */
  async create(document: RunExport, { signal }: CallOptions = {}): Promise<CreatedImport> {
    const body = JSON.stringify(document);
    return await this.#http.request("POST", "/imports", { body, signal });
  }

  /** An import; `document.run` is the run. Throws `SkeinError` `import_not_found`. */
  async get(id: string, { signal }: CallOptions = {}): Promise<Import> {
    return await this.#http.request("GET", importPath(id), { signal });
  }

  /** A page of imports, the last imported first: 50, or `limit`, at most 200. */
  async list({
    cursor,
    limit,
    signal,
  }: CallOptions & { cursor?: string | undefined; limit?: number | undefined } = {}): Promise<
    Page<ImportSummary>
  > {
    return await this.#http.request("GET", "/imports", { query: { cursor, limit }, signal });
  }

  /** The document that was imported. Throws `SkeinError` `import_not_found`. */
  async export(id: string, { signal }: CallOptions = {}): Promise<RunExport> {
    return await this.#http.request("GET", `${importPath(id)}/export`, { signal });
  }

  /**
   * Deletes an import. Throws `SkeinError` `import_not_found`, also when an earlier sending of the same call has
   * deleted it.
   */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("DELETE", importPath(id), { signal });
  }
}

function importPath(id: string): string {
  return `/imports/${encodeURIComponent(id)}`;
}
