/** Signatures of notifications: what any library for Standard Webhooks verifies. */
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { keyOf, makeSecret, signedHeaders } from "../../workers/notifications/sign.ts";

test("the signature is the one of the standard's own example", async () => {
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const message = {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    timestamp: 1_614_265_330,
    body: '{"test": 2432232314}',
  };
  expect(await signedHeaders([secret], message)).toEqual({
    "webhook-id": message.id,
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});

test("each secret signs, and what is signed is the body as it is sent", async () => {
  const secrets = [makeSecret(), makeSecret()];
  const body = JSON.stringify({ text: "Grüße 👍" });
  const headers = await signedHeaders(secrets, { id: "a", timestamp: 7, body });
  const expected = secrets.map((secret) => {
    const key = Buffer.from(secret.slice("whsec_".length), "base64");
    return `v1,${createHmac("sha256", key).update(`a.7.${body}`).digest("base64")}`;
  });
  expect(headers["webhook-signature"]).toBe(expected.join(" "));
});

test("a secret that is made is new, and 32 bytes; what is none has no key", () => {
  expect(makeSecret()).not.toBe(makeSecret());
  expect(keyOf(makeSecret())).toHaveLength(32);
  for (const text of ["", "abc", "whsec_%", "c2VjcmV0"]) expect(keyOf(text), text).toBeUndefined();
});
