/**
 * A shard's ends of its WebSockets. A connection outlasts hibernation, as the platform's do; each
 * life of the shard sees it through a socket object of its own, which is dead when that life is.
 */
import type { Link } from "./network.ts";
import type { ObjectHost } from "./object-host.ts";
import { type SimulatedProcess, thisProcess } from "./simulated-process.ts";

/** What the platform keeps of a WebSocket whether or not the object is in memory. */
export class ObjectConnection {
  link: Link | undefined;
  /** The object that has accepted it. */
  host: ObjectHost | undefined;
  attachment: unknown = null;
  /** When a ping was last answered without waking the object. */
  answeredAt: Date | null = null;
  /** The object has closed it. */
  isClosed = false;
  /** The other side has closed it, or has vanished. */
  isGone = false;
}

/** `WebSocketRequestResponsePair` */
export class RequestResponsePair {
  readonly request: string;
  readonly response: string;

  constructor(request: string, response: string) {
    this.request = request;
    this.response = response;
  }
}

/** The client's end of a pair: it goes with the response, and the network connects it. */
export class UpgradeEnd {
  readonly connection: ObjectConnection;

  constructor(connection: ObjectConnection) {
    this.connection = connection;
  }
}

/** `WebSocketPair` */
export class SocketPair {
  readonly 0: UpgradeEnd;
  readonly 1: ObjectSocket;

  constructor() {
    const connection = new ObjectConnection();
    this[0] = new UpgradeEnd(connection);
    this[1] = new ObjectSocket(connection, thisProcess());
  }
}

/** The object's end, as one life of it holds it. */
export class ObjectSocket {
  readonly connection: ObjectConnection;
  readonly #life: SimulatedProcess;

  constructor(connection: ObjectConnection, life: SimulatedProcess) {
    this.connection = connection;
    this.#life = life;
  }

  /** Of one that the object does not keep: the network has it refused. */
  accept(): void {}

  send(text: string): void {
    const { connection } = this;
    if (connection.isClosed) throw new TypeError("Can't call WebSocket send() after close().");
    this.#life.say(() => connection.link?.sendToWorker(text));
  }

  close(code = 1005, reason = ""): void {
    const { connection } = this;
    if (connection.isClosed) return;
    connection.isClosed = true;
    this.#life.say(() => connection.link?.closeFromShard(code, reason));
  }

  serializeAttachment(attachment: unknown): void {
    this.connection.attachment = structuredClone(attachment);
  }

  deserializeAttachment(): unknown {
    return structuredClone(this.connection.attachment);
  }
}
