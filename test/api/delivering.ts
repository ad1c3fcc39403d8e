/** Webhooks of a world, and what is sent to them: by senders, who have no token. */
import { exports } from "cloudflare:workers";
import { expect } from "vitest";
import type { PublishedEvent } from "../../protocol/http.ts";
import type { PutWebhook, Webhook, WebhookFailure } from "../../protocol/webhook-bodies.ts";
import type { World } from "../support/world.ts";
import type { SentDelivery } from "../support/signed-deliveries.ts";
import type { Asked } from "./answers.ts";

export const SECRET = "a-secret-of-the-sender";

/** Stores a webhook with `SECRET`; its name is its provider's, unless given. */
export async function putWebhook(
  world: World,
  webhook: PutWebhook,
  name: string = webhook.provider,
): Promise<Webhook> {
  const body = { secrets: [SECRET], ...webhook };
  const answer = await world.call<Webhook>("PUT", `/webhooks/${name}`, body);
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
}

/** Sends a delivery to a webhook's address, or to another. */
export async function deliver<Body = PublishedEvent>(
  { path }: { path: string },
  { headers, body }: SentDelivery | { headers: Record<string, string>; body: ReadableStream },
): Promise<Asked<Body>> {
  const response = await exports.default.fetch(`http://skein.test${path}`, {
    method: "POST",
    headers,
    body,
  });
  const text = await response.text();
  return {
    method: "POST",
    path: path.replace("/api/v1", ""),
    status: response.status,
    headers: response.headers,
    body: (text === "" ? null : JSON.parse(text)) as Body,
  };
}

export async function failuresOf(world: World, name: string): Promise<WebhookFailure[]> {
  const path = `/webhooks/${name}/failures`;
  return (await world.call<{ items: WebhookFailure[] }>("GET", path)).body.items;
}

/** The events of a tenant, oldest first. */
export async function eventsOf(world: World): Promise<Record<string, unknown>[]> {
  return await world.sql(
    "select id, key, scope, payload, metadata, runs from v1.event where tenant_id = $1 order by id",
    [world.tenant],
  );
}
