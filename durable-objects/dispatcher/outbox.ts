/**
 * What the shard says in one turn, by session: each session hears it as one message.
 */
import type { ShardFrame } from "../../protocol/session.ts";

export class Outbox {
  #frames = new Map<string, ShardFrame[]>();
  #listeners = new Map<string, (frame: ShardFrame) => void>();

  /** What would be said to a session of this name is heard here. */
  listen(session: string, hear: (frame: ShardFrame) => void): void {
    this.#listeners.set(session, hear);
  }

  forget(session: string): void {
    this.#listeners.delete(session);
  }

  add(session: string, frame: ShardFrame): void {
    const hear = this.#listeners.get(session);
    if (hear) return hear(frame);
    const frames = this.#frames.get(session);
    if (frames) frames.push(frame);
    else this.#frames.set(session, [frame]);
  }

  /** Everything said since it was last taken. */
  take(): Map<string, ShardFrame[]> {
    const taken = this.#frames;
    if (taken.size > 0) this.#frames = new Map();
    return taken;
  }
}
