/**
 * An ear on a worker's sockets: the WebSocket of the platform, which the SDK takes from `globalThis`,
 * noting what tells how a session fared. It changes nothing that is said.
 */
import type { Message, ShardFrame, WorkerFrame } from "../../protocol/session.ts";
import type { Note } from "./ledger.ts";

/** Makes every socket opened from now on be listened to. */
export function listen(note: (note: Omit<Note, "at">) => void): void {
  /** Attempts whose results were sent, by any worker of this process. */
  const reported = new Set<string>();

  class ListeningWebSocket extends WebSocket {
    #worker = "";

    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      this.addEventListener("message", ({ data }: { data: unknown }) => {
        for (const frame of framesOf<ShardFrame>(data)) this.#hear(frame);
      });
    }

    override send(text: string): void {
      super.send(text);
      let resent = 0;
      for (const frame of framesOf<WorkerFrame>(text)) {
        if (frame.type === "hello") this.#worker = frame.worker;
        if (frame.type !== "completed" && frame.type !== "failed") continue;
        const key = `${frame.task}/${frame.attempt}`;
        if (reported.has(key)) resent++;
        reported.add(key);
      }
      this.#note("resent", resent);
    }

    #hear(frame: ShardFrame): void {
      if (frame.type === "welcome") {
        this.#note("welcomed", 1);
        this.#note("stale", frame.stale.length);
      } else if (frame.type === "stale" || frame.type === "gone") {
        this.#note("stale", 1);
      }
    }

    #note(kind: Note["kind"], count: number): void {
      if (count > 0) note({ kind, worker: this.#worker, count });
    }
  }

  globalThis.WebSocket = ListeningWebSocket as typeof WebSocket;
}

function framesOf<Frame>(text: unknown): Frame[] {
  if (typeof text !== "string" || !text.startsWith("{")) return []; // A ping or a pong.
  return (JSON.parse(text) as Message<Frame>).frames;
}
