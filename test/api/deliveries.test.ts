/** What becomes of deliveries that are verified: events, each once, which start runs as any event does. */
import { beforeEach, describe, expect, test } from "vitest";
import type { PublishedEvent } from "../../protocol/http.ts";
import { receivedDeliverySchema } from "../../workers/api/webhook-schemas.ts";
import {
  fromGithub,
  fromSlack,
  fromStripe,
  hmac,
  type SentDelivery,
  withBasic,
  withKey,
} from "../support/signed-deliveries.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { expectAnswer, expectProblem } from "./answers.ts";
import { deliver, eventsOf, failuresOf, putWebhook, SECRET } from "./delivering.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
});

const ISSUE = { action: "opened", issue: { number: 7, title: "Ünïcode 🦆" } };

test("a delivery of GitHub starts the runs that listen, with its body as their input", async () => {
  const webhook = await putWebhook(world, { provider: "github" });
  const events = ["github:issues:opened"];
  await world.register({ name: "triage", events, steps: [{ name: "only" }] });
  const sent = fromGithub(SECRET, ISSUE, { delivery: "72d3162e" });
  const answer = await deliver(webhook, sent);
  const event = expectAnswer(answer, 200, receivedDeliverySchema) as PublishedEvent;
  expect(event).toMatchObject({ created: true, runs: [expect.any(String)] });
  const [run = ""] = event.runs;
  expect(await world.readRun(run)).toMatchObject({
    workflow: "triage",
    eventId: event.id,
    input: ISSUE,
    metadata: {
      provider: "github",
      webhook: "github",
      delivery: "72d3162e",
      "x-github-event": "issues",
    },
  });
  expect(await eventsOf(world)).toMatchObject([
    { id: event.id, key: "github:issues:opened", payload: ISSUE, runs: [run] },
  ]);
});

test("a delivery without an action has the key of its kind", async () => {
  const webhook = await putWebhook(world, { provider: "github" });
  await deliver(webhook, fromGithub(SECRET, { zen: "Keep it simple." }, { event: "ping" }));
  expect(await eventsOf(world)).toMatchObject([{ key: "github:ping" }]);
});

describe("a delivery that comes again is the event that it was, and starts nothing:", () => {
  const AGAIN: [string, Parameters<typeof putWebhook>[1], (time: number) => SentDelivery][] = [
    ["of GitHub", { provider: "github" }, () => fromGithub(SECRET, ISSUE, { delivery: "7" })],
    [
      "of Stripe, signed anew",
      { provider: "stripe" },
      (at) => fromStripe([SECRET], { id: "evt_7", type: "invoice.paid" }, at),
    ],
    [
      "of Slack, signed anew",
      { provider: "slack" },
      (at) => fromSlack(SECRET, { event_id: "Ev7", event: { type: "message" } }, at),
    ],
    [
      "a command of Slack",
      { provider: "slack" },
      () => fromSlack(SECRET, "command=%2Fdeploy", Date.now()),
    ],
    [
      "signed in a way of its own",
      { provider: "hmac", signature: { header: "x-sign" } },
      () => ({ headers: { "x-sign": hmac(SECRET, "{}") }, body: "{}" }),
    ],
    [
      "with a password, and an id",
      { provider: "basic", deliveryHeader: "x-id", secrets: ["anne:x"] },
      () => {
        const { headers, body } = withBasic("anne:x", ISSUE);
        return { headers: { ...headers, "x-id": "7" }, body };
      },
    ],
  ];
  test.each(AGAIN)("%s", async (_what, definition, sent) => {
    const webhook = await putWebhook(world, definition);
    const first = await deliver(webhook, sent(Date.now()));
    const again = await deliver(webhook, sent(Date.now() + 60_000));
    expect([first.status, again.status]).toEqual([200, 200]);
    const events = await eventsOf(world);
    expect(events).toHaveLength(1);
    if (again.body === null) return; // Slack is told nothing
    expect(first.body).toEqual({ id: events[0]?.["id"], created: true, runs: [] });
    expect(again.body).toEqual({ ...first.body, created: false });
  });

  test("but another delivery, or another webhook's, is another event", async () => {
    const one = await putWebhook(world, { provider: "github" }, "one");
    const two = await putWebhook(world, { provider: "github" }, "two");
    await deliver(one, fromGithub(SECRET, ISSUE, { delivery: "7" }));
    await deliver(one, fromGithub(SECRET, ISSUE, { delivery: "8" }));
    await deliver(two, fromGithub(SECRET, ISSUE, { delivery: "7" }));
    await world.call("POST", "/events", { key: "own", idempotencyKey: "7" });
    expect(await eventsOf(world)).toHaveLength(4);
  });

  test("and the same command, given once more, is another event", async () => {
    const webhook = await putWebhook(world, { provider: "slack" });
    for (const at of [0, 1_000]) {
      await deliver(webhook, fromSlack(SECRET, "command=%2Fdeploy", Date.now() + at));
    }
    expect(await eventsOf(world)).toHaveLength(2);
  });

  test("and with no more than credentials, every delivery is an event of its own", async () => {
    const webhook = await putWebhook(world, { provider: "api-key" });
    await deliver(webhook, withKey(SECRET, ISSUE));
    await deliver(webhook, withKey(SECRET, ISSUE));
    expect(await eventsOf(world)).toMatchObject([
      { key: "webhook:api-key", metadata: { provider: "api-key", webhook: "api-key" } },
      { key: "webhook:api-key" },
    ]);
  });
});

