/** Deliveries that are refused: the sender is told nothing, the tenant is told why, and none is an event. */
import { beforeEach, describe, expect, test } from "vitest";
import type { DeliveryFailureCode, ProblemCode } from "../../protocol/errors.ts";
import { newId } from "../../protocol/ids.ts";
import { MAX_DELIVERY_BYTES, MAX_WEBHOOK_FAILURES } from "../../protocol/limits.ts";
import type { PutWebhook } from "../../protocol/webhook-bodies.ts";
import {
  FORM_TYPE,
  fromGithub,
  fromSlack,
  fromStripe,
  hmac,
  type SentDelivery,
  withBasic,
  withKey,
} from "../support/signed-deliveries.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { type Asked, expectProblem } from "./answers.ts";
import { deliver, eventsOf, failuresOf, putWebhook, SECRET } from "./delivering.ts";

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
});

const ISSUE = { action: "opened" };

/** An answer without what is of the request alone. */
function told({ status, headers, body }: Asked): unknown {
  const { requestId: _, ...problem } = body as { requestId: string };
  const names = [...headers.keys()].filter((name) => name !== "x-request-id");
  return { status, problem, headers: names };
}

const github: PutWebhook = { provider: "github" };
const plain = { headers: {}, body: "{}" };
const unsigned = (name: string, sent: SentDelivery): SentDelivery => {
  const { [name]: _, ...headers } = sent.headers;
  return { ...sent, headers };
};

const UNVERIFIED: [DeliveryFailureCode, PutWebhook, () => SentDelivery][] = [
  ["wrong_signature", github, () => fromGithub("guess", ISSUE)],
  ["missing_signature", github, () => plain],
  [
    "malformed_signature",
    github,
    () => ({ headers: { "x-hub-signature-256": "sha1=00" }, body: "{}" }),
  ],
  [
    "missing_timestamp",
    { provider: "slack" },
    () => unsigned("x-slack-request-timestamp", fromSlack(SECRET, {}, Date.now())),
  ],
  [
    "timestamp_out_of_tolerance",
    { provider: "slack" },
    () => fromSlack(SECRET, {}, Date.now() - 301_000),
  ],
  [
    "timestamp_out_of_tolerance",
    { provider: "stripe" },
    () => fromStripe([SECRET], {}, Date.now() + 302_000),
  ],
  ["missing_credentials", { provider: "basic", secrets: ["a:b"] }, () => plain],
  ["wrong_credentials", { provider: "basic", secrets: ["a:b"] }, () => withBasic("a:c", ISSUE)],
  ["wrong_credentials", { provider: "api-key" }, () => withKey("guess", ISSUE)],
];

describe("a delivery that is not verified", () => {
  test.each(UNVERIFIED)("is written down: %s, of %j", async (code, definition, sent) => {
    const webhook = await putWebhook(world, definition);
    const answer = await deliver(webhook, sent());
    await expectProblem(answer, "delivery_not_verified", /^Check the address and the secret/);
    expect(await failuresOf(world, webhook.name)).toEqual([
      { code, detail: null, at: expect.stringMatching(/^\d{4}-.*Z$/) },
    ]);
    expect(await eventsOf(world)).toEqual([]);
  });

  test("is answered in the same words whatever is wrong, with a webhook or without", async () => {
    const webhook = await putWebhook(world, github);
    const other = await createWorld();
    const theirs = await putWebhook(other, github);
    const forged = fromGithub("guess", ISSUE);
    const answers = [
      await deliver(webhook, forged),
      await deliver(webhook, plain),
      await deliver({ path: `${webhook.path}-not` }, forged),
      await deliver({ path: webhook.path.replace(world.tenant, newId()) }, forged),
      await deliver({ path: webhook.path.replace(world.tenant, "nobody") }, forged),
      await deliver({ path: `/api/v1/webhooks/${world.tenant}/%00` }, forged),
      await deliver({ path: `/api/v1/webhooks/${world.tenant}/${"x".repeat(300)}` }, forged),
      // Signed for another tenant's webhook of the same name.
      await deliver(theirs, fromGithub("ours", ISSUE)),
    ];
    for (const answer of answers) expect(told(answer)).toEqual(told(answers[0] ?? answer));
    expect(await failuresOf(world, "github")).toHaveLength(2);
    expect(await failuresOf(other, "github")).toHaveLength(1);
  });

  test("may be of another tenant: its secret opens its own webhook only", async () => {
    const other = await createWorld();
    const ours = await putWebhook(world, { ...github, secrets: ["ours"] });
    const theirs = await putWebhook(other, { ...github, secrets: ["theirs"] });
    const sent = fromGithub("theirs", ISSUE);
    await expectProblem(await deliver(ours, sent), "delivery_not_verified", /./);
    expect((await deliver(theirs, sent)).status).toBe(200);
    expect(await eventsOf(world)).toEqual([]);
    expect(await eventsOf(other)).toHaveLength(1);
  });

  test("has no token's help: the caller's own counts for nothing", async () => {
    const webhook = await putWebhook(world, github);
    const headers = { ...plain.headers, authorization: `Bearer ${world.token}` };
    const answer = await deliver(webhook, { headers, body: "{}" });
    await expectProblem(answer, "delivery_not_verified", /./);
  });
});

