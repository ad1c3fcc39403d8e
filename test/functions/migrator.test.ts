/**
 * The migrator: safe to run again and at the same time, all or nothing for the functions, and clear
 * about what to do when it can't. What it makes is what `schema.ts` says.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { is } from "drizzle-orm";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import * as schema from "../../database/schema.ts";
import { type Postgres, startPostgres } from "../../local/postgres.ts";
import { cString, int32, wireMessage } from "../../local/wire-messages.ts";
import { migrate } from "../../migrations/migrate.ts";
import { pgmqInstallation } from "../../migrations/pgmq.ts";
import { ask, freshDatabase } from "./fresh-database.ts";
import { postgres } from "./support.ts";

const MIGRATIONS = resolve(import.meta.dirname, "../../migrations");
const copies: string[] = [];
afterEach(() => {
  for (const copy of copies.splice(0)) rmSync(copy, { recursive: true, force: true });
});

/** Everything the migrator makes, with the transaction that made it last. */
const PICTURE = `
  select c.relname as name, c.xmin::text from pg_class c where c.relnamespace = 'v1'::regnamespace and relkind in ('r', 'p')
  union all select p.proname, p.xmin::text from pg_proc p where p.pronamespace = 'v1'::regnamespace
  union all select a.name, a.xmin::text || a.checksum from v1.applied_function a
  union all select m.hash, m.xmin::text from v1.migration m order by 1, 2`;

describe.each(inject("databases"))("the migrator on $name", (database) => {
  let url: string;
  beforeAll(async () => {
    url = await freshDatabase(database);
    await migrate({ databaseUrl: url });
  });

  async function migrateAndLog(databaseUrl: string): Promise<string[]> {
    const lines: string[] = [];
    await migrate({ databaseUrl, log: (line) => lines.push(line) });
    return lines;
  }

  test("does nothing the second time", async () => {
    const before = await ask(url, PICTURE);
    expect(await migrateAndLog(url)).toEqual(["functions changed: 0", "partitions made: 0"]);
    expect(await ask(url, PICTURE)).toEqual(before);
  });

  test("applies a function again whose source has changed, and no other", async () => {
    await ask(
      url,
      "create or replace function v1.run_id(p_task_id uuid) returns uuid language sql as 'select null::uuid'",
    );
    await ask(url, "update v1.applied_function set checksum = 'older' where name = 'run_id.sql'");
    expect(await migrateAndLog(url)).toContain("functions changed: 1");
    const [row] = await ask(
      url,
      "select v1.run_id('01a20000-0000-7000-8000-000000000005')::text as run",
    );
    expect(row).toEqual({ run: "01a20000-0000-7000-8000-000000000000" });
  });

  test("keeps every old function when one fails", async () => {
    const copy = copyMigrations();
    appendFileSync(join(copy, "functions/backlog_actions.sql"), "-- changed\n");
    appendFileSync(join(copy, "functions/take_ready.sql"), "create function v1.broken( oh no;\n");
    const before = await ask(url, PICTURE);
    const { code, output } = await runMigrator(copy, url);
    expect({ code, output }).toMatchObject({
      code: 1,
      output: expect.stringContaining("syntax error"),
    });
    expect(await ask(url, PICTURE)).toEqual(before);
  });

  test("has installed pgmq, and its queues work", async () => {
    const queues = await ask(url, "select queue_name as queue from pgmq.meta order by 1");
    expect(queues).toEqual([{ queue: "commands" }, { queue: "dead" }, { queue: "events" }]);
    await ask(url, `select pgmq.send('commands', '{"n": 1}')`);
    const read = await ask(url, "select message from pgmq.read('commands', 30, 5)");
    expect(read).toEqual([{ message: { n: 1 } }]);
    expect(pgmqInstallation().version).toMatch(/^\d+\.\d+/);
  });

  test("makes the tables that schema.ts reads", async () => {
    const columns = await ask<{ name: string; type: string; nullable: boolean }>(
      url,
      `select format('%s.%s', c.relname, a.attname) as name, format_type(a.atttypid, a.atttypmod) as type,
              not a.attnotnull as nullable
         from pg_attribute a join pg_class c on c.oid = a.attrelid
         where c.relnamespace = 'v1'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
           and a.attnum > 0 and not a.attisdropped`,
    );
    const made = new Map(columns.map(({ name, type, nullable }) => [name, { type, nullable }]));
    const tables = Object.values(schema).filter((value) => is(value, PgTable));
    expect(tables.length).toBeGreaterThan(7);
    for (const table of tables) {
      const { name, schema: namespace, columns } = getTableConfig(table);
      expect(namespace).toBe("v1");
      for (const column of columns) {
        const found = made.get(`${name}.${column.name}`);
        const named = { type: column.getSQLType().replace(/^v1\./, ""), nullable: !column.notNull };
        expect({ column: column.name, ...found, type: found?.type.replace(/^v1\./, "") }).toEqual({
          column: column.name,
          ...named,
        });
      }
    }
  });

  test("makes the primary keys that schema.ts names", async () => {
    const keys = await ask<{ name: string; columns: string[] }>(
      url,
      `select c.relname as name, array_agg(a.attname::text order by array_position(i.indkey::int2[], a.attnum)) as columns
         from pg_index i join pg_class c on c.oid = i.indrelid
         join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
         where i.indisprimary and c.relnamespace = 'v1'::regnamespace group by c.relname`,
    );
    const made = new Map(keys.map(({ name, columns }) => [name, columns]));
    for (const table of Object.values(schema).filter((value) => is(value, PgTable))) {
      const { name, columns, primaryKeys } = getTableConfig(table);
      const single = columns.filter(({ primary }) => primary).map((column) => column.name);
      const several = primaryKeys.flatMap((key) => key.columns.map((column) => column.name));
      expect(made.get(name)).toEqual([...single, ...several]);
    }
  });
});

