/**
 * One logical connection to a PGlite session: a Duplex that speaks the Postgres wire protocol, as a
 * server does (SSL refused, login, statements, COPY, Terminate). It gives the session whole units,
 * and leaves nothing behind when its client goes: no transaction, no prepared statement, no setting.
 */
import { timingSafeEqual } from "node:crypto";
import { Duplex } from "node:stream";
import type { PgliteSession, UnitOutput } from "./pglite-session.ts";
import { ConnectionNames } from "./pglite-names.ts";
import {
  cString,
  errorResponse,
  int32,
  MessageReader,
  readCString,
  readMessages,
  type WireMessage,
  wireMessage,
} from "./wire-messages.ts";

export interface Login {
  user: string;
  password: string;
  database: string;
}

export interface ConnectionOptions {
  session: PgliteSession;
  number: number;
  login: Login;
  /** Only for connections made inside this program: the password is not asked for. */
  isTrusted: boolean;
  onNotifications(notifications: Buffer[]): void;
}

const PROTOCOL_3_0 = 0x0003_0000;
const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;

/** Statements on their way into a COPY: held in memory until the last row is here. */
const MAX_COPY_BYTES = 256 * 1024 * 1024;
const COPY_IN = /(?:^|;)(?:\s|--[^\n]*\n|\/\*[^]*?\*\/)*copy\b[^;]*\bfrom\s+stdin\b/i;
/** Ends a COPY that was not foreseen; without it PGlite waits for input it can't get, and exits. */
const COPY_GUARD = wireMessage(
  "f",
  cString("this COPY is not understood by the local PGlite server"),
);
const SYNC = wireMessage("S");

export class PgliteConnection extends Duplex {
  #options: ConnectionOptions;
  #session: PgliteSession;
  #names: ConnectionNames;
  #reader = new MessageReader();
  #phase: "startup" | "password" | "ready" | "ended" = "startup";
  #startup = new Map<string, string>();
  #unit: Buffer[] = [];
  #isSkippingToSync = false;
  #copy: { messages: Buffer[]; size: number } | undefined;
  #running: Promise<unknown> = Promise.resolve();
  #changedSettings = false;
  #isListening = false;

  constructor(options: ConnectionOptions) {
    super();
    this.#options = options;
    this.#session = options.session;
    this.#names = new ConnectionNames(options.number);
  }

  get isListening(): boolean {
    return this.#isListening && this.#phase === "ready";
  }

  // What node-postgres expects of a socket beyond a Duplex.
  connect(): this {
    queueMicrotask(() => this.emit("connect"));
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }

