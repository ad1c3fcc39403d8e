/**
 * Deliveries: what other services send to a webhook. The one address of the API without a token: a
 * delivery is verified by its signature, over its bytes, and becomes an event. One that is not verified is
 * told nothing, and written down for its tenant.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { queryOverHttp } from "../../database/connect.ts";
import { readVerifier, recordWebhookFailure } from "../../database/webhooks.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { isId } from "../../protocol/ids.ts";
import type { Json } from "../../protocol/json.ts";
import { MAX_DELIVERY_BYTES, MAX_WEBHOOK_FAILURES } from "../../protocol/limits.ts";
import type { AppTypes } from "../environment.ts";
import { isForm, parseBody, readBytes } from "../webhooks/delivery-body.ts";
import { eventOf, type VerifiedDelivery } from "../webhooks/delivery-event.ts";
import { RefusedDelivery, unverified } from "../webhooks/refused-delivery.ts";
import { verify } from "../webhooks/verify.ts";
import { nameParameters } from "./fields.ts";
import { answers } from "./openapi.ts";
import { publishOrAccept } from "./publish.ts";
import { deliveryParameters, receivedDeliverySchema } from "./webhook-schemas.ts";

/** No tenant has it. */
const NO_TENANT = "00000000-0000-0000-0000-000000000000";

const receive = createRoute({
  method: "post",
  path: "/webhooks/{tenant}/{name}",
  tags: ["Webhooks"],
  operationId: "receiveDelivery",
  summary: "Receive a delivery",
  description: `For senders, who have no token: what they send is verified as its webhook says. The body is JSON or a form, at most ${MAX_DELIVERY_BYTES} bytes. A delivery that comes again is the event that it was. Slack's URL challenge is answered, and its commands and clicks get an empty answer.`,
  security: [],
  request: { params: deliveryParameters },
  responses: answers(
    { 200: ["The event that it has become", receivedDeliverySchema] },
    [
      "delivery_not_verified",
      "malformed_json",
      "payload_too_large",
      "invalid_request",
      "too_many_matches",
      "overloaded",
    ],
    { isOpen: true },
  ),
});

export const deliveries = new OpenAPIHono<AppTypes>();
deliveries.openAPIRegistry.registerPath(receive);
deliveries.post(receive.getRoutingPath(), async (context) => {
  const address = addressOf(context.req.param());
  try {
    return await answer(context, address, await accept(context, address));
  } catch (error) {
    if (error instanceof RefusedDelivery) await record(context, address, error);
    throw error;
  }
});

interface WebhookAddress {
  tenant: string;
  name: string;
}

/** For one that can't be, one that is not there is looked for: it takes as long. */
function addressOf(given: WebhookAddress): WebhookAddress {
  const isPossible = isId(given.tenant) && nameParameters.safeParse(given).success;
  return isPossible ? given : { tenant: NO_TENANT, name: "" };
}

/** The delivery, once it is known to be from who it says. */
async function accept(
  { env, req }: Context<AppTypes>,
  { tenant, name }: WebhookAddress,
): Promise<VerifiedDelivery> {
  const { headers } = req.raw;
  const body = await readBytes(req.raw);
  const verifier = await readVerifier(queryOverHttp(databaseOf(env, tenant)), tenant, name);
  const verdict = await verify(verifier, { headers, body }, Date.now());
  if (!verdict.isVerified) throw unverified(verdict.code);
  if (verifier === undefined) throw new Error("A delivery was verified by no webhook");
  const { definition } = verifier;
  const { fingerprint } = verdict;
  const said = parseBody({ headers, body }, definition.provider);
  return { webhook: name, definition, headers, body: said, fingerprint };
}

async function answer(
  context: Context<AppTypes>,
  { tenant }: WebhookAddress,
  delivery: VerifiedDelivery,
): Promise<Response> {
  context.set("tenant", tenant);
  const challenge = challengeOf(delivery);
  if (challenge !== undefined) return context.json({ challenge }, 200);
  const event = await eventOf(delivery);
  const bodyBytes = JSON.stringify(event).length;
  const { log } = context.var;
  const [published] = await publishOrAccept(context.env, { tenant, bodyBytes, log }, [event]);
  if (published === undefined) throw new Error("A publication of one event published none");
  // Slack shows whatever a command is answered, and takes an answer to a click for an instruction.
  const isShown = delivery.definition.provider === "slack" && isForm(delivery.headers);
  if (isShown) return new Response(null, { status: 200 });
  return context.json(published, 200);
}

/** Slack asks once whether this address is meant. */
function challengeOf({ definition, body }: VerifiedDelivery): string | undefined {
  if (definition.provider !== "slack") return undefined;
  const { type, challenge } = (body ?? {}) as { [field: string]: Json };
  return type === "url_verification" && typeof challenge === "string" ? challenge : undefined;
}

async function record(
  { env, var: { log } }: Context<AppTypes>,
  { tenant, name }: WebhookAddress,
  { failure: code, failureDetail: detail }: RefusedDelivery,
): Promise<void> {
  log.info("delivery.refused", { tenant_id: tenant, webhook: name, code });
  const most = MAX_WEBHOOK_FAILURES;
  await recordWebhookFailure(queryOverHttp(databaseOf(env, tenant)), tenant, name, {
    code,
    detail,
    most,
  });
}
