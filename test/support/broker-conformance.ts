/**
 * What every broker must do for messages, whichever it is. Each is held to these same tests: pgmq on every
 * database, Cloudflare Queues in the platform's own simulator.
 */
import { beforeEach, expect, test } from "vitest";
import type { Query } from "../../database/connect.ts";
import type { Broker, MessageRow, SentMessages } from "../../database/message-rows.ts";
import { resendMessages } from "../../database/messages.ts";
import type { HandleMessages } from "../../messages/consume.ts";
import type { Outcome } from "../../messages/message-queue.ts";
import { newId } from "../../protocol/ids.ts";

export interface BrokerUnderTest {
  broker: Broker;
  /** As the database's owner. */
  query: Query;
  announce(sent: SentMessages[]): Promise<void>;
  /** Has messages brought, whatever they wait for, until this is so. */
  bringUntil(isSo: () => boolean): Promise<void>;
  /** Who handles messages of the kind `probe` from now on. */
  handleProbes(handle: HandleMessages): void;
  /** The next consumer dies after its messages were handled, before its broker hears of it. */
  dieOnce(): void;
}

const REASON = { code: "refused" as const, message: "no such thing" };
const SEND = `
  with chosen as materialized (select set_config('skein.broker', $1, true)),
       sent as materialized (
         select v1.send_message($2, 'commands', 'probe', to_jsonb(n)) as id
           from chosen, generate_series(1, $3) n)
  select json_agg(id) as ids, v1.sent_messages() as sent from sent`;

