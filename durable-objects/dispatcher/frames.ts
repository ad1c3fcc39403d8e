/**
 * Reads a worker's message: JSON of the protocol's shape, or an error that names what is wrong.
 * Pure. The shapes are those of `protocol/session.ts`, and are held to them by the compiler.
 */
import { z } from "zod";
import type { SessionErrorCode } from "../../protocol/errors.ts";
import { TASK_ERROR_CODES } from "../../protocol/errors.ts";
import { isId } from "../../protocol/ids.ts";
import type { Json } from "../../protocol/json.ts";
import { shardList, type ShardMap } from "../../protocol/shard-map.ts";
import {
  MAX_BACKOFF_MS,
  MAX_DELAY_MS,
  MAX_ERROR_BYTES,
  MAX_IDEMPOTENCY_KEY_LENGTH,
  MAX_LABELS,
  MAX_LIMIT_NAME_LENGTH,
  MAX_LOG_LINES,
  MAX_MESSAGE_BYTES,
  MAX_METADATA_BYTES,
  MAX_NAME_LENGTH,
  MAX_RATE_PAUSE_MS,
  MAX_RATE_UNITS,
  MAX_SESSION_ACTIONS,
  MAX_SESSION_SLOTS,
  MAX_SPAWN,
  MAX_TIMEOUT_MS,
} from "../../protocol/limits.ts";
import {
  MAX_HEARTBEAT_LIMIT_MS,
  MAX_RESUME_GRACE_MS,
  MIN_HEARTBEAT_LIMIT_MS,
  PROTOCOL_VERSION,
  type WorkerFrame,
} from "../../protocol/session.ts";
import type { ShardsFrame } from "../../protocol/slot-frames.ts";

/** What Postgres' `integer`, its times and its text can hold: beyond it a commit is refused. */
const MAX_INTEGER = 2 ** 31 - 1;
const MAX_MOMENT = 8.64e15; // the last that a Date knows, too

const UNSTORABLE = "has characters that can't be stored";

const id = z.string().refine(isId, "is not an id");
const attempt = z.int().positive().max(MAX_INTEGER);
const ref = { task: id, attempt };
const name = z.string().min(1).max(MAX_NAME_LENGTH).refine(isStorable, UNSTORABLE);
const moment = z.number().nonnegative().max(MAX_MOMENT);
const json = z.custom<Json>((value) => value !== undefined, "is missing");

const error = z.strictObject({
  code: z.enum(TASK_ERROR_CODES),
  name: z.string().max(MAX_NAME_LENGTH),
  message: z.string().max(MAX_ERROR_BYTES),
  stack: z.string().max(MAX_ERROR_BYTES).exactOptional(),
  retryAfterMs: z.number().nonnegative().max(MAX_BACKOFF_MS).exactOptional(),
  isRetryable: z.literal(false).exactOptional(),
});

const metadata = z
  .record(z.string().min(1).max(MAX_NAME_LENGTH).refine(isStorable), z.string().refine(isStorable))
  .refine((labels) => JSON.stringify(labels).length <= MAX_METADATA_BYTES, "is too large");

const child = z
  .strictObject({
    key: z.string().min(1).max(MAX_IDEMPOTENCY_KEY_LENGTH).refine(isStorable, UNSTORABLE),
    workflow: name,
    input: json,
    metadata,
    isDetached: z.boolean().exactOptional(),
    delayMs: z.int().nonnegative().max(MAX_DELAY_MS).exactOptional(),
    startAt: moment.exactOptional(),
  })
  .refine(({ delayMs, startAt }) => delayMs === undefined || startAt === undefined, {
    path: ["startAt"],
    message: "can't be given together with delayMs",
  });

const logLine = z.strictObject({
  level: z.enum(["debug", "info", "warn", "error"]),
  message: z.string(),
  fields: z.record(z.string(), json).exactOptional(),
  at: moment,
});

const labels = z
  .record(
    name,
    z.union([z.string().max(MAX_NAME_LENGTH).refine(isStorable, UNSTORABLE), z.number()]),
  )
  .refine((given) => Object.keys(given).length <= MAX_LABELS, `has more than ${MAX_LABELS} labels`);

const reported = { ...ref, shard: z.int().nonnegative(), startedAt: moment, finishedAt: moment };

