/**
 * One WebSocket, with its end as a promise. It can be dropped: a dead network may hold a close
 * back for minutes, and nobody here waits for it.
 */
import { type PlatformSocket, socketConstructor } from "../platform.ts";

export interface Closed {
  code: number;
  reason: string;
}

/** The code of a socket that ended without a close frame. */
export const CLOSED_ABNORMALLY = 1006;

export class Socket {
  readonly opened: Promise<void>;
  readonly closed: Promise<Closed>;
  readonly #socket: PlatformSocket;
  #end: (closed: Closed) => void = () => undefined;
  #hasEnded = false;

  private constructor(socket: PlatformSocket, receive: (text: string) => void) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      this.#end = (closed) => {
        this.#hasEnded = true;
        resolve(closed);
      };
    });
    this.opened = new Promise((resolve) => socket.addEventListener("open", () => resolve()));
    // An error is always followed by a close, which says more; unheard it would end the process.
    socket.addEventListener("error", () => undefined);
    socket.addEventListener("close", ({ code, reason }) => this.#end({ code, reason }));
    socket.addEventListener("message", ({ data }) => {
      if (!this.#hasEnded && typeof data === "string") receive(data);
    });
  }

  static async open(
    url: string,
    protocols: string[],
    receive: (text: string) => void,
  ): Promise<Socket> {
    const PlatformWebSocket = await socketConstructor();
    return new Socket(new PlatformWebSocket(url, protocols), receive);
  }

  send(text: string): void {
    if (!this.#hasEnded) this.#socket.send(text);
  }

  /** Closes politely; `closed` resolves when the other side has answered. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Ends it here and now: nothing more is received, whatever the network holds. */
  drop(reason: string): void {
    if (this.#hasEnded) return;
    this.#end({ code: CLOSED_ABNORMALLY, reason });
    if (this.#socket.terminate === undefined) this.#socket.close();
    else this.#socket.terminate();
  }
}

/** For people, after "lost connection". */
export function why({ code, reason }: Closed): string {
  return reason === "" ? ` (close code ${code})` : ` (${reason}, close code ${code})`;
}
