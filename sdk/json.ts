/**
 * Values to JSON, without the silent losses of `JSON.stringify`: what would vanish or become an
 * empty object (a function, a symbol, a Map, a Set) is refused instead.
 */

const encoder = new TextEncoder();

/** A value that JSON can't carry. */
export class NotJsonError extends TypeError {
  override readonly name = "NotJsonError";
}

/** The JSON of `value`; nothing at all is null. `what` names it in a `NotJsonError`. */
export function encodeJson(value: unknown, what: string): string {
  if (value === undefined) return "null";
  try {
    // A `toJSON` that gives nothing makes nothing of the whole.
    return (JSON.stringify(value, refuseLosses) as string | undefined) ?? "null";
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new NotJsonError(`${what} is not JSON: ${why}`, { cause });
  }
}

/** Whether it is a text that Postgres can hold: without U+0000 and halves of characters. */
export function isStorable(text: unknown): text is string {
  return typeof text === "string" && !text.includes("\0") && text.isWellFormed();
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** Whether a text has more bytes than `limitBytes`; measures only when it must. */
export function exceedsBytes(text: string, limitBytes: number): boolean {
  // A UTF-16 unit is one to three bytes of UTF-8.
  if (text.length * 3 <= limitBytes) return false;
  return text.length > limitBytes || byteLength(text) > limitBytes;
}

/** The beginning of a text that fits, at a whole character, with a mark where it was cut. */
export function cutToBytes(text: string, limitBytes: number): string {
  if (!exceedsBytes(text, limitBytes)) return text;
  const mark = "… (cut)";
  // `encodeInto` stops before a character that no longer fits, and says how far it came.
  const room = new Uint8Array(limitBytes - byteLength(mark));
  return text.slice(0, encoder.encodeInto(text, room).read) + mark;
}

function refuseLosses(key: string, value: unknown): unknown {
  const kind = typeof value;
  if (kind === "function" || kind === "symbol")
    throw new NotJsonError(`${place(key)} is a ${kind}`);
  if (value instanceof Map || value instanceof Set) {
    throw new NotJsonError(
      `${place(key)} is a ${value.constructor.name}: make it an object or array`,
    );
  }
  return value;
}

function place(key: string): string {
  return key === "" ? "it" : `"${key}"`;
}
