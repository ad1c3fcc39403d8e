/**
 * Cuts many items into calls that the API accepts: by count and by bytes. The order of the items
 * is the order of the calls.
 */
import { MAX_BODY_BYTES, MAX_BULK } from "../protocol/limits.ts";
import { byteLength } from "./json.ts";

/** Bytes a call's own brackets and name need, generously. */
const ENVELOPE_BYTES = 64;

/** Bodies `{"<name>":[…]}` of the calls, out of items that are already JSON. */
export function* bulkCalls(name: "runs" | "events", items: readonly string[]): Generator<string> {
  let call: string[] = [];
  let callBytes = ENVELOPE_BYTES;
  for (const item of items) {
    const itemBytes = byteLength(item) + 1;
    const isFull = call.length === MAX_BULK || callBytes + itemBytes > MAX_BODY_BYTES;
    if (isFull && call.length > 0) {
      yield `{"${name}":[${call.join(",")}]}`;
      call = [];
      callBytes = ENVELOPE_BYTES;
    }
    call.push(item);
    callBytes += itemBytes;
  }
  if (call.length > 0) yield `{"${name}":[${call.join(",")}]}`;
}
