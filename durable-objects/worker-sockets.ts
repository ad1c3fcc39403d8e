/**
 * What the platform keeps with a worker's socket while the shard sleeps, and how frames go over it. It is
 * as lasting as the socket: a new one begins with what its hello says.
 */
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import { PROTOCOL_VERSION, type ShardFrame } from "../protocol/session.ts";
import type { Session, Wanted } from "./dispatcher/roster.ts";

export interface Attachment {
  session?: string;
  /** When it opened, and after its hello when that came: it was heard of then. */
  connectedAt: number;
  /** Of a worker that divides its slots: this shard's credit, all its slots, and what it was told is wanted. */
  credit?: { slots: number; of: number; wanted: Wanted };
}

export const BYTES_A_CHARACTER = 3; // at most, in UTF-8, of one UTF-16 code unit

export function readAttachment(socket: WebSocket): Attachment {
  return (socket.deserializeAttachment() as Attachment | null) ?? { connectedAt: 0 };
}

/** Keeps with the socket what its worker and this shard have last said of slots. */
export function keepCredit(socket: WebSocket, { slots, of, toldWanted }: Session): void {
  const { credit: _, ...rest } = readAttachment(socket);
  const credit = of === undefined ? undefined : { slots, of, wanted: toldWanted };
  socket.serializeAttachment({ ...rest, ...(credit && { credit }) } satisfies Attachment);
}

export function sendFrames(socket: WebSocket, frames: ShardFrame[]): void {
  try {
    for (const message of messagesOf(frames)) socket.send(message);
  } catch {
    // The socket closed under us: its close event follows, and the worker asks again.
  }
}

/** As few messages as the platform takes. */
function messagesOf(frames: ShardFrame[]): string[] {
  const message = JSON.stringify({ v: PROTOCOL_VERSION, frames });
  if (message.length * BYTES_A_CHARACTER <= MAX_MESSAGE_BYTES || frames.length === 1) {
    return [message];
  }
  const middle = frames.length >> 1;
  return [...messagesOf(frames.slice(0, middle)), ...messagesOf(frames.slice(middle))];
}
