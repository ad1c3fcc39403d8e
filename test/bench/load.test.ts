/**
 * The bench's own HTTP client against a server that answers in pieces and closes when it likes.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HttpConnection } from "../../bench/load.ts";

let server: Server;
let connection: HttpConnection;
let sockets: Socket[];
/** What the server does with a request. */
let answer: (socket: Socket, request: string) => void;

beforeEach(async () => {
  sockets = [];
  server = createServer((socket) => {
    sockets.push(socket);
    socket.setEncoding("latin1").on("data", (request: string) => answer(socket, request));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  connection = new HttpConnection(`http://127.0.0.1:${port}`, "secret");
});

afterEach(async () => {
  connection.close();
  for (const socket of sockets) socket.destroy();
  server.close();
  await once(server, "close");
});

test("an answer that comes in pieces is put together", async () => {
  answer = (socket) => {
    socket.write("HTTP/1.1 201 Created\r\nContent-Le");
    setImmediate(() => socket.write("ngth: 4\r\n\r\nab"));
    setImmediate(() => setImmediate(() => socket.write("cd")));
  };
  expect(await connection.request("POST", "/runs", "{}")).toEqual({ status: 201, body: "abcd" });
});

test("a request carries the token and its length in bytes", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  answer = (socket, request) => {
    resolve(request);
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  };
  await connection.request("POST", "/runs", "é");
  const request = await promise;
  expect(request).toContain("authorization: Bearer secret\r\n");
  expect(request).toContain("content-length: 2\r\n");
});

test("a connection that was closed while idle is opened again", async () => {
  answer = (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  await connection.request("GET", "/");
  sockets[0]?.end();
  await connection.closed;
  expect((await connection.request("GET", "/")).body).toBe("ok");
  expect(sockets).toHaveLength(2);
});

test("a request whose connection breaks fails, and is not sent again", async () => {
  let requests = 0;
  answer = (socket) => {
    requests++;
    socket.destroy();
  };
  await expect(connection.request("POST", "/runs", "{}")).rejects.toThrow("not answered");
  expect(requests).toBe(1);
});
