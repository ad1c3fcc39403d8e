/**
 * The process that hosts the local database: PGlite on disk, or nothing but a pool to the Postgres
 * it was given; in both cases with the Neon protocol in front. Queries of PGlite block the thread
 * they run on, which is why they run here and not in the program that started this.
 */
import { mkdirSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { pgmq } from "@electric-sql/pglite-pgmq";
import pg from "pg";
import { type Opened, serveParent, type Surroundings } from "./child-side.ts";
import { lockDirectory } from "./directory-lock.ts";
import { keptSecret } from "./kept-secret.ts";
import { startNeonProtocol } from "./neon-protocol.ts";
import { type CancelQuery, RAW_TEXT } from "./neon-sql.ts";
import type { Login } from "./pglite-connection.ts";
import { PgliteWire } from "./pglite-wire.ts";

/** From `database.ts`; ports are 0 for any free one. */
export interface DatabaseChildOptions {
  directory: string;
  databaseUrl: string | undefined;
  neonPort: number;
  postgresPort: number;
}

export interface DatabaseChildReady {
  neonPort: number;
  databaseUrl: string;
}

const MAX_CONNECTIONS = 16;

serveParent<DatabaseChildOptions, DatabaseChildReady>((options, surroundings) =>
  options.databaseUrl === undefined
    ? openPglite(options, surroundings)
    : openPostgres(options, options.databaseUrl, surroundings),
);

async function openPglite(
  { directory, neonPort, postgresPort }: DatabaseChildOptions,
  { fail }: Surroundings,
): Promise<Opened<DatabaseChildReady>> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const lock = await lockDirectory(directory);
  const login: Login = {
    user: "skein",
    password: keptSecret(join(directory, "password")),
    database: "postgres",
  };
  const database = await PGlite.create({
    dataDir: join(directory, "pglite"),
    extensions: { pgmq },
  });
  const wire = await PgliteWire.open(database, login, fail);
  const server = await wire.listen(postgresPort);
  const pool = new pg.Pool({
    user: login.user,
    database: login.database,
    stream: () => wire.connect({ isTrusted: true }),
    max: MAX_CONNECTIONS,
    types: RAW_TEXT,
  });
  watchPool(pool);
  const openWire = (): ReturnType<PgliteWire["connect"]> => wire.connect();
  const neon = await startNeonProtocol({ login, pool, openWire, port: neonPort });
  const { port } = server.address() as AddressInfo;
  const databaseUrl = `postgres://${login.user}:${login.password}@127.0.0.1:${port}/${login.database}`;
  return {
    ready: { neonPort: neon.port, databaseUrl },
    async close() {
      server.close();
      await neon.close();
      wire.close();
      await pool.end();
      await database.close();
      lock.release();
    },
  };
}

async function openPostgres(
  { neonPort }: DatabaseChildOptions,
  databaseUrl: string,
  { log }: Surroundings,
): Promise<Opened<DatabaseChildReady>> {
  const config = { connectionString: databaseUrl, connectionTimeoutMillis: 10_000 };
  const client = new pg.Client(config);
  client.on("error", (error) => log(`postgres: ${error.message}`));
  try {
    await client.connect();
  } catch (error) {
    const where = `${client.host}:${client.port}`;
    throw new Error(
      `Postgres at ${where} (DATABASE_URL) does not let us in: ${String(error)}. ` +
        "Is it running, and are user and password right?",
      { cause: error },
    );
  }
  const { host, port, user = "postgres", database = user } = client;
  const login: Login = { user, password: String(client.password ?? ""), database };
  await client.end();

  const pool = new pg.Pool({ ...config, max: MAX_CONNECTIONS, types: RAW_TEXT });
  watchPool(pool, log);
  const cancel: CancelQuery = async (waiting) => {
    const { processID } = waiting as unknown as { processID: number };
    const canceller = new pg.Client(config);
    canceller.on("error", () => {});
    await canceller.connect();
    await canceller
      .query("select pg_cancel_backend($1)", [processID])
      .finally(() => void canceller.end());
  };
  const openWire = (): ReturnType<typeof connect> =>
    host.startsWith("/")
      ? connect(join(host, `.s.PGSQL.${port}`))
      : connect({ host, port, noDelay: true });
  const neon = await startNeonProtocol({ login, pool, openWire, port: neonPort, cancel });
  return {
    ready: { neonPort: neon.port, databaseUrl },
    async close() {
      await neon.close();
      await pool.end();
    },
  };
}

/** A connection that breaks is replaced by the next query; unheard, its error would end us. */
function watchPool(pool: pg.Pool, log: (line: string) => void = () => {}): void {
  pool.on("error", (error) => log(`postgres: ${error.message}`));
  pool.on("connect", (client) => client.on("error", () => {}));
}
