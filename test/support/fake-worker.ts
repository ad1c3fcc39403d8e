/**
 * The other end of a worker's socket, played by a test: says what the test wants said, right or
 * wrong, and keeps what the shard says until the test asks for it.
 */
import { expect } from "vitest";
import type { TaskError } from "../../protocol/errors.ts";
import type { Json } from "../../protocol/json.ts";
import {
  type AttemptRef,
  type HelloFrame,
  PING,
  PONG,
  PROTOCOL_VERSION,
  type ShardFrame,
  type TaskFrame,
  type WelcomeFrame,
  type WorkerFrame,
} from "../../protocol/session.ts";
import { traffic } from "./traffic.ts";

const PATIENCE_MS = 10_000; // real time until a frame that does not come fails the test

export interface FakeWorkerOptions {
  actions: string[];
  slots?: number;
  of?: number;
  worker?: string;
  session?: string;
  running?: AttemptRef[];
  heartbeatLimitMs?: number;
  resumeGraceMs?: number;
  isPaused?: boolean;
  labels?: { [label: string]: string | number };
  versions?: string[];
}

export class FakeWorker {
  /** Of the upgrade: 101 when it was taken. */
  readonly response: Response;
  /** Set by `hello`. */
  welcome: WelcomeFrame | undefined;
  closed: Promise<{ code: number; reason: string }>;
  /** Whether it confirms the tasks that arrive, as a worker does whose event loop is not blocked. */
  confirms = true;
  #socket: WebSocket | null;
  #frames: ShardFrame[] = [];
  #wake: (() => void) | undefined;
  #pongs = 0;

  constructor(response: Response) {
    this.response = response;
    this.#socket = response.webSocket;
    this.#socket?.accept();
    this.#socket?.addEventListener("message", ({ data }) => {
      if (data === PONG) this.#pongs++;
      else if (typeof data === "string") this.#read(data);
      this.#wake?.();
    });
    this.closed = new Promise((resolve) => {
      this.#socket?.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
    });
  }

  async hello({
    actions,
    slots = 10,
    worker = "test-worker",
    session,
    running = [],
    ...limits
  }: FakeWorkerOptions): Promise<WelcomeFrame> {
    const hello: HelloFrame = {
      type: "hello",
      worker,
      sdk: "test/0",
      slots,
      actions,
      versions: [],
      running,
      ...(session !== undefined && { session }),
      ...limits,
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
    if (text !== PING) traffic.said();
  }

  complete(task: TaskFrame, output: Json = null): void {
    const times = { startedAt: Date.now(), finishedAt: Date.now() };
    const { task: id, attempt, shard } = task;
    this.say({ type: "completed", task: id, attempt, shard, output, ...times });
  }

  fail(task: TaskFrame, message: string, what: Partial<TaskError> = {}): void {
    const times = { startedAt: Date.now(), finishedAt: Date.now() };
    const { task: id, attempt, shard } = task;
    const error = { code: "handler_error" as const, name: "Error", message, ...what };
    this.say({ type: "failed", task: id, attempt, shard, error, ...times });
  }

  /** The next frame of this type; others before it are kept. */
  async receive<Type extends ShardFrame["type"]>(
    type: Type,
    match: object = {},
  ): Promise<Extract<ShardFrame, { type: Type }>> {
    const isWanted = (frame: ShardFrame): boolean => frame.type === type;
    await this.#until(() => this.#frames.some(isWanted), type);
    const [frame] = this.#frames.splice(this.#frames.findIndex(isWanted), 1);
    expect(frame).toMatchObject(match);
    return frame as Extract<ShardFrame, { type: Type }>;
  }

  /** A frame that has come already, of this type and as is said. */
  take<Type extends ShardFrame["type"]>(
    type: Type,
    isWanted: (frame: Extract<ShardFrame, { type: Type }>) => boolean,
  ): Extract<ShardFrame, { type: Type }> {
    const index = this.#frames.findIndex(
      (frame) => frame.type === type && isWanted(frame as Extract<ShardFrame, { type: Type }>),
    );
    if (index < 0) throw new Error(`No such ${type}; there are ${JSON.stringify(this.#frames)}`);
    const [frame] = this.#frames.splice(index, 1);
    return frame as Extract<ShardFrame, { type: Type }>;
  }

  receiveTask(match: object = {}): Promise<TaskFrame> {
    return this.receive("task", match);
  }

  async receiveTasks(count: number): Promise<TaskFrame[]> {
    const tasks: TaskFrame[] = [];
    while (tasks.length < count) tasks.push(await this.receiveTask());
    return tasks;
  }

  /** Frames that have come and were not asked for. */
  get unread(): readonly ShardFrame[] {
    return this.#frames;
  }

  /** Everything that has come once all is quiet: to see that something did not come. */
  async unreadWhenQuiet(): Promise<readonly ShardFrame[]> {
    await traffic.settled();
    const pongs = this.#pongs;
    this.sayText(PING); // what was sent before the pong has come before it
    await this.#until(() => this.#pongs > pongs, "pong");
    return this.#frames;
  }

  async #until(isThere: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!isThere()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        throw new Error(`No ${what} came; there are ${JSON.stringify(this.#frames)}`);
      }
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#wake = resolve;
        }),
        scheduler.wait(leftMs),
      ]);
    }
  }

  #read(text: string): void {
    const { frames } = JSON.parse(text) as { frames: ShardFrame[] };
    this.#frames.push(...frames);
    const tasks = frames.filter((frame) => frame.type === "task");
    if (tasks.length > 0 && this.confirms) this.confirm(...tasks);
  }

  /** Says that tasks have arrived. */
  confirm(...tasks: AttemptRef[]): void {
    const attempts = tasks.map(({ task, attempt }) => ({ task, attempt }));
    this.say({ type: "received", attempts });
  }

  close(code: number, reason = ""): void {
    this.#socket?.close(code, reason);
    traffic.said();
  }

  /** Closes its side of a socket that the shard has closed and did not keep: no handler hears of that. */
  answerClose(): void {
    this.#socket?.close();
  }

  release({ task, attempt }: AttemptRef): void {
    this.say({ type: "released", task, attempt });
  }

  /** The socket goes without a word that means anything, as when a machine dies. */
  vanish(): void {
    try {
      this.close(1001);
    } catch {
      // closed already
    }
  }
}