const FRAMES = {
  hello: z.strictObject({
    type: z.literal("hello"),
    worker: name,
    sdk: name,
    slots: z.int().nonnegative().max(MAX_SESSION_SLOTS),
    of: z.int().positive().max(MAX_SESSION_SLOTS).exactOptional(),
    actions: z.array(name).max(MAX_SESSION_ACTIONS),
    versions: z.array(id).max(MAX_SESSION_ACTIONS),
    session: z.string().max(MAX_NAME_LENGTH).exactOptional(),
    running: z.array(z.strictObject(ref)).max(2 * MAX_SESSION_SLOTS),
    heartbeatLimitMs: z
      .int()
      .min(MIN_HEARTBEAT_LIMIT_MS)
      .max(MAX_HEARTBEAT_LIMIT_MS)
      .exactOptional(),
    resumeGraceMs: z.int().nonnegative().max(MAX_RESUME_GRACE_MS).exactOptional(),
    labels: labels.exactOptional(),
    isPaused: z.boolean().exactOptional(),
  }),
  received: z.strictObject({
    type: z.literal("received"),
    attempts: z.array(z.strictObject(ref)).max(2 * MAX_SESSION_SLOTS),
  }),
  completed: z.strictObject({ type: z.literal("completed"), ...reported, output: json }),
  failed: z.strictObject({ type: z.literal("failed"), ...reported, error }),
  released: z.strictObject({ type: z.literal("released"), ...ref }),
  log: z.strictObject({
    type: z.literal("log"),
    ...ref,
    first: z
      .int()
      .nonnegative()
      .max(MAX_INTEGER - MAX_LOG_LINES),
    lines: z.array(logLine).max(MAX_LOG_LINES),
  }),
  extend: z.strictObject({
    type: z.literal("extend"),
    ...ref,
    timeoutMs: z.int().positive().max(MAX_TIMEOUT_MS),
  }),
  spawn: z.strictObject({
    type: z.literal("spawn"),
    ...ref,
    children: z.array(child).min(1).max(MAX_SPAWN),
  }),
  waiting: z.strictObject({ type: z.literal("waiting"), ...ref }),
  return: z.strictObject({ type: z.literal("return"), ...ref, wait: z.int().min(1) }),
  settle: z.strictObject({
    type: z.literal("settle"),
    ...ref,
    limit: z.string().max(MAX_LIMIT_NAME_LENGTH),
    used: z.number().nonnegative().max(MAX_RATE_UNITS),
  }),
  rate_limited: z.strictObject({
    type: z.literal("rate_limited"),
    ...reported,
    limit: z.string().max(MAX_LIMIT_NAME_LENGTH).exactOptional(),
    retryAfterMs: z.int().nonnegative().max(MAX_RATE_PAUSE_MS),
  }),
  labels: z.strictObject({ type: z.literal("labels"), labels }),
  slots: z.strictObject({
    type: z.literal("slots"),
    slots: z.int().nonnegative().max(MAX_SESSION_SLOTS),
    of: z.int().positive().max(MAX_SESSION_SLOTS),
  }),
  pause: z.strictObject({ type: z.literal("pause") }),
  resume: z.strictObject({ type: z.literal("resume") }),
  drain: z.strictObject({ type: z.literal("drain") }),
} satisfies { [Type in WorkerFrame["type"]]: z.ZodType<Extract<WorkerFrame, { type: Type }>> };

export type ReadMessage =
  | { ok: true; frames: WorkerFrame[] }
  | { ok: false; code: SessionErrorCode; detail: string };

/** Reads one WebSocket message of a worker. */
export function readMessage(message: string | ArrayBuffer): ReadMessage {
  if (typeof message !== "string") return refuse("malformed_message", "Send text, not binary.");
  if (message.length > MAX_MESSAGE_BYTES) {
    return refuse(
      "message_too_large",
      `${message.length} characters; at most ${MAX_MESSAGE_BYTES}.`,
    );
  }
  let body: unknown;
  try {
    body = JSON.parse(message);
  } catch (cause) {
    return refuse("malformed_message", `Not JSON: ${cause instanceof Error ? cause.message : ""}`);
  }
  if (!isObject(body)) return refuse("malformed_message", "Expected {v, frames}.");
  if (body["v"] !== PROTOCOL_VERSION) {
    return refuse("unsupported_version", `This shard speaks version ${PROTOCOL_VERSION} only.`);
  }
  if (!Array.isArray(body["frames"])) return refuse("malformed_message", "frames is not a list.");
  return readFrames(body["frames"]);
}

function readFrames(candidates: unknown[]): ReadMessage {
  const frames: WorkerFrame[] = [];
  for (const [index, candidate] of candidates.entries()) {
    const type = isObject(candidate) ? candidate["type"] : undefined;
    if (typeof type !== "string" || !isFrameType(type)) {
      const known = Object.keys(FRAMES).join(", ");
      return refuse(
        "unknown_frame",
        `frames[${index}] has type ${JSON.stringify(type)}; known: ${known}.`,
      );
    }
    const read = FRAMES[type].safeParse(candidate);
    if (!read.success) {
      const [issue] = read.error.issues;
      const path = [`frames[${index}]`, ...(issue?.path ?? [])].join(".");
      return refuse(
        "invalid_frame",
        `${path} of a ${type} frame: ${issue?.message ?? "not valid"}`,
      );
    }
    frames.push(read.data);
  }
  return { ok: true, frames };
}

function isFrameType(type: string): type is keyof typeof FRAMES {
  return Object.hasOwn(FRAMES, type);
}

/** Which shards there are, as workers are told. */
export function shardsFrame(map: ShardMap): ShardsFrame {
  return { type: "shards", version: map.version, shards: shardList(map) };
}

function isStorable(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(code: SessionErrorCode, detail: string): ReadMessage {
  return { ok: false, code, detail };
}
