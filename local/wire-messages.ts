/**
 * The framing of the Postgres wire protocol (version 3): bytes to messages, and messages to bytes.
 * It knows lengths and strings, never what a message means. A message is copied once, when all of
 * it is here, so a 20 MB parameter costs its size and not its square.
 */

export interface WireMessage {
  /** One letter. */
  type: string;
  /** Without type and length. */
  body: Buffer;
}

/** The largest message we take; one parameter may be 64 MB, and a Bind carries several. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
/** The same bound as Postgres has before it knows who is asking. */
const MAX_STARTUP_BYTES = 10_000;

const NUL = Buffer.alloc(1);

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  #chunks: Buffer[] = [];
  #size = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  }

  /** The first packet of a connection has no type: its body, or undefined until all is here. */
  takeStartup(): Buffer | undefined {
    const length = this.#lengthAt(0);
    if (length === undefined) return undefined;
    if (length < 8 || length > MAX_STARTUP_BYTES) {
      throw new Error(`A startup packet of ${length} bytes is not the Postgres protocol.`);
    }
    return this.#take(length)?.subarray(4);
  }

  takeMessage(): WireMessage | undefined {
    const length = this.#lengthAt(1);
    if (length === undefined) return undefined;
    if (length < 4 || length > MAX_MESSAGE_BYTES) {
      throw new Error(`A message of ${length} bytes is not allowed; at most ${MAX_MESSAGE_BYTES}.`);
    }
    const bytes = this.#take(1 + length);
    return bytes && { type: bytes.toString("latin1", 0, 1), body: bytes.subarray(5) };
  }

  #lengthAt(offset: number): number | undefined {
    if (this.#size < offset + 4) return undefined;
    const first = this.#chunks[0];
    if (first === undefined || first.length < offset + 4) this.#join();
    return this.#chunks[0]?.readInt32BE(offset);
  }

  #take(length: number): Buffer | undefined {
    if (this.#size < length) return undefined;
    if ((this.#chunks[0]?.length ?? 0) < length) this.#join();
    const first = this.#chunks[0] ?? Buffer.alloc(0);
    if (first.length === length) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(length);
    this.#size -= length;
    return first.subarray(0, length);
  }

  #join(): void {
    this.#chunks = [Buffer.concat(this.#chunks)];
  }
}

/** The messages of a complete piece of server output. */
export function* readMessages(
  bytes: Buffer,
): Generator<WireMessage & { start: number; end: number }> {
  for (let start = 0; start + 5 <= bytes.length;) {
    const end = start + 1 + bytes.readInt32BE(start + 1);
    const type = String.fromCharCode(bytes[start] ?? 0);
    yield { type, body: bytes.subarray(start + 5, end), start, end };
    start = end;
  }
}

export function wireMessage(type: string, ...parts: Buffer[]): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, "latin1");
  header.writeInt32BE(4 + parts.reduce((size, part) => size + part.length, 0), 1);
  return Buffer.concat([header, ...parts]);
}

export function cString(text: string): Buffer {
  return Buffer.concat([Buffer.from(text), NUL]);
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** The string that starts at `offset`, and where the next field begins. */
export function readCString(body: Buffer, offset: number): { text: string; next: number } {
  const end = body.indexOf(0, offset);
  if (end < 0) throw new Error("A string in a message does not end.");
  return { text: body.toString("utf8", offset, end), next: end + 1 };
}

export function errorResponse(
  severity: "ERROR" | "FATAL",
  code: string,
  message: string,
  hint?: string,
): Buffer {
  const fields = [`S${severity}`, `V${severity}`, `C${code}`, `M${message}`];
  if (hint !== undefined) fields.push(`H${hint}`);
  return wireMessage("E", ...fields.map(cString), NUL);
}