  override _read(): void {}

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#reader.push(chunk);
    this.#takeMessages().then(
      () => done(),
      (error: unknown) => {
        this.#end(errorResponse("FATAL", "08P01", String(error)));
        done();
      },
    );
  }

  override _final(done: () => void): void {
    this.#end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#phase = "ended";
    this.#session.stopWaiting(this);
    // A broken session reports itself; there is nothing left to tidy up in it.
    this.#running.then(() => this.#tidyUp()).catch(() => {});
    done(error);
  }

  async #takeMessages(): Promise<void> {
    while (this.#phase !== "ended") {
      if (this.#phase === "startup") {
        const packet = this.#reader.takeStartup();
        if (packet === undefined) return;
        this.#receiveStartup(packet);
        continue;
      }
      const message = this.#reader.takeMessage();
      if (message === undefined) return;
      if (this.#phase === "password") this.#receivePassword(message);
      else await this.#receive(message);
    }
  }

  #receiveStartup(packet: Buffer): void {
    const version = packet.readInt32BE(0);
    if (version === SSL_REQUEST || version === GSS_REQUEST) {
      this.push("N");
      return;
    }
    // PGlite can't be interrupted: a request to cancel is heard and closed, as Postgres does.
    if (version === CANCEL_REQUEST) return this.#end();
    if (version >>> 16 !== 3) {
      return this.#end(
        errorResponse("FATAL", "0A000", "Only version 3 of the protocol is spoken here."),
      );
    }
    for (let offset = 4; offset < packet.length && packet[offset] !== 0;) {
      const name = readCString(packet, offset);
      const value = readCString(packet, name.next);
      this.#startup.set(name.text, value.text);
      offset = value.next;
    }
    if (version !== PROTOCOL_3_0) this.push(wireMessage("v", int32(PROTOCOL_3_0), int32(0)));
    if (this.#options.isTrusted) return this.#welcome();
    this.#phase = "password";
    this.push(wireMessage("R", int32(3)));
  }

  #receivePassword({ type, body }: WireMessage): void {
    const { login } = this.#options;
    const user = this.#startup.get("user") ?? "";
    if (type !== "p") return this.#end(errorResponse("FATAL", "08P01", "A password was expected."));
    const isRight = user === login.user && isSame(readCString(body, 0).text, login.password);
    if (!isRight) {
      const text = `password authentication failed for user "${user}"`;
      return this.#end(errorResponse("FATAL", "28P01", text));
    }
    const database = this.#startup.get("database") ?? user;
    if (database !== login.database) {
      const text = `database "${database}" does not exist`;
      const hint = `The only database of the local PGlite server is "${login.database}".`;
      return this.#end(errorResponse("FATAL", "3D000", text, hint));
    }
    this.#welcome();
  }

  #welcome(): void {
    this.#phase = "ready";
    const settings = [...this.#session.settings].map(([name, value]) =>
      wireMessage("S", cString(name), cString(value)),
    );
    const key = wireMessage("K", int32(this.#options.number), int32(0));
    const ready = wireMessage("Z", Buffer.from("I"));
    this.push(Buffer.concat([wireMessage("R", int32(0)), ...settings, key, ready]));
  }

  async #receive(message: WireMessage): Promise<void> {
    const { type, body } = message;
    if (type === "X") return this.#end();
    if (type === "p") return; // The password a driver sends ahead of being asked.
    if (this.#copy !== undefined) return this.#receiveCopy(this.#copy, message);
    if (type === "d" || type === "c" || type === "f") return; // Late rows of a COPY that has failed.
    if (!"PBDECSHQ".includes(type)) {
      const text = `The local PGlite server does not know messages of type "${type}".`;
      return this.#end(errorResponse("FATAL", "08P01", text));
    }
    if (this.#isSkippingToSync && type !== "S") return;
    if (type === "Q") return this.#receiveQuery(body);
    if (type === "P" && this.#refusesParse(body)) return;
    this.#unit.push(this.#names.rename(type, body));
    if (type === "S") this.#isSkippingToSync = false;
    if (type === "S" || type === "H") await this.#runUnit();
  }

  async #receiveQuery(body: Buffer): Promise<void> {
    const query = wireMessage("Q", body);
    if (COPY_IN.test(readCString(body, 0).text)) {
      this.#copy = { messages: [query], size: 0 };
      this.push(wireMessage("G", Buffer.from([0, 0, 0])));
      return;
    }
    this.#unit.push(query, COPY_GUARD);
    await this.#runUnit();
  }

  #refusesParse(body: Buffer): boolean {
    const text = readCString(body, readCString(body, 0).next).text;
    if (!COPY_IN.test(text)) return false;
    const hint = "Send it as a simple query, without parameters.";
    this.push(
      errorResponse("ERROR", "0A000", "COPY FROM STDIN can't be prepared on PGlite.", hint),
    );
    this.#isSkippingToSync = true;
    return true;
  }

  /** PGlite can't stop in the middle of a COPY for more rows: it gets the statement with all of them. */
  async #receiveCopy(
    copy: { messages: Buffer[]; size: number },
    message: WireMessage,
  ): Promise<void> {
    const { type, body } = message;
    if (type === "S" || type === "H") return;
    copy.size += body.length;
    if (copy.size > MAX_COPY_BYTES) {
      throw new Error(`A COPY of more than ${MAX_COPY_BYTES} bytes; send it in parts.`);
    }
    copy.messages.push(wireMessage(type, body));
    if (type === "d") return;
    this.#copy = undefined;
    this.#unit = copy.messages;
    await this.#runUnit((bytes) => withoutType(bytes, "G"));
  }

  async #runUnit(present: (bytes: Buffer) => Buffer = (bytes) => bytes): Promise<void> {
    const unit = Buffer.concat(this.#unit);
    this.#unit = [];
    const running = this.#session.run(this, unit);
    this.#running = running.catch(() => {});
    let output: UnitOutput;
    try {
      output = await running;
    } catch (error) {
      return this.#end(errorResponse("FATAL", "57P02", String(error)));
    }
    this.#noteTags(output.tags);
    if (this.#phase === "ready") this.push(present(output.bytes));
    if (output.notifications.length > 0) this.#options.onNotifications(output.notifications);
  }

  #noteTags(tags: string[]): void {
    if (tags.includes("SET")) this.#changedSettings = true;
    if (tags.includes("LISTEN")) this.#isListening = true;
    if (tags.includes("UNLISTEN")) this.#isListening = false;
  }

  async #tidyUp(): Promise<void> {
    const farewell: Buffer[] = [];
    if (this.#session.holdsTurn(this)) farewell.push(SYNC, wireMessage("Q", cString("ROLLBACK")));
    const statements = this.#names.closeStatements();
    if (statements.length > 0) farewell.push(...statements, SYNC);
    if (this.#changedSettings) farewell.push(wireMessage("Q", cString("RESET ALL")));
    if (farewell.length > 0) await this.#session.run(this, Buffer.concat(farewell));
  }

  #end(last?: Buffer): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    if (last !== undefined) this.push(last);
    this.push(null);
    this.once("end", () => this.destroy());
    // Without a reader the end would never come, and the session would not be tidied up.
    if (this.readableFlowing === null) this.resume();
  }
}

function isSame(given: string, expected: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(expected)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function withoutType(bytes: Buffer, unwanted: string): Buffer {
  const kept = [...readMessages(bytes)].filter(({ type }) => type !== unwanted);
  return Buffer.concat(kept.map(({ start, end }) => bytes.subarray(start, end)));
}