describe("Slack", () => {
  test("has its URL challenge answered, and no event made of it", async () => {
    const webhook = await putWebhook(world, { provider: "slack" });
    const asked = { type: "url_verification", token: "t", challenge: "3eZbrw1a" };
    const answer = await deliver(webhook, fromSlack(SECRET, asked, Date.now()));
    expect(expectAnswer(answer, 200, receivedDeliverySchema)).toEqual({ challenge: "3eZbrw1a" });
    const forged = await deliver(webhook, fromSlack("guess", asked, Date.now()));
    await expectProblem(forged, "delivery_not_verified", /secret/);
    expect(await eventsOf(world)).toEqual([]);
  });

  test("sends commands as forms, and clicks as JSON in a form: both get an empty answer", async () => {
    const webhook = await putWebhook(world, { provider: "slack" });
    const command = "command=%2Fdeploy&text=to+%C3%BCber&user=a&user=b";
    const clicked = { type: "block_actions", actions: [{ value: "yes" }] };
    const click = `payload=${encodeURIComponent(JSON.stringify(clicked))}`;
    for (const body of [command, click]) {
      const answer = await deliver(webhook, fromSlack(SECRET, body, Date.now()));
      expect(answer).toMatchObject({ status: 200, body: null });
    }
    expect(await eventsOf(world)).toMatchObject([
      {
        key: "slack:/deploy",
        payload: { command: "/deploy", text: "to über", user: ["a", "b"] },
      },
      { key: "slack:block_actions", payload: clicked },
    ]);
  });
});

test("the webhook's expressions make the key, of the headers and the body", async () => {
  const webhook = await putWebhook(world, {
    provider: "hmac",
    signature: { header: "X-Sign", prefix: "sha256=" },
    eventKey: 'headers["x-topic"] + ":" + string(int(body.version))',
    headers: ["X-Topic", "x-missing"],
  });
  const body = JSON.stringify({ version: 2, name: "Zoë" });
  const headers = {
    "x-topic": "order",
    "x-sign": `sha256=${hmac(SECRET, body)}`,
    "content-type": "text/plain",
  };
  await deliver(webhook, { headers, body });
  const [event] = await eventsOf(world);
  expect(event).toMatchObject({ key: "order:2", payload: { version: 2, name: "Zoë" } });
  expect(event?.["metadata"]).toEqual({
    provider: "hmac",
    webhook: "hmac",
    "x-topic": "order",
    delivery: expect.any(String),
  });
});

test("the webhook's scope is the event's: filters of that scope are asked, and no others", async () => {
  await world.register({
    name: "order",
    events: ["order"],
    filters: [
      { scope: "acme", expression: 'input.state == "paid"' },
      { scope: "other", expression: "true" },
    ],
    steps: [{ name: "only" }],
  });
  const eventKey = '"order"';
  const scope = 'has(body.customer) ? body.customer : ""';
  const webhook = await putWebhook(world, { provider: "github", eventKey, scope });
  const send = async (payload: object) =>
    (await deliver(webhook, fromGithub(SECRET, payload))).body.runs.length;
  expect(await send({ customer: "acme", state: "paid" })).toBe(1);
  expect(await send({ customer: "acme", state: "open" })).toBe(0);
  expect(await send({ state: "paid" })).toBe(0);
  const [first, , third] = await eventsOf(world);
  expect([first?.["scope"], third?.["scope"]]).toEqual(["acme", null]);
});

test("an expression sees no credentials", async () => {
  const eventKey =
    'has(headers.authorization) || has(headers.cookie) || "x-api-key" in headers ? "seen" : "hidden"';
  const webhook = await putWebhook(world, { provider: "api-key", eventKey });
  const { headers, body } = withKey(SECRET, {});
  await deliver(webhook, { headers: { ...headers, authorization: "Bearer x", cookie: "a" }, body });
  expect(await eventsOf(world)).toMatchObject([{ key: "hidden" }]);
});

test("secrets are rotated without a delivery lost, and what is taken away ends at once", async () => {
  const webhook = await putWebhook(world, { provider: "github" });
  const send = async (secret: string) => (await deliver(webhook, fromGithub(secret, ISSUE))).status;
  await putWebhook(world, { provider: "github", secrets: ["new", SECRET] });
  expect([await send(SECRET), await send("new")]).toEqual([200, 200]);
  await putWebhook(world, { provider: "github", secrets: ["new"] });
  expect([await send(SECRET), await send("new")]).toEqual([401, 200]);
  await world.call("DELETE", "/webhooks/github");
  expect(await send("new")).toBe(401);
});

test("a body of a megabyte is taken, as an event of that size is", async () => {
  const webhook = await putWebhook(world, { provider: "github" });
  const payload = { action: "opened", text: "x".repeat(1024 * 1024 - 100) };
  expect((await deliver(webhook, fromGithub(SECRET, payload))).status).toBe(200);
  expect(await failuresOf(world, "github")).toEqual([]);
});
