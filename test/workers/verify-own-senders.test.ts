/** Deliveries of senders that sign in a way of their own, or send credentials; and what a refusal costs. */
import { createHash } from "node:crypto";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { HmacSignature, WebhookDefinition } from "../../protocol/webhook-bodies.ts";
import { encode } from "../../workers/webhooks/signatures.ts";
import { type Verdict, verify } from "../../workers/webhooks/verify.ts";
import {
  fromGithub,
  hmac,
  type SentDelivery,
  withBasic,
  withKey,
} from "../support/signed-deliveries.ts";
import { having, judge, NOW, PAYLOAD, refused, SECRET, VERIFIED } from "./judging.ts";

describe("a sender of its own kind", () => {
  const body = JSON.stringify(PAYLOAD);
  const sign = (signature: Partial<HmacSignature>, headers: Record<string, string>) =>
    judge(
      { provider: "hmac", signature: { header: "X-Sign", ...signature }, deliveryHeader: "x-id" },
      { headers, body },
    );

  test.each(["sha1", "sha256", "sha512"] as const)("signs with %s", async (algorithm) => {
    for (const encoding of ["hex", "base64"] as const) {
      const made = hmac(SECRET, body, algorithm, encoding);
      expect(await sign({ algorithm, encoding }, { "x-sign": made })).toEqual(VERIFIED);
      const other = algorithm === "sha256" ? "sha512" : "sha256";
      expect(await sign({ algorithm: other, encoding }, { "x-sign": made })).toEqual(
        refused("wrong_signature"),
      );
    }
  });

  test("writes hex in either case, and base64 in either alphabet, with its padding or without", async () => {
    const hex = hmac(SECRET, body).toUpperCase();
    expect(await sign({}, { "x-sign": hex })).toEqual(VERIFIED);
    const base64 = hmac(SECRET, body, "sha256", "base64");
    const url = base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    expect(await sign({ encoding: "base64" }, { "x-sign": url })).toEqual(VERIFIED);
    for (const text of [hex.slice(1), `${hex}g`, "ä", "=="]) {
      expect(await sign({}, { "x-sign": text })).toEqual(refused("malformed_signature"));
    }
    for (const text of ["a", "a=b", "?", ""]) {
      expect(await sign({ encoding: "base64" }, { "x-sign": text })).toEqual(
        refused("malformed_signature"),
      );
    }
  });

  test("signs with every byte: none may be another", async () => {
    const made = hmac(SECRET, body);
    for (let at = 0; at < made.length; at++) {
      const digit = made[at] === "0" ? "1" : "0";
      const other = made.slice(0, at) + digit + made.slice(at + 1);
      expect(await sign({}, { "x-sign": other })).toEqual(refused("wrong_signature"));
    }
  });

  test("signs a time with the body, in seconds or milliseconds", async () => {
    for (const time of [String(NOW / 1_000), String(NOW)]) {
      const made = hmac(SECRET, `${time}.${body}`);
      const headers = { "x-sign": made, "x-time": time };
      expect(await sign({ timestampHeader: "x-time" }, headers)).toEqual(VERIFIED);
    }
    const old = String(NOW / 1_000 - 301);
    const headers = { "x-sign": hmac(SECRET, `${old}.${body}`), "x-time": old };
    expect(await sign({ timestampHeader: "x-time" }, headers)).toEqual(
      refused("timestamp_out_of_tolerance"),
    );
    expect(await sign({ timestampHeader: "x-time" }, { "x-sign": hmac(SECRET, body) })).toEqual(
      refused("missing_timestamp"),
    );
  });

  test("signs what its webhook says, with the delivery's id", async () => {
    const signature = { timestampHeader: "x-time", content: "{id}|{timestamp}|{body}|{id}" };
    const time = String(NOW);
    const made = hmac(SECRET, `7|${time}|${body}|7`);
    const headers = { "x-sign": made, "x-time": time, "x-id": "7" };
    expect(await sign(signature, headers)).toEqual(VERIFIED);
    expect(await sign(signature, { ...headers, "x-id": "8" })).toEqual(refused("wrong_signature"));
  });

  test("may sign with several secrets, or in several ways: the first few are looked at", async () => {
    const made = hmac(SECRET, body);
    const other = hmac("other", body);
    const of = (...signatures: string[]) =>
      sign({ prefix: "v1," }, { "x-sign": signatures.join(" ") });
    expect(await of(`v1,${other}`, `v1,${made}`)).toEqual(VERIFIED);
    expect(await of("v1a,x", `v1,${made}`)).toEqual(VERIFIED);
    expect(await of(`v1,${other}`, "v1,x")).toEqual(refused("wrong_signature"));
    const forged = Array.from({ length: 5 }, () => `v1,${other}`);
    expect(await of(...forged, `v1,${made}`)).toEqual(refused("wrong_signature"));
  });

  test("is not verified by a secret that is not of its encoding, nor by what stands in for it", async () => {
    const signature = { header: "x-sign", secretEncoding: "base64" } as const;
    const of = (secret: string, key: string) =>
      judge({ provider: "hmac", signature }, { headers: { "x-sign": hmac(key, body) }, body }, [
        secret,
      ]);
    expect(await of("c2VjcmV0", "secret")).toEqual(VERIFIED);
    expect(await of("c2VjcmV0", "c2VjcmV0")).toEqual(refused("wrong_signature"));
    for (const key of ["not base64", "a secret that nobody has", ""]) {
      expect(await of("not base64", key)).toEqual(refused("wrong_signature"));
    }
  });

  test("has its prefix, or is refused", async () => {
    const made = hmac(SECRET, body);
    expect(await sign({ prefix: "v1," }, { "x-sign": `v1,${made}` })).toEqual(VERIFIED);
    for (const other of [made, `v2,${made}`, `V1,${made}`]) {
      expect(await sign({ prefix: "v1," }, { "x-sign": other })).toEqual(
        refused("malformed_signature"),
      );
    }
  });
});

