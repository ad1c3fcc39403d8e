/** pgmq is held to what every broker must do, on every database. */
import { afterEach, beforeEach, describe, expect, inject, vi } from "vitest";
import { consume, type HandleMessages } from "../../messages/consume.ts";
import type { DeliveredBatch } from "../../messages/message-queue.ts";
import { PgmqQueue, readPgmq } from "../../messages/pgmq-queue.ts";
import { Rests } from "../../messages/rests.ts";
import { createLogger } from "../../telemetry/log.ts";
import { type BrokerUnderTest, testBroker } from "../support/broker-conformance.ts";
import { openPool, queryOf } from "./support.ts";

/** More reads than any of these tests needs: one that is never brought fails instead of hanging. */
const MAX_READS = 200;

describe.each(inject("databases"))("pgmq on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);
  const log = createLogger({}, "error");
  /** Other tests leave messages in the same queues. */
  let tenants = new Set<string>();
  const rests = new Rests();
  rests.isResting = (tenant) => !tenants.has(tenant);

  function makeBroker(): BrokerUnderTest {
    const messages = new PgmqQueue(() => Promise.resolve());
    let isDying = false;
    let handle: HandleMessages = () => Promise.resolve(new Map());
    const take = async (batch: DeliveredBatch): Promise<void> => {
      const settle = isDying ? () => Promise.reject(new Error("died")) : batch.settle.bind(batch);
      isDying = false;
      const { queue, deliveries } = batch;
      await consume(
        { queue, deliveries, settle },
        {
          query,
          log,
          handlerOf: (kind) => (kind === "probe" ? handle : undefined),
          rests,
        },
      ).catch(() => {});
    };
    return {
      broker: messages.broker,
      query: async (text, values) => {
        if (text.startsWith("insert into v1.tenant")) tenants.add(String(values[0]));
        return await query(text, values);
      },
      announce: (sent) => messages.announce(sent),
      async bringUntil(isSo) {
        for (let reads = 0; !isSo(); reads++) {
          if (reads > MAX_READS) throw new Error("Nothing of what is waited for was brought");
          const { batch } = await readPgmq(query, "commands", { most: 100 });
          if (batch.deliveries.length > 0) await take(batch);
          else await pass();
        }
      },
      handleProbes: (probe) => (handle = probe),
      dieOnce: () => (isDying = true),
    };
  }

  /** Lets time pass until what is hidden is visible. */
  async function pass(): Promise<void> {
    await query(
      "update pgmq.q_commands set vt = clock_timestamp() where message->>'tenant' = any ($1)",
      [[...tenants]],
    );
  }

  beforeEach(() => {
    vi.spyOn(console, "log").mockImplementation(() => {}); // handlers fail here on purpose
  });
  afterEach(async () => {
    const left = "select from pgmq.q_commands where message->>'tenant' = any ($1)";
    for (let reads = 0; (await query(left, [[...tenants]])).length > 0; reads++) {
      expect(reads, "messages are left in pgmq that have been handled").toBeLessThan(3);
      await pass();
      const { batch } = await readPgmq(query, "commands", { most: 100 });
      await consume(batch, {
        query,
        log,
        handlerOf: () => undefined,
        rests,
      });
    }
    tenants = new Set();
  });

  testBroker(makeBroker);
});
