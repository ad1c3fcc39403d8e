/**
 * The other end of the socket: a real HTTP and WebSocket server on loopback that says only what a
 * test tells it to. It keeps everything it hears, and checks nothing but the token.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import {
  type ChildFrame,
  type ChildStart,
  type ErrorFrame,
  type HelloFrame,
  type Message,
  PONG,
  PROTOCOL_VERSION,
  type ShardFrame,
  SUBPROTOCOL,
  type TaskFrame,
  TOKEN_SUBPROTOCOL_PREFIX,
  type WelcomeFrame,
  type WorkerFrame,
} from "../../protocol/session.ts";
import type { Shard } from "../../protocol/http.ts";
import { type Answer, type HeardRequest, readRequest } from "./heard-request.ts";
import { Queue } from "./queue.ts";

export const TOKEN = "a-token-of-the-test";

type Route = (request: HeardRequest) => Answer | Promise<Answer>;

export class FakeShard {
  readonly requests: HeardRequest[] = [];
  /** Numbers that GET /shards lists. */
  shards = [0];
  /** A token other than this one is refused. */
  token = TOKEN;
  readonly #server: Server;
  readonly #webSockets: WebSocketServer;
  readonly #connections = new Set<Socket>();
  readonly #routes = new Map<string, Route>();
  readonly #sessions = new Queue<FakeSession>();
  readonly #connecting = new Queue<FakeSession>();
  readonly #open = new Set<FakeSession>();
  #hasWelcome = false;
  #isRecording = false;

  private constructor(server: Server) {
    this.#server = server;
    this.#webSockets = new WebSocketServer({
      noServer: true,
      handleProtocols: () => SUBPROTOCOL,
      maxPayload: 64 * 1024 * 1024,
    });
    server.on("connection", (socket) => {
      this.#connections.add(socket);
      socket.on("close", () => this.#connections.delete(socket));
    });
    server.on("request", (request, response) => void this.#answer(request, response));
    server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
      const offered = String(request.headers["sec-websocket-protocol"]).split(/,\s*/);
      if (!offered.includes(TOKEN_SUBPROTOCOL_PREFIX + this.token)) {
        socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
        return;
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        const { pathname, searchParams } = new URL(request.url ?? "", "http://loopback");
        const number = Number(/(\d+)$/.exec(pathname)?.[1] ?? 0);
        const session = new FakeSession(webSocket, { number, offered, socket, said: searchParams });
        this.#connecting.push(session);
        this.#open.add(session);
        void session.closed.then(() => this.#open.delete(session));
        if (this.#isRecording) session.recordEverything();
        void session.hello.then(() => {
          if (this.#hasWelcome) session.welcome();
          this.#sessions.push(session);
        });
      });
    });
  }

  static async start(port = 0): Promise<FakeShard> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return new FakeShard(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Answers `"POST /runs"` this way from now on. */
  on(route: string, answer: Route): void {
    this.#routes.set(route, answer);
  }

  /** Says welcome to every hello by itself. */
  welcomeEverybody(): this {
    this.#hasWelcome = true;
    return this;
  }

  /** Records every result there is and will be, in every session there is and will be. */
  recordEverything(): this {
    this.#isRecording = true;
    for (const session of this.#open) session.recordEverything();
    return this;
  }

  /** The next session whose hello has arrived. */
  async session(): Promise<FakeSession> {
    return await this.#sessions.next("a session");
  }

  /** The next socket that opens, before its hello; it comes as a session as well. */
  async connecting(): Promise<FakeSession> {
    return await this.#connecting.next("a socket");
  }

  requestsTo(route: string): HeardRequest[] {
    return this.requests.filter(({ method, path }) => `${method} ${path}` === route);
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const heard = await readRequest(request);
    this.requests.push(heard);
    const answer = await this.#decide(heard);
    if (answer.isCut === true) {
      request.socket.destroy();
      return;
    }
    const body = typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body ?? {});
    response.writeHead(answer.status ?? 200, {
      "content-type": "application/json",
      ...answer.headers,
    });
    response.end(body);
  }

  async #decide(heard: HeardRequest): Promise<Answer> {
    if (heard.headers.authorization !== `Bearer ${this.token}`) {
      return problem(401, "unauthenticated", "The token is not one of ours");
    }
    const route = this.#routes.get(`${heard.method} ${heard.path}`);
    if (route !== undefined) return await route(heard);
    if (heard.path === "/shards") return { body: { shards: this.shards.map(shardOf) } };
    if (heard.method === "PUT") return { body: registered(heard.body) };
    return problem(404, "not_found", `Nothing at ${heard.path}`);
  }
}

