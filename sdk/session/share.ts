/** One connection's part in its worker's slots, as the connection sees it. */
import type { HelloFrame } from "../../protocol/session.ts";
import type { WantedFrame } from "../../protocol/slot-frames.ts";

export interface Share {
  /** Hello is being said, of these slots. */
  greet(): Pick<HelloFrame, "slots" | "of">;
  /** The shard has said welcome. */
  open(): void;
  /** The shard has answered a `slots` frame. */
  answer(): void;
  want(frame: WantedFrame): void;
  /** The socket is gone. */
  close(): void;
}
