/**
 * Cuts many items into pieces that the other side accepts: by count and by bytes. The order of the
 * items is the order of the pieces.
 */
import { MAX_BODY_BYTES, MAX_BULK } from "../protocol/limits.ts";
import { byteLength } from "./json.ts";

/** Bytes a piece's own brackets and names need, generously. */
const ENVELOPE_BYTES = 256;

/** Pieces of at most so many items and bytes of their JSON. */
export function* pieces<Item>(
  items: readonly Item[],
  jsonOf: (item: Item) => string,
  maximum: { count: number; bytes: number },
): Generator<Item[]> {
  let piece: Item[] = [];
  let pieceBytes = ENVELOPE_BYTES;
  for (const item of items) {
    const itemBytes = byteLength(jsonOf(item)) + 1;
    const isFull = piece.length === maximum.count || pieceBytes + itemBytes > maximum.bytes;
    if (isFull && piece.length > 0) {
      yield piece;
      piece = [];
      pieceBytes = ENVELOPE_BYTES;
    }
    piece.push(item);
    pieceBytes += itemBytes;
  }
  if (piece.length > 0) yield piece;
}

/** Bodies `{"<name>":[…]}` of bulk calls, out of items that are already JSON. */
export function* bulkCalls(
  name: "runs" | "events" | "filters" | "schedules" | "ids",
  items: readonly string[],
): Generator<string> {
  const maximum = { count: MAX_BULK, bytes: MAX_BODY_BYTES };
  for (const piece of pieces(items, (item) => item, maximum)) {
    yield `{"${name}":[${piece.join(",")}]}`;
  }
}
