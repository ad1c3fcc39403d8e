/** Many connections over PGlite's one session: each sees a server of its own. */
import { PGlite } from "@electric-sql/pglite";
import { connect } from "node:net";
import type { AddressInfo, Server } from "node:net";
import pg from "pg";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { PgliteWire } from "../../local/pglite-wire.ts";
import { readMessages, wireMessage } from "../../local/wire-messages.ts";

const LOGIN = { user: "skein", password: "right", database: "postgres" };
let database: PGlite;
let wire: PgliteWire;
let server: Server;
const clients: pg.Client[] = [];

beforeAll(async () => {
  database = await PGlite.create();
  wire = await PgliteWire.open(database, LOGIN);
  server = await wire.listen(0);
}, 30_000);

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end()));
});

afterAll(async () => {
  server.close();
  wire.close();
  await database.close();
});

async function newClient(): Promise<pg.Client> {
  const client = new pg.Client({ ...LOGIN, stream: () => wire.connect() });
  client.on("error", () => {});
  await client.connect();
  clients.push(client);
  return client;
}

/** Sends raw messages after login, and gives the types of the answers up to the last ReadyForQuery. */
async function exchange(messages: Buffer[], readies: number): Promise<string> {
  const connection = wire.connect({ isTrusted: true });
  const startup = Buffer.from("\0\x03\0\0user\0skein\0\0", "latin1");
  const length = Buffer.alloc(4);
  length.writeInt32BE(startup.length + 4);
  connection.write(Buffer.concat([length, startup, ...messages]));
  let types = "";
  for await (const chunk of connection) {
    for (const { type } of readMessages(chunk as Buffer)) types += type;
    if (types.split("Z").length > readies + 1) break;
  }
  return types.slice(types.indexOf("Z") + 1);
}

const query = (text: string): Buffer => wireMessage("Q", Buffer.from(`${text}\0`));

test("a client learns the server's settings from the database", async () => {
  const told = new Map<string, string>();
  const client = new pg.Client({ ...LOGIN, stream: () => wire.connect() });
  const { connection } = client as unknown as {
    connection: { on(event: string, listen: (message: Record<string, string>) => void): void };
  };
  connection.on("parameterStatus", (message) =>
    told.set(message["parameterName"] ?? "", message["parameterValue"] ?? ""),
  );
  await client.connect();
  clients.push(client);
  const { rows } = await client.query("show server_version");
  expect(told.get("server_version")).toBe(rows[0].server_version);
  expect(told.get("client_encoding")).toBe("UTF8");
});

test("SSL is refused, and the connection goes on without it", async () => {
  const { port } = server.address() as AddressInfo;
  const url = `postgres://skein:right@127.0.0.1:${port}/postgres`;
  const secure = new pg.Client({ connectionString: url, ssl: true });
  await expect(secure.connect()).rejects.toThrow("does not support SSL");
  const plain = new pg.Client(url);
  await plain.connect();
  expect((await plain.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await plain.end();
});

test("what speaks another protocol is closed, and the others notice nothing", async () => {
  const { port } = server.address() as AddressInfo;
  const stranger = connect(port, "127.0.0.1").on("error", () => {});
  stranger.end("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
  await new Promise((resolve) => stranger.resume().once("close", resolve));
  expect((await (await newClient()).query("select 1 as one")).rows).toEqual([{ one: 1 }]);
});

test("a connection in a transaction keeps the others out until it is done", async () => {
  const [first, second] = [await newClient(), await newClient()];
  await first.query("create table waited (id int)");
  await first.query("begin");
  const order: string[] = [];
  const waiting = second.query("select count(*)::int as n from waited").then(({ rows }) => {
    order.push("second");
    return rows;
  });
  await first.query("insert into waited values (1)");
  order.push("first");
  await first.query("commit");
  expect(await waiting).toEqual([{ n: 1 }]);
  expect(order).toEqual(["first", "second"]);
});

test("a connection that closes while it waits does not stop those behind it", async () => {
  const [first, second, third] = [await newClient(), await newClient(), await newClient()];
  await first.query("begin");
  const abandoned = second.query("select 2").catch((error: unknown) => String(error));
  const waiting = third.query("select 3 as three");
  (
    second as unknown as { connection: { stream: { destroy(): void } } }
  ).connection.stream.destroy();
  expect(await abandoned).toContain("terminated");
  await first.query("commit");
  expect((await waiting).rows).toEqual([{ three: 3 }]);
});

test("a connection leaves no prepared statement and no setting behind", async () => {
  const client = await newClient();
  await client.query({ name: "kept", text: "select $1::int", values: [1] });
  await client.query("set search_path to nowhere");
  await client.end();
  clients.pop();
  const next = await newClient();
  const { rows } = await next.query("select count(*)::int as n from pg_prepared_statements");
  expect(rows).toEqual([{ n: 0 }]);
  expect((await next.query("show search_path")).rows[0].search_path).not.toBe("nowhere");
});

test("long statement names of which only the end differs stay apart", async () => {
  const name = "n".repeat(63);
  const parse = (statement: string, text: string): Buffer =>
    wireMessage("P", Buffer.from(`${statement}\0${text}\0\0\0`));
  const sync = wireMessage("S");
  const types = await exchange(
    [parse(`${name}a`, "select 1"), parse(`${name}b`, "select 2"), sync],
    1,
  );
  expect(types).toBe("11Z");
});

test("an error before a Flush is answered at once, and ends with the Sync", async () => {
  const bad = wireMessage("P", Buffer.from("s\0selec\0\0\0"));
  const types = await exchange([bad, wireMessage("H"), wireMessage("S"), query("select 1")], 2);
  expect(types).toBe("EZTDCZ");
});

test("COPY takes its rows, and fails when they don't fit", async () => {
  const client = await newClient();
  await client.query("create table copied (id int)");
  const rows = (text: string): Buffer[] => [
    query("copy copied from stdin"),
    wireMessage("d", Buffer.from(text)),
    wireMessage("c"),
  ];
  expect(await exchange(rows("1\n2\n"), 1)).toBe("GCZ");
  expect(await exchange(rows("not a number\n"), 1)).toBe("GEZ");
  expect((await client.query("select sum(id)::int as n from copied")).rows).toEqual([{ n: 3 }]);
  // Not seen as a COPY from outside; the engine must survive it all the same.
  const hidden = "do $$ begin execute 'select 1'; end $$; (select 1); copy/**/copied from/**/stdin";
  await expect(client.query(hidden)).rejects.toMatchObject({ severity: "ERROR" });
  const prepared = { text: "copy copied from stdin", queryMode: "extended" };
  await expect(client.query(prepared)).rejects.toMatchObject({ code: "0A000" });
  expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
});

test("a notification reaches the connections that listen, and no other", async () => {
  const [sender, listener] = [await newClient(), await newClient()];
  const heardBySender: unknown[] = [];
  sender.on("notification", (message) => heardBySender.push(message.payload));
  const heard = new Promise((resolve) => listener.once("notification", resolve));
  await listener.query("listen news");
  await sender.query("notify news, 'hello'");
  expect(await heard).toMatchObject({ channel: "news", payload: "hello" });
  expect(heardBySender).toEqual([]);
});
