/**
 * HTTP/1.1 over kept connections, with as little work for the client as it goes: the client shares
 * the machine with what it loads, and `fetch` would be the slowest part. One request at a time on a
 * connection; one that was closed while idle is opened again. It never sends a request twice.
 */
import { connect, type Socket } from "node:net";

export interface HttpAnswer {
  status: number;
  body: string;
}

const ANSWER_LIMIT_MS = 90_000; // longer than the longest wait for a run's result
const LENGTH = /\r\ncontent-length: *(\d+)/i;

export class HttpConnection {
  readonly #host: string;
  readonly #port: number;
  readonly #headers: string;
  #socket: Socket | undefined;
  #closed: Promise<void> = Promise.resolve();
  #received = "";
  #waiting: PromiseWithResolvers<HttpAnswer> | undefined;

  constructor(url: string, token: string) {
    const { hostname, port } = new URL(url);
    this.#host = hostname;
    this.#port = Number(port);
    this.#headers = `host: ${hostname}:${port}\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n`;
  }

  /** Resolves when the present connection has been closed, by whichever side. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  async open(): Promise<void> {
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    socket.setEncoding("latin1"); // One character a byte, as content-length counts.
    socket.setTimeout(ANSWER_LIMIT_MS, () => socket.destroy(new Error("no answer in time")));
    socket.on("data", (text: string) => this.#receive(text));
    socket.on("error", (error) => this.#end(socket, error));
    socket.on("close", () => this.#end(socket, new Error("the connection was closed")));
    this.#socket = socket;
    this.#closed = new Promise((resolve) => socket.once("close", () => resolve()));
    this.#received = "";
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
  }

  /** Resolves with the answer, whatever its status; rejects when there is none. */
  async request(method: "GET" | "POST", path: string, body = ""): Promise<HttpAnswer> {
    if (this.#socket === undefined) await this.open();
    if (this.#waiting !== undefined) throw new Error(`${path}: the connection is in use.`);
    const answer = Promise.withResolvers<HttpAnswer>();
    this.#waiting = answer;
    const length = `content-length: ${Buffer.byteLength(body)}\r\n`;
    this.#socket?.write(`${method} ${path} HTTP/1.1\r\n${this.#headers}${length}\r\n${body}`);
    return await answer.promise;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #receive(text: string): void {
    this.#received = this.#received === "" ? text : this.#received + text;
    const headEnd = this.#received.indexOf("\r\n\r\n");
    if (headEnd < 0) return;
    const head = this.#received.slice(0, headEnd);
    const length = LENGTH.exec(head)?.[1];
    if (length === undefined) {
      this.#socket?.destroy(new Error(`an answer without content-length: ${head}`));
      return;
    }
    const bodyEnd = headEnd + 4 + Number(length);
    if (this.#received.length < bodyEnd) return;
    const body = this.#received.slice(headEnd + 4, bodyEnd);
    this.#received = this.#received.slice(bodyEnd);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ status: Number(head.slice(9, 12)), body });
  }

  #end(socket: Socket, error: Error): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.#waiting?.reject(new Error(`A request was not answered: ${error.message}`));
    this.#waiting = undefined;
  }
}

export async function openConnections(
  url: string,
  token: string,
  count: number,
): Promise<HttpConnection[]> {
  const connections = Array.from({ length: count }, () => new HttpConnection(url, token));
  await Promise.all(connections.map((connection) => connection.open()));
  return connections;
}

/** The answer's body; throws when the status is not one of success. */
export function bodyOf({ status, body }: HttpAnswer, what: string): string {
  if (status >= 200 && status < 300) return body;
  throw new Error(`${what} answered ${status}: ${body.slice(0, 500)}`);
}