test("the fingerprint is of what was signed: neither the secret nor the writing of it counts", async () => {
  const definition: WebhookDefinition = { provider: "hmac", signature: { header: "x-sign" } };
  const of = async (secret: string, body: string, write = (hex: string) => hex) =>
    judge(definition, { headers: { "x-sign": write(hmac(secret, body)) }, body }, ["a", "b"]);
  const fingerprint = createHash("sha256").update("one").digest("base64url");
  expect(await of("a", "one")).toEqual({ isVerified: true, fingerprint });
  expect(await of("b", "one", (hex) => hex.toUpperCase())).toEqual(await of("a", "one"));
  expect(await of("a", "two")).not.toEqual(await of("a", "one"));
});

describe("credentials", () => {
  const SENT: [string, WebhookDefinition, (secret: string) => SentDelivery, string][] = [
    ["of basic", { provider: "basic" }, (of) => withBasic(of, PAYLOAD), "authorization"],
    ["of a key", { provider: "api-key" }, (of) => withKey(of, PAYLOAD), "x-api-key"],
    [
      "of a key in a header of its own",
      { provider: "api-key", keyHeader: "Authorization" },
      (of) => withKey(of, PAYLOAD, "authorization"),
      "authorization",
    ],
  ];
  test.each(SENT)("%s are one of the secrets", async (_what, definition, sent, header) => {
    const verdict = { isVerified: true, fingerprint: undefined };
    expect(await judge(definition, sent("bob:x"), ["anne:y", "bob:x"])).toEqual(verdict);
    for (const wrong of ["bob:y", "bob:", "bob:xx", "BOB:x", "anne:x"]) {
      expect(await judge(definition, sent(wrong), ["anne:y", "bob:x"])).toEqual(
        refused("wrong_credentials"),
      );
    }
    expect(await judge(definition, sent("bob:x"), [])).toEqual(refused("wrong_credentials"));
    expect(
      await judge(
        definition,
        having(sent("bob:x"), header, () => undefined),
      ),
    ).toEqual(refused("missing_credentials"));
  });

  test("of basic may have colons and letters of any language in the password", async () => {
    const sent = withBasic("anne:pass:word ü", PAYLOAD);
    expect(await judge({ provider: "basic" }, sent, ["anne:pass:word ü"])).toMatchObject({
      isVerified: true,
    });
  });

  test("of another scheme, or not in base64, are none", async () => {
    for (const authorization of ["Bearer Ym9iOng=", "Basic", "Basic ?", "Basic Ym9iO"]) {
      const sent = { headers: { authorization }, body: "{}" };
      expect(await judge({ provider: "basic" }, sent, ["bob:x"])).toEqual(
        refused("missing_credentials"),
      );
    }
  });
});

test("no webhook verifies nothing", async () => {
  const { headers, body } = fromGithub("", PAYLOAD);
  const delivery = { headers: new Headers(headers), body: encode(body as string) };
  expect(await verify(undefined, delivery, NOW)).toMatchObject({ isVerified: false });
  expect(await verify(undefined, { ...delivery, headers: new Headers() }, NOW)).toMatchObject({
    isVerified: false,
  });
});

describe("what a refusal costs", () => {
  afterEach(() => vi.restoreAllMocks());

  /** Bytes that were signed and digested, each in how many pieces. */
  async function costOf(refuse: () => Promise<Verdict>): Promise<number[]> {
    const sizes: number[] = [];
    const { subtle } = crypto;
    const isLarge = (bytes: number): boolean => bytes > 500; // credentials are not
    const count = (content: BufferSource): void => {
      if (isLarge(content.byteLength)) sizes.push(content.byteLength);
    };
    const [sign, digest] = [subtle.sign.bind(subtle), subtle.digest.bind(subtle)];
    vi.spyOn(subtle, "sign").mockImplementation((how, key, content) => {
      count(content);
      return sign(how, key, content);
    });
    vi.spyOn(subtle, "digest").mockImplementation((how, content) => {
      count(content);
      return digest(how, content);
    });
    expect(await refuse()).toMatchObject({ isVerified: false });
    vi.restoreAllMocks();
    return sizes;
  }

  test("is the same whatever is wrong, and without a webhook", async () => {
    const large = { text: "x".repeat(1_000) };
    const sent = fromGithub("other", large);
    const body = encode(sent.body as string);
    const unknown = await costOf(() =>
      verify(undefined, { headers: new Headers(sent.headers), body }, NOW),
    );
    expect(unknown).toEqual(Array.from({ length: 4 }, () => body.length));
    const github: WebhookDefinition = { provider: "github" };
    for (const refuse of [
      () => judge(github, sent),
      () => judge(github, sent, ["a", "b", "c"]),
      () => judge(github, { ...sent, headers: {} }),
      () => judge({ provider: "basic" }, sent, ["bob:x"]),
      () => judge({ provider: "api-key" }, withKey("no", large)),
      () => judge({ provider: "hmac", signature: { header: "x" } }, sent),
    ]) {
      expect(await costOf(refuse)).toEqual(unknown);
    }
  });
});
