/**
 * The workers that are connected: `client.workers`. A worker has a session, and so a record, with
 * each of its tenant's shards; what is asked of one session holds for the whole worker.
 */
import type { WorkerRecord } from "../protocol/http.ts";
import type { Http } from "./http.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

export class Workers {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Workers that are connected, or were a moment ago.
   *
   * @example
   * const stalled = (await skein.workers.list()).filter(({ state }) => state === "stalled");
   */
  async list({ signal }: CallOptions = {}): Promise<WorkerRecord[]> {
    const answer = await this.#http.request<{ items: WorkerRecord[] }>("GET", "/workers", {
      signal,
    });
    return answer.items;
  }

  /**
   * Gives a worker no tasks until it is resumed, here or by its own `resume()`; what it runs goes on.
   * Throws `SkeinError` `worker_not_found`.
   */
  async pause(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("PUT", `${workerPath(id)}/pause`, { signal });
  }

  /** Gives a paused worker tasks again. Throws `SkeinError` `worker_not_found`. */
  async resume(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("DELETE", `${workerPath(id)}/pause`, { signal });
  }

  /**
   * Asks a worker to stop: it takes no more tasks, finishes what it runs within its grace, and
   * disconnects. Its process ends if that was all it did. Throws `SkeinError` `worker_not_found`.
   */
  async drain(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("POST", `${workerPath(id)}/drain`, { signal });
  }
}

function workerPath(id: string): string {
  return `/workers/${encodeURIComponent(id)}`;
}
