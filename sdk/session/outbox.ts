/**
 * Gathers the frames of one turn into one message. Closed until the shard has said welcome: frames
 * given before are dropped (whoever sent them sends again on welcome), but for log lines, which are
 * kept up to a bound.
 */
import { type Message, PROTOCOL_VERSION, type ShardFrame } from "../../protocol/session.ts";
import type { Attempt } from "./attempt.ts";

/** Characters in one message: at three bytes each, and one more frame, below MAX_MESSAGE_BYTES. */
const MAX_MESSAGE_CHARACTERS = 4 * 1024 * 1024;

/** Log lines kept while there is no connection; more are dropped. */
const MAX_WAITING_LINES = 10_000;

export class Outbox {
  #deliver: ((message: string) => void) | null = null;
  #frames: string[] = [];
  #linesByAttempt = new Map<Attempt, string[]>();
  #waitingLines = 0;
  #isFlushPlanned = false;

  /** From now on messages go to `deliver`. */
  open(deliver: (message: string) => void): void {
    this.#deliver = deliver;
    if (this.#waitingLines > 0) this.#planFlush();
  }

  close(): void {
    this.#deliver = null;
    this.#frames = [];
  }

  /** Takes a frame that is already JSON. */
  frame(text: string): void {
    if (this.#deliver === null) return;
    this.#frames.push(text);
    this.#planFlush();
  }

  /** Takes a log line that is already JSON. */
  line(attempt: Attempt, text: string): void {
    if (this.#waitingLines >= MAX_WAITING_LINES) return;
    this.#waitingLines += 1;
    const lines = this.#linesByAttempt.get(attempt);
    if (lines === undefined) this.#linesByAttempt.set(attempt, [text]);
    else lines.push(text);
    this.#planFlush();
  }

  #planFlush(): void {
    if (this.#isFlushPlanned || this.#deliver === null) return;
    this.#isFlushPlanned = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushPlanned = false;
    if (this.#deliver === null) return;
    const frames = [...this.#takeLogFrames(), ...this.#frames];
    this.#frames = [];
    let gathered: string[] = [];
    let characters = 0;
    for (const frame of frames) {
      if (characters + frame.length > MAX_MESSAGE_CHARACTERS && gathered.length > 0) {
        this.#deliver(messageText(gathered));
        gathered = [];
        characters = 0;
      }
      gathered.push(frame);
      characters += frame.length;
    }
    if (gathered.length > 0) this.#deliver(messageText(gathered));
  }

  // Lines first: they were written before the result that ends their attempt.
  #takeLogFrames(): string[] {
    if (this.#waitingLines === 0) return [];
    const frames: string[] = [];
    for (const [attempt, lines] of this.#linesByAttempt) {
      const first = attempt.linesSent;
      frames.push(
        `{"type":"log",${attempt.refText},"first":${first},"lines":[${lines.join(",")}]}`,
      );
      attempt.linesSent += lines.length;
    }
    this.#linesByAttempt.clear();
    this.#waitingLines = 0;
    return frames;
  }
}

/** A message out of frames that are already JSON. */
export function messageText(frames: readonly string[]): string {
  return `{"v":${PROTOCOL_VERSION},"frames":[${frames.join(",")}]}`;
}

// A message that isn't the protocol's is as good as none: the shard's own limits end the session.
export function framesOf(text: string): ShardFrame[] {
  try {
    const message = JSON.parse(text) as Partial<Message<ShardFrame>>;
    return Array.isArray(message.frames) ? message.frames : [];
  } catch {
    return [];
  }
}
