/**
 * What Neon's driver speaks, on 127.0.0.1 in front of a local database: `POST /sql`, and the
 * Postgres wire over a WebSocket at `/v2`. `GET /health` answers while it listens.
 *
 * HTTP queries must carry the configured user and password; a WebSocket is a plain pipe, and its
 * password is checked by the server behind it. Web pages are refused: no browser talks to this port.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { createWebSocketStream, WebSocketServer } from "ws";
import type { Pool } from "pg";
import { answerSql, type CancelQuery, errorAnswer, refusal, type SqlAnswer } from "./neon-sql.ts";
import type { Login } from "./pglite-connection.ts";

export interface NeonProtocolOptions {
  login: Login;
  /** Made with `types: RAW_TEXT`. */
  pool: Pool;
  /** Opens a connection that speaks the Postgres wire. */
  openWire(): Duplex;
  /** Default any free one. */
  port?: number;
  cancel?: CancelQuery;
}

export interface NeonProtocol {
  port: number;
  close(): Promise<void>;
}

/** Neon's own bound on a request and on an answer. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** Longer than any pause of a client: a server that closes first makes its next query fail. */
const KEEP_ALIVE_MS = 10 * 60 * 1000;

export async function startNeonProtocol(options: NeonProtocolOptions): Promise<NeonProtocol> {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    answer(options, request, response).catch((error: unknown) =>
      send(response, errorAnswer(error)),
    );
  });
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy());
    const isOurs = pathOf(request) === "/v2" && request.headers.origin === undefined;
    if (!isOurs) {
      socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const wire = options.openWire();
      const stream = createWebSocketStream(webSocket);
      wire.on("error", () => webSocket.close());
      wire.on("close", () => webSocket.close());
      stream.on("error", () => wire.destroy());
      webSocket.on("close", () => wire.destroy());
      stream.pipe(wire).pipe(stream);
    });
  });
  const port = await listen(server, options.port ?? 0);
  return {
    port,
    async close() {
      for (const webSocket of sockets.clients) webSocket.terminate();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  options: NeonProtocolOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = pathOf(request);
  if (path === "/health") return send(response, { status: 200, body: { status: "ok" } });
  if (path !== "/sql")
    return send(response, notFound("This is the local Neon protocol: POST /sql."));
  if (request.method !== "POST")
    return send(response, { status: 405, body: { message: "POST only" } });
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  const body = await readBody(request);
  if (body === undefined) {
    const message = `request is too large (max is ${MAX_BODY_BYTES} bytes)`;
    return send(response, { status: 413, body: { message } });
  }
  const wrong = refuseLogin(request, options.login);
  if (wrong !== undefined) return send(response, errorAnswer(wrong));
  const { pool, cancel } = options;
  send(response, await answerSql(pool, request.headers, body, gone.signal, cancel));
}

function refuseLogin(request: IncomingMessage, login: Login): Error | undefined {
  const given = URL.parse(String(request.headers["neon-connection-string"]));
  if (given === null) return refusal("08P01", "The Neon-Connection-String header is missing.");
  const user = decodeURIComponent(given.username);
  const password = decodeURIComponent(given.password);
  if (user !== login.user || password !== login.password) {
    return refusal("28P01", `password authentication failed for user "${user}"`, "FATAL");
  }
  const database = decodeURIComponent(given.pathname.slice(1));
  if (database === login.database) return undefined;
  return refusal("3D000", `database "${database}" does not exist`, "FATAL");
}

/** The whole body as text, or undefined when it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    else chunks.length = 0;
  }
  return size > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks).toString("utf8");
}

function send(response: ServerResponse, { status, headers, body }: SqlAnswer): void {
  if (response.destroyed || response.headersSent) return;
  let bytes = Buffer.from(JSON.stringify(body));
  if (bytes.length > MAX_BODY_BYTES) {
    status = 507;
    const message = `response is too large (max is ${MAX_BODY_BYTES} bytes)`;
    bytes = Buffer.from(JSON.stringify({ message }));
  }
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": bytes.length,
    ...headers,
  });
  response.end(bytes);
}

function notFound(message: string): SqlAnswer {
  return { status: 404, body: { message } };
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").split("?")[0] ?? "";
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address() as AddressInfo;
  return address.port;
}