describe("the migrator", () => {
  test("refuses Neon's pooled address, and says which to use", async () => {
    const databaseUrl =
      "postgres://me:secret@ep-cool-name-123-pooler.eu-central-1.aws.neon.tech/db";
    const refusal = expect(migrate({ databaseUrl })).rejects;
    await refusal.toThrow(/pooled address.*direct one.*without "-pooler"/);
    await expect(migrate({ databaseUrl })).rejects.not.toThrow(/secret/);
  });

  test("refuses a Postgres that is too old, and says which it needs", async () => {
    const server = await oldPostgres();
    await expect(migrate({ databaseUrl: server.url })).rejects.toThrow(
      "Skein needs Postgres 15 or newer; this is 140012.",
    );
    expect(server.asked).toEqual(["show server_version_num"]);
    server.close();
  });

  test("says how to use it when it is started without an address", async () => {
    const { code, output } = await runMigrator(MIGRATIONS, undefined);
    expect(code).toBe(2);
    expect(output).toContain("Usage: DATABASE_URL=");
  });
});

describe.runIf(postgres)("the migrator on a shared server", () => {
  test("run three times at once migrates an empty database once", async () => {
    const databaseUrl = await freshDatabase(postgres ?? inject("main"));
    const logs: string[][] = [[], [], []];
    await Promise.all(
      logs.map((lines) => migrate({ databaseUrl, log: (line) => lines.push(line) })),
    );
    const changed = logs.map((lines) => lines.find((line) => line.startsWith("functions changed")));
    expect(changed.filter((line) => line !== "functions changed: 0")).toHaveLength(1);
    const [row] = await ask(databaseUrl, "select count(*)::integer as tables from v1.migration");
    const journal = readFileSync(join(MIGRATIONS, "tables/meta/_journal.json"), "utf8");
    const { entries } = JSON.parse(journal) as { entries: unknown[] };
    expect(row).toEqual({ tables: entries.length });
  });

  test("needs no superuser, only the owner of the database", async () => {
    const databaseUrl = await freshDatabase(postgres ?? inject("main"));
    const { pathname } = new URL(databaseUrl);
    const name = pathname.slice(1);
    const owner = `owner_${name.slice(6)}`;
    await ask(databaseUrl, `create role ${owner} login password 'plain' nosuperuser`);
    afterAll(async () => {
      await ask(databaseUrl, `reassign owned by ${owner} to current_user`);
      await ask(databaseUrl, `drop owned by ${owner}`);
      await ask(databaseUrl, `drop role ${owner}`);
    });
    await ask(databaseUrl, `alter database ${name} owner to ${owner}`);
    const asOwner = Object.assign(new URL(databaseUrl), {
      username: owner,
      password: "plain",
    }).href;
    await migrate({ databaseUrl: asOwner });
    const [row] = await ask(
      asOwner,
      "select rolsuper as super, v1.busy_shards() as busy from pg_roles where rolname = current_user",
    );
    expect(row).toEqual({ super: false, busy: [] });
  });
});

