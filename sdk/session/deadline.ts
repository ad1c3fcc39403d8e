/**
 * When an attempt's time is up, by this machine's clock, and how it is moved: by the shard's word, and
 * while the handler waits for its children. It never says a later moment than the shard's own, and
 * aborts nothing: the shard's `cancel` does.
 */
import type { Attempt } from "./attempt.ts";

interface Extension {
  timeoutMs: number;
  sentAt: number;
  resolve: () => void;
  reject: (reason: Error) => void;
}

export class Deadline {
  readonly #attempt: Attempt;
  /** Sent and not answered, in order: the shard answers each, in order. */
  readonly #pending: Extension[] = [];
  #dueAt: number;
  /** Since when the time stands still. */
  #stoppedAt: number | null = null;

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
    this.#dueAt = attempt.receivedAt + attempt.frame.timeoutMs;
    attempt.whenOver((reason) => {
      for (const { reject } of this.#pending.splice(0)) reject(reason);
    });
  }

  get at(): Date {
    const stoodMs = this.#stoppedAt === null ? 0 : Date.now() - this.#stoppedAt;
    return new Date(this.#dueAt + stoodMs);
  }

  /** Asks for so many milliseconds from now on; resolves once the shard has granted them. */
  extend(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const extension = { timeoutMs, sentAt: 0, resolve, reject };
      this.#pending.push(extension);
      this.#send(extension);
    });
  }

  /** The shard has answered the oldest extension with so many milliseconds. */
  confirm(timeoutMs: number): void {
    const extension = this.#pending.shift();
    if (extension === undefined) return;
    const { sentAt, resolve } = extension;
    this.#dueAt = sentAt + timeoutMs; // The shard counts from when it heard, which was later.
    if (this.#stoppedAt !== null) this.#stoppedAt = sentAt;
    resolve();
  }

  stop(): void {
    this.#stoppedAt ??= Date.now();
  }

  /** The time passes again, and so much of it is left. */
  goOn(leftMs: number): void {
    this.#dueAt = Date.now() + leftMs;
    this.#stoppedAt = null;
  }

  /** Says again, on a new socket, what the shard has not answered. */
  repeat(): void {
    for (const extension of this.#pending) this.#send(extension);
  }

  #send(extension: Extension): void {
    const { route, refText } = this.#attempt;
    extension.sentAt = Date.now();
    route.send(`{"type":"extend",${refText},"timeoutMs":${extension.timeoutMs}}`);
  }
}
