/**
 * Ids. Every id is a UUIDv7, so it carries the millisecond it was made in and sorts by it. A run's id
 * ends in four zero digits; its tasks' ids are the same with the step's number + 1 there. So a task's
 * run is known from its id, and all rows of a run stand together and are dropped together.
 */

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const POOL_BYTES = 4096; // one call for random bytes serves several hundred ids
const pool = new Uint8Array(POOL_BYTES);
let poolUsed = POOL_BYTES;
let lastMs = 0;
let sequence = 0;

/** A new UUIDv7, greater than every one made before in this isolate. */
export function newId(now: number = Date.now()): string {
  return prefixAt(now) + randomHex(6);
}

/** A new run's id: a UUIDv7 with room for 65,535 steps. */
export function newRunId(now: number = Date.now()): string {
  return `${prefixAt(now) + randomHex(4)}0000`;
}

/** The id of the task of step number `step` (from 0) in a run. */
export function taskId(runId: string, step: number): string {
  return runId.slice(0, 32) + (step + 1).toString(16).padStart(4, "0");
}

export function runIdOf(id: string): string {
  return `${id.slice(0, 32)}0000`;
}

/** The last possible id of a run's tasks. */
export function lastTaskId(runId: string): string {
  return `${runId.slice(0, 32)}ffff`;
}

/** When an id was made, in milliseconds since 1970. */
export function timeOfId(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** The smallest id of a moment, to compare ids by time. */
export function firstIdAt(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export function isId(text: string): boolean {
  return UUID.test(text);
}

export function isRunId(text: string): boolean {
  return isId(text) && text.endsWith("0000");
}

/** Time, version, a count within the millisecond, variant: the first 24 characters of an id. */
function prefixAt(now: number): string {
  if (now > lastMs) {
    lastMs = now;
    sequence = 0;
  } else if (++sequence > 0xfff) {
    lastMs++;
    sequence = 0;
  }
  const time = lastMs.toString(16).padStart(12, "0");
  const count = (0x7000 | sequence).toString(16);
  const [first, second] = [randomByte(), randomByte()];
  return `${time.slice(0, 8)}-${time.slice(8)}-${count}-${HEX[(first & 0x3f) | 0x80]}${HEX[second]}-`;
}

function randomHex(bytes: number): string {
  let hex = "";
  for (let index = 0; index < bytes; index++) hex += HEX[randomByte()];
  return hex;
}

function randomByte(): number {
  if (poolUsed === POOL_BYTES) {
    crypto.getRandomValues(pool);
    poolUsed = 0;
  }
  return pool[poolUsed++] ?? 0;
}
