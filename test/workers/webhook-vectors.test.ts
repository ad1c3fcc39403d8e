/** Signatures that their providers, or the standards, have published: ours are the same. */
import { describe, expect, test } from "vitest";
import type { WebhookDefinition } from "../../protocol/webhook-bodies.ts";
import { makeSecret, signedHeaders } from "../../workers/notifications/sign.ts";
import { encode } from "../../workers/webhooks/signatures.ts";
import { verify } from "../../workers/webhooks/verify.ts";

interface Vector {
  definition: WebhookDefinition;
  secret: string;
  headers: Record<string, string>;
  body: string;
  nowMs: number;
}

/** RFC 2202 and RFC 4231, test case 2. */
const RFC = { secret: "Jefe", body: "what do ya want for nothing?", nowMs: 0 };

const VECTORS: Record<string, Vector> = {
  GitHub: {
    definition: { provider: "github" },
    secret: "It's a Secret to Everybody",
    headers: {
      "X-Hub-Signature-256":
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    },
    body: "Hello, World!",
    nowMs: 0,
  },
  Slack: {
    definition: { provider: "slack" },
    secret: "8f742231b10e8888abcd99yyyzzz85a5",
    headers: {
      "X-Slack-Request-Timestamp": "1531420618",
      "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    },
    body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
    nowMs: 1_531_420_618_000,
  },
  "Standard Webhooks": {
    definition: {
      provider: "hmac",
      signature: {
        header: "webhook-signature",
        encoding: "base64",
        secretEncoding: "base64",
        prefix: "v1,",
        timestampHeader: "webhook-timestamp",
        content: "{id}.{timestamp}.{body}",
      },
      deliveryHeader: "webhook-id",
    },
    secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    headers: {
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    body: '{"test": 2432232314}',
    nowMs: 1_614_265_330_000,
  },
  "RFC 4231, SHA-256": {
    ...RFC,
    definition: { provider: "hmac", signature: { header: "signature" } },
    headers: { signature: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
  },
  "RFC 4231, SHA-512": {
    ...RFC,
    definition: { provider: "hmac", signature: { header: "signature", algorithm: "sha512" } },
    headers: {
      signature:
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    },
  },
  "RFC 2202, SHA-1": {
    ...RFC,
    definition: { provider: "hmac", signature: { header: "signature", algorithm: "sha1" } },
    headers: { signature: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
  },
};

function judge({ definition, secret, headers, body, nowMs }: Vector) {
  const delivery = { headers: new Headers(headers), body: encode(body) };
  return verify({ definition, secrets: [secret] }, delivery, nowMs);
}

describe.each(Object.entries(VECTORS))("the signature of %s", (_who, vector) => {
  test("is verified", async () => {
    expect(await judge(vector)).toEqual({ isVerified: true, fingerprint: expect.any(String) });
  });

  test("is not that of another secret, or another body", async () => {
    const secret = vector.secret.replace(/.$/, "A");
    for (const other of [{ secret }, { body: `${vector.body} ` }]) {
      expect(await judge({ ...vector, ...other })).toEqual({
        isVerified: false,
        code: "wrong_signature",
      });
    }
  });
});

test("Skein's own notifications are verified, by either secret while they are rotated", async () => {
  const { definition } = VECTORS["Standard Webhooks"] ?? {};
  if (definition === undefined) throw new Error("There is no such vector");
  const secrets = [makeSecret(), makeSecret()];
  const message = { id: "n-7", timestamp: 1_800_000_000, body: '{"text": "Grüße"}' };
  const headers = await signedHeaders(secrets, message);
  const nowMs = message.timestamp * 1_000;
  for (const secret of secrets) {
    const vector = { definition, secret, headers, body: message.body, nowMs };
    expect(await judge(vector)).toMatchObject({ isVerified: true });
    const moved = { ...headers, "webhook-id": "n-8" };
    expect(await judge({ ...vector, headers: moved })).toMatchObject({ code: "wrong_signature" });
  }
});
