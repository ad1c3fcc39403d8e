/**
 * The zod schemas of webhooks and of what comes in there. Each is held to its type in
 * `protocol/webhook-bodies.ts` by the compiler. Unknown fields are errors.
 */
import { z } from "@hono/zod-openapi";
import { DELIVERY_FAILURES, type DeliveryFailureCode } from "../../protocol/errors.ts";
import {
  MAX_KEPT_HEADERS,
  MAX_NAME_LENGTH,
  MAX_SECRET_LENGTH,
  MAX_TOLERANCE_MS,
  MAX_WEBHOOK_SECRETS,
} from "../../protocol/limits.ts";
import * as bodies from "../../protocol/webhook-bodies.ts";
import { cursor, expression, limit, moment, name } from "./fields.ts";
import { heldTo } from "./limit-schemas.ts";
import { publishedEventSchema } from "./schemas.ts";
import { brokenInWebhook } from "./webhook-rules.ts";

const MAX_CONTENT_LENGTH = 500; // of a template with three places in it

const header = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[A-Za-z0-9-_]+$/, {
    message: "must be a header's name: letters, digits, dashes and underscores",
  });

const signature = z
  .strictObject({
    header: header.openapi({
      description: "The header with the signature, or several with spaces between.",
    }),
    algorithm: z
      .enum(bodies.HMAC_ALGORITHMS)
      .exactOptional()
      .openapi({ description: "Default `sha256`." }),
    encoding: z
      .enum(bodies.HMAC_ENCODINGS)
      .exactOptional()
      .openapi({ description: "Default `hex`." }),
    secretEncoding: z.enum(bodies.SECRET_ENCODINGS).exactOptional().openapi({
      description:
        "Whether a secret is the key, or base64 of it, perhaps behind `whsec_`. Default `text`.",
    }),
    prefix: z
      .string()
      .max(MAX_NAME_LENGTH)
      .exactOptional()
      .openapi({ description: "What stands before each, such as `sha256=`. Default nothing." }),
    timestampHeader: header.exactOptional().openapi({
      description: "The header with the time of sending, in seconds or milliseconds since 1970.",
    }),
    content: z.string().max(MAX_CONTENT_LENGTH).exactOptional().openapi({
      description:
        "What is signed, with `{body}`, `{timestamp}` and `{id}` in their places. Default `{timestamp}.{body}` with a `timestampHeader`, else `{body}`.",
    }),
  })
  .openapi("HmacSignature") satisfies z.ZodType<bodies.HmacSignature>;

const text = (description: string) =>
  expression.exactOptional().openapi({ description, example: '"order:" + body.type' });

const definition = {
  provider: z.enum(bodies.WEBHOOK_PROVIDERS),
  description: z.string().max(10_000).exactOptional(),
  eventKey: text("CEL over `headers` and `body`: the event's key. Default by provider."),
  scope: text("CEL over the same: the event's scope. Default none."),
  headers: z
    .array(header)
    .max(MAX_KEPT_HEADERS)
    .exactOptional()
    .openapi({ description: "Headers that the event's metadata keeps. Default by provider." }),
  toleranceMs: z
    .int()
    .min(1)
    .max(MAX_TOLERANCE_MS)
    .exactOptional()
    .openapi({ description: "How far a signed time may be from now. Default 300000." }),
  signature: signature.exactOptional().openapi({ description: "Of `hmac`: how it is signed." }),
  keyHeader: header
    .exactOptional()
    .openapi({ description: "Of `api-key`: the header with the key. Default `x-api-key`." }),
  deliveryHeader: header.exactOptional().openapi({
    description: "The header by which a repeated delivery is recognised. Default none.",
  }),
};

export const putWebhookSchema = z
  .strictObject({
    ...definition,
    secrets: z
      .array(z.string().min(1, "must not be empty").max(MAX_SECRET_LENGTH))
      .min(1)
      .max(MAX_WEBHOOK_SECRETS)
      .exactOptional()
      .openapi({
        description:
          "Any of them verifies a delivery; of `basic` each is `user:password`. Left out: those that are stored. Never shown again.",
      }),
  })
  .superRefine(heldTo(brokenInWebhook))
  .openapi("PutWebhook") satisfies z.ZodType<bodies.PutWebhook>;

export const webhookSchema = z
  .object({
    name: z.string(),
    ...definition,
    eventKey: z.string(),
    headers: z.array(z.string()),
    secretCount: z.int(),
    path: z.string().openapi({
      description: "Where deliveries are sent, relative to the API's address.",
    }),
    createdAt: moment,
    updatedAt: moment,
  })
  .openapi("Webhook") satisfies z.ZodType<bodies.Webhook>;

export const webhookFailureSchema = z
  .object({
    code: z.enum(Object.keys(DELIVERY_FAILURES) as [DeliveryFailureCode, ...DeliveryFailureCode[]]),
    detail: z.string().nullable(),
    at: moment,
  })
  .openapi("WebhookFailure") satisfies z.ZodType<bodies.WebhookFailure>;

export const receivedDeliverySchema = z
  .union([publishedEventSchema, z.object({ challenge: z.string() }).openapi("SlackChallenge")])
  .openapi("ReceivedDelivery");

export const listWebhooksQuery = z.strictObject({
  limit,
  cursor: cursor((given) => name.safeParse(given).success),
});

/** Any text: one that can't be a tenant or a name is as unknown as one that could. */
export const deliveryParameters = z.object({ tenant: z.string(), name: z.string() });
