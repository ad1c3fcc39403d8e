/**
 * The zod schemas of notifications, each held to its type in `protocol/notification-bodies.ts` by the
 * compiler. Unknown fields are errors.
 */
import { z } from "@hono/zod-openapi";
import { MAX_SECRETS, MAX_URL_LENGTH, MAX_WORKFLOWS_TOLD } from "../../protocol/limits.ts";
import type * as bodies from "../../protocol/notification-bodies.ts";
import { FINISHED_RUN_STATES } from "../../protocol/states.ts";
import { keyOf } from "../notifications/sign.ts";
import { cursor, limit, moment, name } from "./fields.ts";

/** Bytes of a key that is worth its name, and of one that is not a mistake. */
const MIN_KEY_BYTES = 24;
const MAX_KEY_BYTES = 64;

const THIS_MACHINE = new Set(["localhost", "127.0.0.1", "[::1]"]);

const url = z
  .string()
  .max(MAX_URL_LENGTH)
  .refine(isEndpoint, {
    message:
      "must be an address that begins with https://, without a name or password (or http:// of localhost)",
  })
  .openapi({ format: "uri", example: "https://hooks.example.com/skein" });

function isEndpoint(text: string): boolean {
  const parsed = URL.parse(text);
  if (parsed === null || parsed.username !== "" || parsed.password !== "") return false;
  return (
    parsed.protocol === "https:" ||
    (parsed.protocol === "http:" && THIS_MACHINE.has(parsed.hostname))
  );
}

const secret = z.string().refine(isSecret, {
  message: `must be whsec_ and the base64 of ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} bytes`,
});

function isSecret(text: string): boolean {
  const bytes = keyOf(text)?.length ?? 0;
  return bytes >= MIN_KEY_BYTES && bytes <= MAX_KEY_BYTES;
}

const states = z.array(z.enum(FINISHED_RUN_STATES)).min(1, "must have at least one state");

export const putNotificationSchema = z
  .strictObject({
    url,
    on: states
      .refine((all) => new Set(all).size === all.length, "must name each state once")
      .exactOptional()
      .openapi({ description: 'Of runs that end so. Default `["failed"]`.' }),
    workflows: z
      .array(name)
      .min(1, "must name at least one workflow, or be left out for all")
      .max(MAX_WORKFLOWS_TOLD)
      .exactOptional()
      .openapi({
        description: "Of runs of these workflows. Default of all, but for children.",
      }),
    secrets: z
      .array(secret)
      .min(1, "must have at least one secret, or be left out")
      .max(MAX_SECRETS)
      .exactOptional()
      .openapi({
        description:
          "What signs it; two while one takes the place of another. Default those that are stored, of a new notification one that is made.",
      }),
  })
  .openapi("PutNotification") satisfies z.ZodType<bodies.PutNotification>;

export const notificationSchema = z
  .object({
    name: z.string(),
    url: z.string(),
    on: z.array(z.enum(FINISHED_RUN_STATES)),
    workflows: z.array(z.string()).nullable(),
    goneAt: moment.nullable().openapi({
      description: "Since when it is told nothing, because its endpoint has answered 410.",
    }),
    createdAt: moment,
    updatedAt: moment,
  })
  .openapi("Notification") satisfies z.ZodType<bodies.Notification>;

export const storedNotificationSchema = notificationSchema
  .extend({
    secret: z.string().exactOptional().openapi({ description: "Told once, when it is made." }),
  })
  .openapi("StoredNotification") satisfies z.ZodType<bodies.StoredNotification>;

export const listNotificationsQuery = z.strictObject({
  limit,
  cursor: cursor((text) => name.safeParse(text).success),
});
