/**
 * The other end of a worker's socket, played by a test: says what the test wants said, right or
 * wrong, and keeps what the shard says until the test asks for it.
 */
import { expect } from "vitest";
import type { Json } from "../../protocol/json.ts";
import {
  type AttemptRef,
  type HelloFrame,
  PROTOCOL_VERSION,
  type ShardFrame,
  type TaskFrame,
  type WelcomeFrame,
  type WorkerFrame,
} from "../../protocol/session.ts";

const PATIENCE_MS = 10_000; // real time until a frame that does not come fails the test

export interface FakeWorkerOptions {
  actions: string[];
  slots?: number;
  worker?: string;
  session?: string;
  running?: AttemptRef[];
}

export class FakeWorker {
  /** Of the upgrade: 101 when it was taken. */
  readonly response: Response;
  /** Set by `hello`. */
  welcome: WelcomeFrame | undefined;
  closed: Promise<{ code: number; reason: string }>;
  #socket: WebSocket | null;
  #frames: ShardFrame[] = [];
  #wake: (() => void) | undefined;

  constructor(response: Response) {
    this.response = response;
    this.#socket = response.webSocket;
    this.#socket?.accept();
    this.#socket?.addEventListener("message", ({ data }) => {
      if (typeof data !== "string" || !data.startsWith("{")) return; // a pong
      this.#frames.push(...(JSON.parse(data) as { frames: ShardFrame[] }).frames);
      this.#wake?.();
    });
    this.closed = new Promise((resolve) => {
      this.#socket?.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
    });
  }

  async hello({ actions, slots = 10, worker = "test-worker", session, running = [] }: FakeWorkerOptions): Promise<WelcomeFrame> {
    const hello: HelloFrame = {
      type: "hello",
      worker,
      sdk: "test/0",
      slots,
      actions,
      versions: [],
      running,
      ...(session !== undefined && { session }),
    };
    this.say(hello);
    this.welcome = await this.receive("welcome");
    return this.welcome;
  }

  say(...frames: WorkerFrame[]): void {
    this.sayText(JSON.stringify({ v: PROTOCOL_VERSION, frames }));
  }

  /** Anything, also what is not of the protocol. */
  sayText(text: string | ArrayBuffer): void {
    this.#socket?.send(text);
  }

  complete(task: TaskFrame, output: Json = null): void {
    const times = { startedAt: Date.now(), finishedAt: Date.now() };
    const { task: id, attempt, shard } = task;
    this.say({ type: "completed", task: id, attempt, shard, output, ...times });
  }

  fail(task: TaskFrame, message: string): void {
    const times = { startedAt: Date.now(), finishedAt: Date.now() };
    const { task: id, attempt, shard } = task;
    const error = { code: "handler_error" as const, name: "Error", message };
    this.say({ type: "failed", task: id, attempt, shard, error, ...times });
  }

  /** The next frame of this type; others before it are kept. */
  async receive<Type extends ShardFrame["type"]>(
    type: Type,
    match: object = {},
  ): Promise<Extract<ShardFrame, { type: Type }>> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const index = this.#frames.findIndex((frame) => frame.type === type);
      if (index >= 0) {
        const [frame] = this.#frames.splice(index, 1);
        expect(frame).toMatchObject(match);
        return frame as Extract<ShardFrame, { type: Type }>;
      }
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        throw new Error(`No ${type} frame came; there are ${JSON.stringify(this.#frames)}`);
      }
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#wake = resolve;
        }),
        scheduler.wait(leftMs),
      ]);
    }
  }

  receiveTask(match: object = {}): Promise<TaskFrame> {
    return this.receive("task", match);
  }

  /** Frames that have come and were not asked for. */
  get unread(): readonly ShardFrame[] {
    return this.#frames;
  }

  close(code: number, reason = ""): void {
    this.#socket?.close(code, reason);
  }

  /** The socket goes without a word that means anything, as when a machine dies. */
  vanish(): void {
    try {
      this.#socket?.close(1001);
    } catch {
      // closed already
    }
  }
}
