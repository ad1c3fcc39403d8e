/**
 * The Postgres wire protocol over one PGlite database: as many connections as are asked for, each a
 * Duplex to give to a socket, a WebSocket or node-postgres (`stream`). PGlite has one session, so
 * they take turns; what needs two sessions at once (lock waits, parallel writers) can't be seen here.
 */
import type { PGlite } from "@electric-sql/pglite";
import { createServer, type Server } from "node:net";
import { type Login, PgliteConnection } from "./pglite-connection.ts";
import { PgliteSession } from "./pglite-session.ts";

export class PgliteWire {
  #session: PgliteSession;
  #login: Login;
  #made = 0;
  #connections = new Set<PgliteConnection>();

  private constructor(session: PgliteSession, login: Login) {
    this.#session = session;
    this.#login = login;
  }

  static async open(
    database: PGlite,
    login: Login,
    onBroken?: (error: Error) => void,
  ): Promise<PgliteWire> {
    return new PgliteWire(await PgliteSession.open(database, onBroken), login);
  }

  /** A new connection; `isTrusted` skips the password, for this program's own use. */
  connect({ isTrusted = false }: { isTrusted?: boolean } = {}): PgliteConnection {
    const connection = new PgliteConnection({
      session: this.#session,
      number: ++this.#made,
      login: this.#login,
      isTrusted,
      onNotifications: (notifications) => this.#notify(notifications),
    });
    this.#connections.add(connection);
    connection.once("close", () => this.#connections.delete(connection));
    return connection;
  }

  /** Accepts TCP connections on 127.0.0.1. */
  async listen(port: number): Promise<Server> {
    const server = createServer({ noDelay: true }, (socket) => {
      const connection = this.connect();
      socket.on("error", () => connection.destroy());
      socket.on("close", () => connection.destroy());
      connection.on("error", () => socket.destroy());
      socket.pipe(connection).pipe(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    return server;
  }

  /** Ends every connection. */
  close(): void {
    this.#session.close();
    for (const connection of this.#connections) connection.destroy();
  }

  #notify(notifications: Buffer[]): void {
    for (const connection of this.#connections) {
      if (connection.isListening) for (const bytes of notifications) connection.push(bytes);
    }
  }
}
