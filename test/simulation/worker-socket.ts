/**
 * The WebSocket that a worker's SDK finds: the network's near end. It belongs to the process that
 * made it, and is as dead as that is.
 */
import type { Link } from "./network.ts";
import { type SimulatedProcess, thisProcess } from "./simulated-process.ts";

interface SocketEvents {
  open: undefined;
  error: undefined;
  message: { data: string };
  close: { code: number; reason: string };
}
type Listener = (event: unknown) => void;

export class WorkerSocket {
  readonly process: SimulatedProcess = thisProcess();
  #listeners = new Map<string, Listener[]>();
  #link: Link | undefined;
  #isEnded = false;

  constructor(url: string, protocols: string[]) {
    this.process.surroundings.network.open(this, url, protocols);
  }

  addEventListener(type: keyof SocketEvents, listener: Listener): void {
    const listeners = this.#listeners.get(type);
    if (listeners) listeners.push(listener);
    else this.#listeners.set(type, [listener]);
  }

  send(text: string): void {
    if (!this.#isEnded) this.#link?.sendToShard(text);
  }

  close(code = 1005, reason = ""): void {
    if (this.#link) this.#link.closeFromWorker(code, reason);
    else this.ended(1006, "closed before it was open");
  }

  /** The network has connected it; nothing when it has been given up meanwhile. */
  opened(link: Link): boolean {
    if (this.#isEnded) return false;
    this.#link = link;
    this.#emit("open", undefined);
    return true;
  }

  received(data: string): void {
    if (!this.#isEnded) this.#emit("message", { data });
  }

  ended(code: number, reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    if (code === 1006) this.#emit("error", undefined);
    this.#emit("close", { code, reason });
  }

  #emit<Type extends keyof SocketEvents>(type: Type, event: SocketEvents[Type]): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }
}