const signed = (body: string | Uint8Array<ArrayBuffer>, headers = {}): SentDelivery => ({
  headers: { "x-sign": hmac(SECRET, body), ...headers },
  body,
});
const own: PutWebhook = { provider: "hmac", signature: { header: "x-sign" } };
const large = JSON.stringify("x".repeat(1024 * 1024));

const REFUSED: [
  what: string,
  failure: DeliveryFailureCode,
  problem: ProblemCode,
  definition: PutWebhook,
  sent: SentDelivery,
  detail: RegExp,
][] = [
  ["no JSON", "malformed_body", "malformed_json", own, signed("Hello, World!"), /not valid JSON/],
  ["empty", "malformed_body", "malformed_json", own, signed(""), /^The body is empty/],
  [
    "not UTF-8",
    "malformed_body",
    "malformed_json",
    own,
    signed(Uint8Array.of(34, 255, 34)),
    /UTF-8/,
  ],
  ["with U+0000", "invalid_event", "invalid_request", own, signed('"\\u0000"'), /U\+0000/],
  [
    "a form with U+0000",
    "invalid_event",
    "invalid_request",
    own,
    signed("a=%00", FORM_TYPE),
    /U\+0000/,
  ],
  [
    "nested without end",
    "invalid_event",
    "invalid_request",
    own,
    signed("[".repeat(600) + "]".repeat(600)),
    /nested 600 deep/,
  ],
  ["more than a payload", "delivery_too_large", "payload_too_large", own, signed(large), /1048576/],
  [
    "without what the key is made of",
    "expression_failed",
    "invalid_request",
    { ...own, eventKey: '"order:" + body.type' },
    signed('{"secret": 7}'),
    /^The webhook's eventKey, line 1, column 17: The data has no such key/,
  ],
  [
    "without what the scope is made of",
    "expression_failed",
    "invalid_request",
    { ...own, scope: "body.team" },
    signed("{}"),
    /^The webhook's scope, line 1, column/,
  ],
  [
    "that makes a key with a space",
    "invalid_event",
    "invalid_request",
    { ...own, eventKey: "body.type" },
    signed('{"type": "a b"}'),
    /^The event's key must have no spaces/,
  ],
  [
    "that makes no key",
    "invalid_event",
    "invalid_request",
    { ...own, eventKey: "body.type" },
    signed('{"type": ""}'),
    /^The event's key must not be empty/,
  ],
];

describe("a verified delivery that can't be an event is refused with its reason", () => {
  test.each(REFUSED)("%s", async (_what, failure, problem, definition, sent, detail) => {
    const webhook = await putWebhook(world, definition);
    await expectProblem(await deliver(webhook, sent), problem, detail);
    const [failed] = await failuresOf(world, "hmac");
    expect(failed?.code).toBe(failure);
    if (failure !== "malformed_body") expect(failed?.detail).toMatch(detail);
    else expect(failed?.detail).toBeNull(); // it would quote the body
    expect(await eventsOf(world)).toEqual([]);
  });
});

test("a body beyond the limit is not read to its end, whoever sends it", async () => {
  const webhook = await putWebhook(world, github);
  const body = "x".repeat(MAX_DELIVERY_BYTES + 1);
  const detail = RegExp(`at most ${MAX_DELIVERY_BYTES}`, "i");
  for (const path of [webhook.path, `${webhook.path}-not`]) {
    await expectProblem(
      await deliver({ path }, { headers: {}, body }),
      "payload_too_large",
      detail,
    );
  }
  expect(await failuresOf(world, "github")).toMatchObject([{ code: "delivery_too_large" }]);
});

test("a body that has no end and does not say its length is refused, and read no further", async () => {
  const webhook = await putWebhook(world, github);
  const piece = new Uint8Array(256 * 1024).fill(32);
  let pieces = 0;
  const { promise: cancelled, resolve: cancel } = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      pieces++;
      controller.enqueue(piece);
    },
    cancel: () => cancel(),
  });
  const answer = await deliver(webhook, { headers: {}, body });
  await expectProblem(answer, "payload_too_large", /at most/i);
  await cancelled;
  expect(pieces * piece.length).toBeLessThan(2 * MAX_DELIVERY_BYTES);
});

test("of a flood only so many are written down", async () => {
  const webhook = await putWebhook(world, github);
  await world.sql(
    `insert into v1.webhook_failure (tenant_id, webhook, code)
       select $1, 'github', 'wrong_credentials' from generate_series(1, $2::integer)`,
    [world.tenant, MAX_WEBHOOK_FAILURES - 1],
  );
  for (const sent of [fromGithub("guess", ISSUE), plain, plain]) await deliver(webhook, sent);
  const failures = await failuresOf(world, "github");
  expect(failures).toHaveLength(MAX_WEBHOOK_FAILURES);
  expect(failures.slice(0, 2).map(({ code }) => code)).toEqual([
    "wrong_signature",
    "wrong_credentials",
  ]);
});

test("what was refused before is left alone by what is accepted, and goes with its webhook", async () => {
  const webhook = await putWebhook(world, github);
  await deliver(webhook, plain);
  await deliver(webhook, fromGithub(SECRET, ISSUE));
  expect(await failuresOf(world, "github")).toHaveLength(1);
  await world.call("DELETE", "/webhooks/github");
  await putWebhook(world, github);
  expect(await failuresOf(world, "github")).toEqual([]);
});