describe.runIf(postgres)("the migrator on a server without the application's role", () => {
  let server: Postgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.stop());

  test("goes on when it may not make the role, and says what to do", async () => {
    await ask(server.url, "create role plain login password 'plain'");
    await ask(server.url, "create database plain owner plain");
    const login = { username: "plain", password: "plain", pathname: "/plain" };
    const databaseUrl = Object.assign(new URL(server.url), login).href;
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    await migrate({ databaseUrl, log });
    const advice =
      /skein_application: not here, .* "create role skein_application nologin", and migrate again/;
    expect(lines).toContainEqual(expect.stringMatching(advice));

    await ask(server.url, "create role skein_application nologin");
    await migrate({ databaseUrl, log });
    expect(lines).toContain("role skein_application: granted");
    await ask(server.url, "drop owned by skein_application");
    await ask(server.url, "drop database plain");
    await ask(server.url, "drop role skein_application");
  });

  test("makes the role once, though several of its databases are migrated at once", async () => {
    const names = ["one", "two", "three", "four"];
    for (const name of names) await ask(server.url, `create database ${name}`);
    const logs = await Promise.all(
      names.map(async (name) => {
        const lines: string[] = [];
        const databaseUrl = Object.assign(new URL(server.url), { pathname: `/${name}` }).href;
        await migrate({ databaseUrl, log: (line) => lines.push(line) });
        return lines;
      }),
    );
    for (const lines of logs) expect(lines).toContain("role skein_application: granted");
  });
});

/** The migrator and its folders, to be changed; it finds its packages where the original does. */
function copyMigrations(): string {
  const root = mkdtempSync(join(tmpdir(), "skein-functions-"));
  copies.push(root);
  cpSync(MIGRATIONS, join(root, "migrations"), { recursive: true });
  symlinkSync(resolve(MIGRATIONS, "../node_modules"), join(root, "node_modules"));
  return join(root, "migrations");
}

/** The command, as `npm run migrate` starts it. */
async function runMigrator(
  directory: string,
  databaseUrl: string | undefined,
): Promise<{ code: unknown; output: string }> {
  const { DATABASE_URL: _unset, ...env } = process.env;
  const child = spawn(process.execPath, [join(directory, "migrate.ts")], {
    env: { ...env, ...(databaseUrl !== undefined && { DATABASE_URL: databaseUrl }) },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 20_000,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => (output += String(text)));
  const [code] = await once(child, "close");
  return { code, output };
}

/** The other end of a connection: it lets everybody in, and says it is Postgres 14. */
async function oldPostgres(): Promise<{ url: string; asked: string[]; close(): void }> {
  const asked: string[] = [];
  const idle = wireMessage("Z", Buffer.from("I"));
  const server = createServer((socket) => {
    socket.once("data", () => {
      socket.write(Buffer.concat([wireMessage("R", int32(0)), idle]));
      socket.on("data", (message: Buffer) => {
        if (message[0] !== "Q".charCodeAt(0)) return;
        asked.push(message.toString("utf8", 5, message.length - 1));
        const [one, text] = [Buffer.from([0, 1]), Buffer.from("140012")];
        const type = [
          int32(0),
          Buffer.from([0, 0]),
          int32(25),
          Buffer.from([0xff, 0xff]),
          int32(-1),
        ];
        socket.write(
          Buffer.concat([
            wireMessage("T", one, cString("server_version_num"), ...type, Buffer.from([0, 0])),
            wireMessage("D", one, int32(text.length), text),
            wireMessage("C", cString("SHOW")),
            idle,
          ]),
        );
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { url: `postgres://me:pw@127.0.0.1:${port}/db`, asked, close: () => server.close() };
}
