/** What the fields of a webhook may say together, and what is said of those that may not. */
import { expect, test } from "vitest";
import type { PutWebhook } from "../../protocol/webhook-bodies.ts";
import { brokenInWebhook } from "../../workers/api/webhook-rules.ts";

const told = (webhook: PutWebhook): string[] =>
  brokenInWebhook(webhook).map(({ path, message }) => `${path.join(".")}: ${message}`);

const signature = { header: "x-sign" };
const timed = { ...signature, timestampHeader: "x-time" };

const GOOD: PutWebhook[] = [
  { provider: "github", secrets: ["a"], headers: ["X-GitHub-Hook-ID"] },
  { provider: "stripe", toleranceMs: 1 },
  { provider: "slack", toleranceMs: 1 },
  { provider: "hmac", signature, deliveryHeader: "x-id" },
  { provider: "hmac", signature: timed, toleranceMs: 1 },
  { provider: "hmac", signature: { ...timed, content: "v0:{timestamp}:{body}" } },
  { provider: "hmac", signature: { ...signature, content: "{id}.{body}" }, deliveryHeader: "id" },
  { provider: "basic", secrets: ["anne:pass", "anne:"], deliveryHeader: "x-id" },
  { provider: "api-key", keyHeader: "authorization", headers: ["x-api-key"] },
];

test.each(GOOD)("may be %j", (webhook) => {
  expect(told(webhook)).toEqual([]);
});

const BAD: [PutWebhook, string, RegExp][] = [
  [{ provider: "github", deliveryHeader: "x" }, "deliveryHeader", /hmac, basic, api-key only/],
  [{ provider: "basic", keyHeader: "x" }, "keyHeader", /of api-key only, not of basic/],
  [{ provider: "stripe", signature }, "signature", /of hmac only/],
  [{ provider: "hmac" }, "signature", /is missing/],
  [{ provider: "github", toleranceMs: 1 }, "toleranceMs", /no time is signed/],
  [{ provider: "hmac", signature, toleranceMs: 1 }, "toleranceMs", /no time is signed/],
  [{ provider: "basic", secrets: ["a:b", "ab"] }, "secrets.1", /a colon/],
  [{ provider: "github", headers: ["Authorization"] }, "headers.0", /verification only/],
  [{ provider: "stripe", headers: ["a", "Stripe-Signature"] }, "headers.1", /verification only/],
  [{ provider: "slack", headers: ["X-Slack-Signature"] }, "headers.0", /verification only/],
  [{ provider: "api-key", headers: ["X-Api-Key"] }, "headers.0", /verification only/],
  [{ provider: "hmac", signature, headers: ["X-Sign"] }, "headers.0", /verification only/],
];
const ENCODED: PutWebhook = {
  provider: "hmac",
  signature: { ...signature, secretEncoding: "base64" },
  secrets: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "c2VjcmV0", "not base64"],
};
const CONTENTS: [PutWebhook, RegExp][] = [
  [{ provider: "hmac", signature: { ...signature, content: "{id}" } }, /\{body\} once/],
  [{ provider: "hmac", signature: { ...signature, content: "{body}{body}" } }, /\{body\} once/],
  [{ provider: "hmac", signature: { ...signature, content: "{timestamp}{body}" } }, /timestampH/],
  [{ provider: "hmac", signature: { ...timed, content: "{body}" } }, /timestampHeader/],
  [{ provider: "hmac", signature: { ...signature, content: "{id}{body}" } }, /deliveryHeader/],
];

test("a secret that is written in base64 may stand behind whsec_, and must be base64", () => {
  expect(told(ENCODED)).toEqual(["secrets.2: must be base64, as secretEncoding says"]);
});

test.each([...BAD, ...CONTENTS.map(([of, why]) => [of, "signature.content", why] as const)])(
  "may not be %j: %s",
  (webhook, path, message) => {
    expect(told(webhook)).toEqual([expect.stringMatching(RegExp(`^${path}: .*${message.source}`))]);
  },
);