interface Upgrade {
  number: number;
  offered: string[];
  said: URLSearchParams;
  socket: Socket;
}

/** One worker's socket, seen from the shard. */
export class FakeSession {
  readonly hello: Promise<HelloFrame>;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly messages: Message<WorkerFrame>[] = [];
  readonly pings = new Queue<number>();
  answersPings = true;
  readonly shard: number;
  readonly protocols: string[];
  /** What the address said beside the path. */
  readonly said: URLSearchParams;
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #replies = new Map<string, ShardFrame[]>();
  readonly #frames = new Map<string, Queue<WorkerFrame>>();
  #isRecording = false;

  constructor(webSocket: WebSocket, upgrade: Upgrade) {
    this.#webSocket = webSocket;
    this.#socket = upgrade.socket;
    this.shard = upgrade.number;
    this.protocols = upgrade.offered;
    this.said = upgrade.said;
    this.hello = this.next("hello");
    this.closed = new Promise((resolve) =>
      webSocket.on("close", (code, reason) => resolve({ code, reason: reason.toString() })),
    );
    webSocket.on("message", (bytes: Buffer) => this.#hear(bytes.toString()));
  }

  welcome(overrides: Partial<WelcomeFrame> = {}): this {
    return this.send(this.welcomeFrame(overrides));
  }

  welcomeFrame(overrides: Partial<WelcomeFrame> = {}): WelcomeFrame {
    return {
      type: "welcome",
      session: `session-of-shard-${this.shard}`,
      shard: this.shard,
      pingIntervalMs: 10_000,
      heartbeatLimitMs: 30_000,
      resumeGraceMs: 6_000,
      resumed: [],
      stale: [],
      ...overrides,
    };
  }

  send(...frames: ShardFrame[]): this {
    this.#webSocket.send(JSON.stringify({ v: PROTOCOL_VERSION, frames }));
    return this;
  }

  /** Sends these frames whenever one of this type comes, before anything that comes after it is heard. */
  reply(type: WorkerFrame["type"], ...frames: ShardFrame[]): void {
    this.#replies.set(type, frames);
  }

  /** The next frame of this type; frames of other types wait for their own turn. */
  async next<Type extends WorkerFrame["type"]>(
    type: Type,
  ): Promise<Extract<WorkerFrame, { type: Type }>> {
    const frame = await this.#queue(type).next(`a ${type} frame`);
    return frame as Extract<WorkerFrame, { type: Type }>;
  }

  /** How many frames of this type have come that nobody has asked for. */
  count(type: WorkerFrame["type"]): number {
    return this.#queue(type).size;
  }

  /**
   * Resolves once everything the worker had to say to what was sent before has arrived: it answers
   * a cancel of a task it doesn't have, in order.
   */
  async settled(): Promise<void> {
    const task = `probe-${Math.random()}`;
    this.send({ type: "cancel", task, attempt: 1, reason: "cancelled" });
    for (;;) if ((await this.next("released")).task === task) return;
  }

  /** Answers the next spawn frame: each child is a run that is named after its key. */
  async grantSpawn(): Promise<ChildStart[]> {
    const { children } = await this.next("spawn");
    this.grant(children);
    return children;
  }

  /** Says that these children of `task-1` are runs. */
  grant(children: readonly ChildStart[]): this {
    const ref = { task: "task-1", attempt: 1 };
    return this.send(
      ...children.map(({ key }) => ({
        type: "spawned" as const,
        ...ref,
        key,
        run: `run-of-${key}`,
      })),
    );
  }

  /** Lets `task-1` go on, when it next asks to, or says again that it may. */
  async letGoOn(timeoutMs = 60_000): Promise<this> {
    const { task, attempt, wait } = await this.next("return");
    return this.send({ type: "returned", task, attempt, wait, timeoutMs });
  }

  /** Says that a child of `task-1` has finished: completed, unless it is told otherwise. */
  finishChild(key: string, overrides: Partial<ChildFrame> = {}): this {
    return this.send({
      type: "child",
      task: "task-1",
      attempt: 1,
      key,
      run: `run-of-${key}`,
      state: "completed",
      outputs: {},
      error: null,
      ...overrides,
    });
  }

  recordEverything(): void {
    this.#isRecording = true;
    for (const { frames } of this.messages) this.#record(frames);
  }

  /** Answers the next word about slots, and gives what it was. */
  async answerSlots(): Promise<number> {
    const { slots } = await this.next("slots");
    this.send({ type: "slots", slots });
    return slots;
  }

  /** Refuses the handshake, as a shard does that too many come to. */
  sendAway(told: Pick<ErrorFrame, "retryAfterMs" | "place" | "resumeGraceMs">): void {
    this.send({ type: "error", code: "too_many_handshakes", detail: "Come back", ...told });
    this.close(1013);
  }

  close(code: number): void {
    this.#webSocket.close(code);
  }

  /** Ends without a close frame, as when a machine dies. */
  vanish(): void {
    this.#socket.destroy();
  }

  #hear(text: string): void {
    if (text === "ping") {
      this.pings.push(Date.now());
      if (this.answersPings) this.#webSocket.send(PONG);
      return;
    }
    const message = JSON.parse(text) as Message<WorkerFrame>;
    this.messages.push(message);
    for (const frame of message.frames) {
      this.#queue(frame.type).push(frame);
      const reply = this.#replies.get(frame.type);
      if (reply) this.send(...reply);
    }
    if (this.#isRecording) this.#record(message.frames);
  }

  #record(frames: WorkerFrame[]): void {
    for (const frame of frames) {
      const { type } = frame;
      if (type !== "completed" && type !== "failed" && type !== "rate_limited") continue;
      this.send({ type: "recorded", task: frame.task, attempt: frame.attempt });
    }
  }

  #queue(type: string): Queue<WorkerFrame> {
    const queue = this.#frames.get(type) ?? new Queue<WorkerFrame>();
    this.#frames.set(type, queue);
    return queue;
  }
}

export function task(overrides: Partial<TaskFrame> = {}): TaskFrame {
  return {
    type: "task",
    task: "task-1",
    attempt: 1,
    run: "run-1",
    shard: 0,
    workflow: "order",
    version: 3,
    step: "charge",
    action: "order:charge",
    input: { id: "1" },
    parents: {},
    metadata: {},
    timeoutMs: 60_000,
    queuedAt: Date.now(),
    ...overrides,
  };
}

export function problem(status: number, code: string, detail: string): Answer {
  return {
    status,
    body: { type: "about:blank", title: code, status, code, detail, requestId: "r-1" },
  };
}

/** Shards of these numbers, as they are listed and announced. */
export function shardOf(number: number): Shard {
  return { number, path: `/api/v1/shards/${number}` };
}

function registered(definition: unknown): unknown {
  const { name } = definition as { name: string };
  const version = { id: `version-of-${name}`, number: 1, checksum: "c", createdAt: "2026-01-01" };
  return { id: `id-of-${name}`, name, createdAt: "2026-01-01", version, definition, created: true };
}
