/** What the API shows of messages and queues, and what is done about the dead. */
import { beforeEach, describe, expect, test } from "vitest";
import type { DeadMessage, QueueState } from "../../protocol/message-bodies.ts";
import { newId } from "../../protocol/ids.ts";
import { pageOf } from "../../workers/api/fields.ts";
import {
  changedMessagesSchema,
  deadMessageSchema,
  deadMessageWithBodySchema,
  queueStateSchema,
} from "../../workers/api/message-schemas.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectProblem } from "./answers.ts";

useVirtualTime(); // nobody reads the queues while this is so

let world: World;
beforeEach(async () => {
  world = await createWorld();
});

const REASON = { code: "refused", message: "no partition" };

/** Sends messages of the tenant; their ids, in order. */
async function send(count: number, queue = "events", of = world): Promise<string[]> {
  const text =
    "select v1.send_message($1, $2, 'probe', jsonb_build_object('n', n)) as id from generate_series(1, $3) n";
  return (await of.sql(text, [of.tenant, queue, count])).map(({ id }) => String(id)).toSorted();
}

async function bury(ids: string[], of = world): Promise<void> {
  await of.sql("update v1.message set reads = 3 where id = any ($1)", [ids]);
  const refused = ids.map((id) => ({ id, tenant: of.tenant, reason: REASON }));
  await of.sql("select v1.bury_messages($1::jsonb)", [JSON.stringify(refused)]);
}

async function listDead(query = ""): Promise<{ items: DeadMessage[]; nextCursor: string | null }> {
  const asked = await ask(world, "GET", `/messages/dead${query}`);
  return expectAnswer(asked, 200, pageOf(deadMessageSchema));
}

async function queues(): Promise<Record<string, QueueState>> {
  const { body } = await ask<{ items: QueueState[] }>(world, "GET", "/queues");
  for (const queue of body.items) expect(queueStateSchema.parse(queue)).toEqual(queue);
  return Object.fromEntries(body.items.map((queue) => [queue.name, queue]));
}

describe("queues", () => {
  const EMPTY = {
    depth: 0,
    oldestSentAt: null,
    oldestAgeMs: null,
    readsPerMessage: null,
    mostReads: null,
  };

  test("that are empty are told to be", async () => {
    const names = ["commands", "events", "dead"];
    expect(await queues()).toEqual(
      Object.fromEntries(names.map((name) => [name, { name, ...EMPTY }])),
    );
  });

  test("tell how many messages wait, for how long, and how often they were read", async () => {
    const [first, ...others] = await send(4);
    await send(1, "commands");
    await send(7, "events", await createWorld());
    const age = "update v1.message set sent_at = to_timestamp($2), reads = $3 where id = any ($1)";
    const now = Date.now() / 1_000;
    await world.sql(age, [others, now - 30, 0]);
    await world.sql(age, [[first], now - 90, 5]);
    await bury(others.slice(0, 1));
    const told = await queues();
    expect(told["events"]).toMatchObject({ depth: 3, oldestAgeMs: 90_000, mostReads: 5 });
    expect(told["events"]?.readsPerMessage).toBeCloseTo(5 / 3);
    expect(told["commands"]).toMatchObject({ depth: 1, readsPerMessage: 0 });
    expect(told["dead"]).toMatchObject({ depth: 1, readsPerMessage: 3, mostReads: 3 });
  });
});

describe("dead messages", () => {
  test("are listed with why, oldest first, a page at a time; those that live are not", async () => {
    const ids = await send(5);
    await bury(ids.slice(0, 3));
    const first = await listDead("?limit=2");
    expect(first.items).toMatchObject(
      ids
        .slice(0, 2)
        .map((id) => ({ id, queue: "events", kind: "probe", reason: REASON, reads: 3 })),
    );
    const second = await listDead(`?limit=2&cursor=${first.nextCursor}`);
    expect(second.items.map(({ id }) => id)).toEqual(ids.slice(2, 3));
    expect(second.nextCursor).toBeNull();
    expect((await listDead("?kind=event")).items).toEqual([]);
    expect((await listDead("?kind=probe")).items).toHaveLength(3);
    await expectProblem(
      await ask(world, "GET", "/messages/dead?cursor=x"),
      "invalid_request",
      /cursor/,
    );
  });

  test("are read with their body", async () => {
    const [dead = "", alive = ""] = await send(2);
    await bury([dead]);
    const asked = await ask(world, "GET", `/messages/dead/${dead}`);
    const found = expectAnswer(asked, 200, deadMessageWithBodySchema);
    expect(found).toMatchObject({ id: dead, body: { n: expect.any(Number) }, reason: REASON });
    for (const id of [alive, newId()]) {
      const unknown = await ask(world, "GET", `/messages/dead/${id}`);
      await expectProblem(unknown, "message_not_found", /There is no dead message/);
    }
  });

  test("are sent again, one or many; those that live are passed over", async () => {
    const [one = "", two = "", three = "", alive = ""] = await send(4);
    await bury([one, two, three]);
    const single = await ask(world, "POST", `/messages/dead/${one}/resend`);
    expect(expectAnswer(single, 200, changedMessagesSchema)).toEqual({ ids: [one] });
    const again = await ask(world, "POST", `/messages/dead/${one}/resend`);
    await expectProblem(again, "message_not_found", /There is no dead message/);
    const many = await ask(world, "POST", "/messages/dead/resend", {
      ids: [two, three, alive, newId()],
    });
    expect(expectAnswer(many, 200, changedMessagesSchema).ids.toSorted()).toEqual([two, three]);
    expect(await queues()).toMatchObject({
      dead: { depth: 0 },
      events: { depth: 4, readsPerMessage: 0 },
    });
  });

  test("are deleted, one or many; those that live are passed over", async () => {
    const [one = "", two = "", three = "", alive = ""] = await send(4);
    await bury([one, two, three]);
    const single = await ask(world, "DELETE", `/messages/dead/${one}`);
    expect(expectAnswer(single, 200, changedMessagesSchema)).toEqual({ ids: [one] });
    const again = await ask(world, "DELETE", `/messages/dead/${one}`);
    await expectProblem(again, "message_not_found", /There is no dead message/);
    const many = await ask(world, "POST", "/messages/dead/delete", { ids: [two, three, alive] });
    expect(expectAnswer(many, 200, changedMessagesSchema).ids.toSorted()).toEqual([two, three]);
    expect(await queues()).toMatchObject({ dead: { depth: 0 }, events: { depth: 1 } });
  });
});