export function testBroker(makeBroker: () => BrokerUnderTest): void {
  let under: BrokerUnderTest;
  let tenant: string;
  /** Ids of messages as they were brought to the handler, and as their effect was had. */
  let brought: string[];
  let effects: string[];
  let outcomeOf: (message: MessageRow) => Outcome | "done";

  beforeEach(async () => {
    under = makeBroker();
    tenant = newId();
    brought = [];
    effects = [];
    outcomeOf = () => "done";
    await under.query("insert into v1.tenant (id, name) values ($1::uuid, $1::text)", [tenant]);
    under.handleProbes(async (of, messages) => {
      if (of !== tenant) return new Map();
      for (const { id } of messages) brought.push(id);
      const outcomes = new Map<string, Outcome>();
      for (const message of messages) {
        const outcome = outcomeOf(message);
        outcomes.set(message.id, outcome === "done" ? { kind: "done" } : outcome);
      }
      await haveEffects(messages.filter(({ id }) => outcomes.get(id)?.kind === "done"));
      return outcomes;
    });
  });

  /** The effect is the row's removal, as a commit's would be. */
  async function haveEffects(messages: MessageRow[]): Promise<void> {
    const text = "delete from v1.message where id = any ($1) and died_at is null returning id";
    const removed = await under.query(text, [messages.map(({ id }) => id)]);
    effects.push(...removed.map(({ id }) => String(id)));
  }

  async function send(count: number): Promise<string[]> {
    const [row] = await under.query(SEND, [under.broker, tenant, count]);
    await under.announce(row?.["sent"] as SentMessages[]);
    return row?.["ids"] as string[];
  }

  /** Everything sent before a marker has been brought by the time that the marker is done. */
  async function settle(): Promise<void> {
    const [marker = ""] = await send(1);
    await under.bringUntil(() => effects.includes(marker));
    effects = effects.filter((id) => id !== marker);
    brought = brought.filter((id) => id !== marker);
  }

  async function deadOf(): Promise<Record<string, unknown>[]> {
    const text = `select id, reads, reason from v1.message where tenant_id = $1 and died_at is not null`;
    return await under.query(text, [tenant]);
  }

  test("brings what was sent, in any number, and each once when all is well", async () => {
    const ids = await send(250);
    await under.bringUntil(() => effects.length === 250);
    await settle();
    expect(effects.toSorted()).toEqual(ids.toSorted());
    expect(brought.toSorted()).toEqual(ids.toSorted());
  });

  test("brings a message again that could not be handled, and counts how often", async () => {
    const reads: number[] = [];
    outcomeOf = (message) => {
      reads.push(message.reads);
      return message.reads < 4 ? { kind: "later", delayMs: 0 } : "done";
    };
    const ids = await send(1);
    await under.bringUntil(() => effects.length === 1);
    expect(effects).toEqual(ids);
    expect(reads).toEqual([1, 2, 3, 4]);
  });

  test("brings a message again whose handler threw, and those beside it only once", async () => {
    const [first] = await send(3);
    let hasThrown = false;
    outcomeOf = ({ id }) => {
      if (id !== first || hasThrown) return "done";
      hasThrown = true;
      throw new Error("a fault of the handler's");
    };
    await under.bringUntil(() => effects.length === 3);
    expect(new Set(effects).size).toBe(3);
    expect(brought.filter((id) => id === first).length).toBeGreaterThan(1);
  });

  test("may bring a message twice: it has its effect once", async () => {
    const ids = await send(2);
    await under.query(
      `select pgmq.send('commands', jsonb_build_object('tenant', $1::text, 'id', id))
         from unnest($2::uuid[]) id where $3 = 'pgmq'`,
      [tenant, ids, under.broker],
    );
    await under.announce([{ queue: "commands", tenant, ids }]);
    await under.bringUntil(() => effects.length === 2);
    await settle();
    expect(effects.toSorted()).toEqual(ids.toSorted());
  });

  test("brings what a consumer had that died: what it had done is not done again", async () => {
    under.dieOnce();
    const ids = await send(3);
    await under.bringUntil(() => effects.length === 3);
    await settle();
    expect(effects.toSorted()).toEqual(ids.toSorted());
    expect(brought.toSorted()).toEqual(ids.toSorted());
  });

  test("leaves only what is refused for good with the dead, and brings it no more", async () => {
    const ids = await send(3);
    outcomeOf = ({ id }) => (id === ids[1] ? { kind: "refused", reason: REASON } : "done");
    await under.bringUntil(() => effects.length === 2 && brought.length === 3);
    await settle();
    expect(effects.toSorted()).toEqual([ids[0], ids[2]].toSorted());
    expect(brought).toHaveLength(3);
    expect(await deadOf()).toEqual([{ id: ids[1], reads: 1, reason: REASON }]);
  });

  test("leaves nothing with the dead for being brought often", async () => {
    const ids = await send(1);
    outcomeOf = () => (brought.length < 30 ? { kind: "later", delayMs: 0 } : "done");
    await under.bringUntil(() => brought.length >= 15);
    expect(await deadOf()).toEqual([]);
    await under.bringUntil(() => effects.length === 1);
    expect(effects).toEqual(ids);
  });

  test("brings a dead message that is sent again, as if for the first time", async () => {
    const ids = await send(1);
    outcomeOf = () => ({ kind: "refused", reason: REASON });
    await under.bringUntil(() => brought.length === 1);
    await expect.poll(deadOf).toHaveLength(1);
    const reads: number[] = [];
    outcomeOf = (message) => {
      reads.push(message.reads);
      return "done";
    };
    const { ids: again, sent } = await resendMessages(under.query, tenant, ids, under.broker);
    expect(again).toEqual(ids);
    await under.announce(sent);
    await under.bringUntil(() => effects.length === 1);
    expect(effects).toEqual(ids);
    expect(reads).toEqual([1]);
  });

  test("has a kind that nobody handles refused", async () => {
    const [row] = await under.query(SEND.replace("'probe'", "'unheard-of'"), [
      under.broker,
      tenant,
      1,
    ]);
    await under.announce(row?.["sent"] as SentMessages[]);
    await settle();
    await expect
      .poll(deadOf)
      .toMatchObject([{ reason: { code: "unknown_kind", message: /unheard-of/ } }]);
  });
}
