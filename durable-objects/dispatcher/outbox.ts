/**
 * What the shard says in one turn, by session: each session hears it as one message.
 */
import type { ShardFrame } from "../../protocol/session.ts";

export class Outbox {
  #frames = new Map<string, ShardFrame[]>();

  add(session: string, frame: ShardFrame): void {
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
