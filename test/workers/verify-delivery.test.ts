/** Which deliveries of those who are known by name are verified, and why others are not. */
import { describe, expect, test } from "vitest";
import type { WebhookDefinition } from "../../protocol/webhook-bodies.ts";
import { type Bytes, encode } from "../../workers/webhooks/signatures.ts";
import {
  fromGithub,
  fromSlack,
  fromStripe,
  type SentDelivery,
} from "../support/signed-deliveries.ts";
import { having, judge, NOW, PAYLOAD, refused, SECRET, VERIFIED } from "./judging.ts";

const SIGNED: [string, WebhookDefinition, (secret: string) => SentDelivery, string][] = [
  ["GitHub", { provider: "github" }, (of) => fromGithub(of, PAYLOAD), "x-hub-signature-256"],
  ["Stripe", { provider: "stripe" }, (of) => fromStripe([of], PAYLOAD, NOW), "stripe-signature"],
  ["Slack", { provider: "slack" }, (of) => fromSlack(of, PAYLOAD, NOW), "x-slack-signature"],
];

describe.each(SIGNED)("a delivery of %s", (_who, definition, sent, header) => {
  test("is verified, by whichever of its secrets signs", async () => {
    expect(await judge(definition, sent(SECRET))).toEqual(VERIFIED);
    for (const secrets of [
      ["new", SECRET],
      [SECRET, "old"],
      ["new", "newer", SECRET],
    ]) {
      expect(await judge(definition, sent(SECRET), secrets)).toEqual(VERIFIED);
    }
  });

  test("is refused when nobody here has its secret", async () => {
    for (const secrets of [["new"], [`${SECRET} `], ["new", "old"], []]) {
      expect(await judge(definition, sent(SECRET), secrets)).toEqual(refused("wrong_signature"));
    }
  });

  test("is refused when one byte of its body is another", async () => {
    const { headers, body } = sent(SECRET);
    const bytes = encode(body as string);
    for (const at of [0, Math.floor(bytes.length / 2), bytes.length - 1]) {
      const changed = bytes.with(at, (bytes[at] ?? 0) ^ 1) as Bytes;
      expect(await judge(definition, { headers, body: changed })).toEqual(
        refused("wrong_signature"),
      );
    }
    expect(await judge(definition, { headers, body: `${String(body)}\n` })).toEqual(
      refused("wrong_signature"),
    );
  });

  test("is refused without its signature, or with half of one", async () => {
    const of = (change: (value: string) => string | undefined) =>
      judge(definition, having(sent(SECRET), header, change));
    expect(await of(() => undefined)).toEqual(refused("missing_signature"));
    expect(await of((value) => value.replace(/=.*/, ""))).toEqual(refused("malformed_signature"));
    expect(await of(() => "")).toEqual(refused("malformed_signature"));
    expect(await of((value) => value.replace(/(=\w{40})\w+(,|$)/, "$1$2"))).toEqual(
      refused("wrong_signature"),
    );
  });
});

test("Stripe's other schemes count for nothing", async () => {
  const sent = fromStripe([SECRET], PAYLOAD, NOW);
  const other = having(sent, "stripe-signature", (value) => value.replace("v1=", "v2="));
  expect(await judge({ provider: "stripe" }, other)).toEqual(refused("malformed_signature"));
});

test("Stripe signs with two secrets while they are rotated: one is enough", async () => {
  const sent = fromStripe(["expiring", SECRET], PAYLOAD, NOW);
  for (const secrets of [[SECRET], ["expiring"], ["other", SECRET]]) {
    expect(await judge({ provider: "stripe" }, sent, secrets)).toEqual(VERIFIED);
  }
  expect(await judge({ provider: "stripe" }, sent, ["other"])).toEqual(refused("wrong_signature"));
});

test("of many signatures Stripe's first few are looked at", async () => {
  const forged = Array.from({ length: 5 }, (_, guess) => `guess-${guess}`);
  const sent = fromStripe([...forged, SECRET], PAYLOAD, NOW);
  expect(await judge({ provider: "stripe" }, sent)).toEqual(refused("wrong_signature"));
});

const TIMED: [string, WebhookDefinition, (at: number) => SentDelivery][] = [
  ["Stripe", { provider: "stripe" }, (at) => fromStripe([SECRET], PAYLOAD, at)],
  ["Slack", { provider: "slack" }, (at) => fromSlack(SECRET, PAYLOAD, at)],
];

describe.each(TIMED)("the time of %s", (_who, definition, sentAt) => {
  test.each([
    [0, 0],
    [-300_000, 0],
    [300_000, 0],
    [-301_000, 1],
    [301_000, 1],
    [-86_400_000, 1],
  ])("%d ms from now: %d", async (ms, isRefused) => {
    const verdict = await judge(definition, sentAt(NOW + ms));
    expect(verdict).toEqual(isRefused ? refused("timestamp_out_of_tolerance") : VERIFIED);
  });

  test("may differ by as much as the webhook says", async () => {
    const patient = { ...definition, toleranceMs: 86_400_000 };
    expect(await judge(patient, sentAt(NOW - 86_000_000))).toEqual(VERIFIED);
    expect(await judge(patient, sentAt(NOW - 87_000_000))).toEqual(
      refused("timestamp_out_of_tolerance"),
    );
  });
});

test("a time that is missing, or is none, is told apart from a wrong signature", async () => {
  const slack = fromSlack(SECRET, PAYLOAD, NOW);
  const name = "x-slack-request-timestamp";
  for (const time of [undefined, "", "now", "1e9", "-1", "18000000000000000"]) {
    expect(
      await judge(
        { provider: "slack" },
        having(slack, name, () => time),
      ),
    ).toEqual(refused("missing_timestamp"));
  }
  const stripe = having(fromStripe([SECRET], PAYLOAD, NOW), "stripe-signature", (value) =>
    value.replace(/t=\d+,/, ""),
  );
  expect(await judge({ provider: "stripe" }, stripe)).toEqual(refused("missing_timestamp"));
  const moved = having(slack, name, () => String(NOW / 1_000 - 1));
  expect(await judge({ provider: "slack" }, moved)).toEqual(refused("wrong_signature"));
});
