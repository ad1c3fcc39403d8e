/** Cloudflare Queues, in the platform's own simulator, is held to what every broker must do. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, vi } from "vitest";
import { CloudflareBatch } from "../../messages/cloudflare-queue.ts";
import { messageQueueOf } from "../../messages/choice.ts";
import type { Environment } from "../../workers/environment.ts";
import { MESSAGE_HANDLERS } from "../../workers/messages/handlers.ts";
import { type BrokerUnderTest, testBroker } from "../support/broker-conformance.ts";
import { World } from "../support/world.ts";

const PATIENCE_MS = 15_000; // real time until a message that is never brought fails its test

describe("Cloudflare Queues", () => {
  const world = new World("", "");

  beforeEach(() => {
    vi.spyOn(console, "log").mockImplementation(() => {}); // handlers fail here on purpose
  });
  afterEach(() => {
    MESSAGE_HANDLERS.delete("probe");
    vi.restoreAllMocks();
  });

  function makeBroker(): BrokerUnderTest {
    const messages = messageQueueOf(
      { ...(env as unknown as Environment), MESSAGE_BROKER: "cloudflare-queues" },
      { number: 0 },
    );
    return {
      broker: messages.broker,
      query: (text, values) => world.sql(text, values),
      announce: (sent) => messages.announce(sent),
      bringUntil: (isSo) => expect.poll(isSo, { timeout: PATIENCE_MS, interval: 5 }).toBe(true),
      handleProbes: (handle) =>
        MESSAGE_HANDLERS.set("probe", (_env, tenant, found) => handle(tenant, found)),
      dieOnce: () =>
        vi
          .spyOn(CloudflareBatch.prototype, "settle")
          .mockRejectedValueOnce(new Error("The isolate died")),
    };
  }

  testBroker(makeBroker);
});
