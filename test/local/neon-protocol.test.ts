/**
 * The local Neon protocol with the real driver, over PGlite and over a real Postgres: whatever the
 * driver does must not tell the two from Neon.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Client,
  neon,
  NeonDbError,
  neonConfig,
  type NeonQueryFunction,
} from "@neondatabase/serverless";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Database, startDatabase } from "../../local/database.ts";
import { type Postgres, startPostgres } from "../../local/postgres.ts";

let directory: string;
let postgres: Postgres;
const databases: Record<string, Database> = {};

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "skein-test-"));
  postgres = await startPostgres();
  [databases["PGlite"], databases["Postgres"]] = await Promise.all([
    startDatabase({ directory }),
    startDatabase({ databaseUrl: postgres.url }),
  ]);
}, 30_000);

afterAll(async () => {
  await Promise.all(Object.values(databases).map((database) => database.stop()));
  await postgres?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe.each(["PGlite", "Postgres"])("over %s", (name) => {
  let database: Database;
  let url: string;

  beforeAll(async () => {
    database = databases[name] as Database;
    url = database.databaseUrl;
    await neonHere()("select 1");
    await neonHere()("create table entry (id int primary key, note text)");
  });

  beforeEach(async () => {
    await neonHere()("truncate entry");
  });

  /** The driver's settings are global: whoever uses it points it to this database first. */
  function neonHere(at = url): NeonQueryFunction<false, false>["query"] {
    neonConfig.fetchEndpoint = () => `http://${database.neon}/sql`;
    neonConfig.wsProxy = () => `${database.neon}/v2`;
    neonConfig.useSecureWebSocket = false;
    neonConfig.pipelineConnect = false;
    return neon(at).query;
  }

  async function socketClient(at = url): Promise<Client> {
    neonHere();
    const client = new Client(at);
    client.on("error", () => {});
    await client.connect();
    return client;
  }

  function withPassword(password: string): string {
    const wrong = new URL(url);
    wrong.password = password;
    return wrong.href;
  }

  test("values of every kind come back as they went", async () => {
    const [row] = await neonHere()(
      `select $1::int as number, $2::text as text, $3::jsonb as json, $4::text[] as texts,
              $5::bytea as bytes, 'NaN'::float8 as nothing, null as empty, true as yes,
              '2026-01-02 03:04:05+00'::timestamptz as at`,
      [7, "Grüße 'n' \"q\"", { a: [1, null] }, ['"', null, "a,b"], Buffer.from([0, 255])],
    );
    expect(row).toEqual({
      number: 7,
      text: "Grüße 'n' \"q\"",
      json: { a: [1, null] },
      texts: ['"', null, "a,b"],
      bytes: Buffer.from([0, 255]),
      nothing: NaN,
      empty: null,
      yes: true,
      at: new Date("2026-01-02T03:04:05Z"),
    });
  });

  test("a full result tells fields, command and count", async () => {
    neonHere();
    const sql = neon(url, { fullResults: true, arrayMode: true });
    const result = await sql.query("insert into entry values (1, 'a'), (2, 'b') returning id");
    expect(result).toMatchObject({ command: "INSERT", rowCount: 2, rows: [[1], [2]] });
    expect(result.fields).toMatchObject([{ name: "id", dataTypeID: 23, format: "text" }]);
  });

  test("a batch is one transaction at the level it asks for", async () => {
    neonHere();
    const sql = neon(url);
    const [, level] = await sql.transaction(
      [sql.query("insert into entry values (1, 'in')"), sql.query("show transaction_isolation")],
      { isolationLevel: "Serializable" },
    );
    expect(level).toEqual([{ transaction_isolation: "serializable" }]);
    const failing = sql.transaction([
      sql.query("insert into entry values (2, 'lost')"),
      sql.query("insert into entry values (1, 'again')"),
    ]);
    await expect(failing).rejects.toMatchObject({ code: "23505" });
    expect(await sql.query("select id from entry")).toEqual([{ id: 1 }]);
    const reading = sql.transaction([sql.query("delete from entry")], { readOnly: true });
    await expect(reading).rejects.toMatchObject({ code: "25006" });
  });

  test("an SQL error carries Postgres's own fields", async () => {
    const sql = neonHere();
    await sql("insert into entry values (1, 'a')");
    const error = await sql("insert into entry values ($1, 'b')", [1]).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(NeonDbError);
    expect(error).toMatchObject({
      severity: "ERROR",
      code: "23505",
      constraint: "entry_pkey",
      table: "entry",
      schema: "public",
      detail: "Key (id)=(1) already exists.",
    });
    await expect(sql("select 1; select 2")).rejects.toMatchObject({ code: "42601" });
    await expect(sql("selec 1")).rejects.toMatchObject({ code: "42601", position: "1" });
  });

  test("a wrong password, user or database is refused with Postgres's code", async () => {
    const sql = neonHere(withPassword("wrong"));
    await expect(sql("select 1")).rejects.toMatchObject({ code: "28P01", severity: "FATAL" });
    await expect(socketClient(withPassword("wrong"))).rejects.toMatchObject({ code: "28P01" });
    const stranger = new URL(url);
    stranger.username = "stranger";
    await expect(neonHere(stranger.href)("select 1")).rejects.toMatchObject({ code: "28P01" });
    await expect(socketClient(stranger.href)).rejects.toMatchObject({ code: "28P01" });
    const elsewhere = new URL(url);
    elsewhere.pathname = "/elsewhere";
    await expect(neonHere(elsewhere.href)("select 1")).rejects.toMatchObject({ code: "3D000" });
    await expect(socketClient(elsewhere.href)).rejects.toMatchObject({ code: "3D000" });
  });

  test("the driver's own way to connect, password ahead, works too", async () => {
    neonHere();
    neonConfig.pipelineConnect = "password";
    const client = new Client(url);
    await client.connect();
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  test("named statements of two connections don't meet", async () => {
    const [first, second] = await Promise.all([socketClient(), socketClient()]);
    const ask = (client: Client, text: string): Promise<{ rows: unknown[] }> =>
      client.query({ name: "the-same-name", text, values: [5] });
    for (let round = 0; round < 2; round++) {
      expect((await ask(first, "select $1::int + 1 as n")).rows).toEqual([{ n: 6 }]);
      expect((await ask(second, "select $1::int + 2 as n")).rows).toEqual([{ n: 7 }]);
    }
    await Promise.all([first.end(), second.end()]);
  });

  test("an error in a transaction fails it, and the connection goes on after rollback", async () => {
    const client = await socketClient();
    await client.query("begin");
    await client.query("insert into entry values (1, 'x')");
    await expect(client.query("select 1 / 0")).rejects.toMatchObject({ code: "22012" });
    await expect(client.query("select 1")).rejects.toMatchObject({ code: "25P02" });
    await client.query("rollback");
    expect((await client.query("select count(*)::int as n from entry")).rows).toEqual([{ n: 0 }]);
    await client.end();
  });

  test("an abandoned transaction is rolled back", async () => {
    const client = new pg.Client(url);
    client.on("error", () => {});
    await client.connect();
    await client.query("begin");
    await client.query("insert into entry values (9, 'abandoned')");
    (
      client as unknown as { connection: { stream: { destroy(): void } } }
    ).connection.stream.destroy();
    // Waits for the lock of the abandoned row, and so for its rollback.
    await neonHere()("insert into entry values (9, 'kept')");
    expect(await neonHere()("select note from entry")).toEqual([{ note: "kept" }]);
  });

  test("transactions that read and then write don't lose each other's writes", async () => {
    await neonHere()("insert into entry values (1, '0')");
    const add = async (): Promise<void> => {
      const client = await socketClient();
      await client.query("begin");
      await client.query("select note from entry where id = 1 for update");
      await client.query("update entry set note = note::int + 1 where id = 1");
      await client.query("commit");
      await client.end();
    };
    await Promise.all(Array.from({ length: 10 }, add));
    expect(await neonHere()("select note from entry")).toEqual([{ note: "10" }]);
  });

  test("a parameter and an answer of 20 MB pass by HTTP, by WebSocket and by TCP", async () => {
    const large = "x".repeat(20_000_000);
    const text = "select $1::text as large";
    expect(await neonHere()(text, [large])).toEqual([{ large }]);
    const client = await socketClient();
    expect((await client.query(text, [large])).rows).toEqual([{ large }]);
    await client.end();
    const direct = new pg.Client(url);
    await direct.connect();
    expect((await direct.query(text, [large])).rows).toEqual([{ large }]);
    await direct.end();
  });

  test("one simple query may hold several statements", async () => {
    const client = await socketClient();
    const results: unknown = await client.query("select 1 as a; insert into entry values (1, 'b')");
    expect(results).toMatchObject([{ rows: [{ a: 1 }] }, { command: "INSERT", rowCount: 1 }]);
    await client.end();
  });

  test("a hundred queries at once are all answered", async () => {
    const sql = neonHere();
    const numbers = Array.from({ length: 100 }, (_, number) => number);
    const answers = await Promise.all(
      numbers.map((number) => sql("select $1::int as n", [number])),
    );
    expect(answers.flat()).toEqual(numbers.map((n) => ({ n })));
  });

  test("a query that leaves a transaction open does not hand it to the next caller", async () => {
    await neonHere()("begin");
    await neonHere()("insert into entry values (3, 'committed')");
    const client = await socketClient();
    expect((await client.query("select id from entry")).rows).toEqual([{ id: 3 }]);
    await client.end();
  });

  test("a web page is not let in, and what is no query is told so", async () => {
    const base = `http://${database.neon}`;
    expect(await (await fetch(`${base}/health`)).json()).toEqual({ status: "ok" });
    expect((await fetch(`${base}/elsewhere`)).status).toBe(404);
    const headers = { "neon-connection-string": url, "neon-raw-text-output": "true" };
    const malformed = await fetch(`${base}/sql`, { method: "POST", headers, body: "{" });
    expect(malformed.status).toBe(400);
    expect(await malformed.json()).toMatchObject({ code: "08P01" });
    const upgrade = request(`${base}/v2`, {
      headers: { connection: "upgrade", upgrade: "websocket", origin: "https://page.example" },
    });
    const answered = new Promise<number | undefined>((resolve) =>
      upgrade.once("response", (response) => resolve(response.statusCode)),
    );
    upgrade.end();
    expect(await answered).toBe(404);
  });
});

test("a query whose caller has gone is cancelled in Postgres", async () => {
  const { neon: endpoint } = databases["Postgres"] as Database;
  const watcher = new pg.Client(postgres.url);
  await watcher.connect();
  const gone = new AbortController();
  const asked = fetch(`http://${endpoint}/sql`, {
    method: "POST",
    signal: gone.signal,
    headers: { "neon-connection-string": postgres.url, "neon-raw-text-output": "true" },
    body: JSON.stringify({ query: "select pg_sleep(30)" }),
  }).catch(() => "gone");
  const sleepers = async (): Promise<number> => {
    const { rows } = await watcher.query(
      "select count(*)::int as n from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'",
    );
    return rows[0].n;
  };
  await expect.poll(sleepers).toBe(1);
  gone.abort();
  expect(await asked).toBe("gone");
  await expect.poll(sleepers).toBe(0);
  await watcher.end();
});

test("losing Postgres under it fails queries, and a Postgres that is back answers them", async () => {
  const { neon: endpoint } = databases["Postgres"] as Database;
  const ask = async (): Promise<number> => {
    const answer = await fetch(`http://${endpoint}/sql`, {
      method: "POST",
      headers: { "neon-connection-string": postgres.url, "neon-raw-text-output": "true" },
      body: JSON.stringify({ query: "select 1" }),
    });
    return answer.status;
  };
  expect(await ask()).toBe(200);
  await postgres.kill();
  expect(await ask()).toBe(500);
  await postgres.restart();
  expect(await ask()).toBe(200);
});
