/** One line of the configuration chooses the broker, for the Worker and for its deployment. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { MessageBindings } from "../../messages/choice.ts";
import { messageQueueOf } from "../../messages/choice.ts";
import type { MessageId } from "../../messages/cloudflare-queue.ts";
import { usesCloudflareQueues, withQueues } from "../../scripts/queue-bindings.ts";

function bindings(more: Partial<MessageBindings> = {}): {
  env: MessageBindings;
  nudged: string[];
  sent: [queue: string, ids: string[]][];
} {
  const nudged: string[] = [];
  const sent: [string, string[]][] = [];
  const queue = (name: string): Queue<MessageId> =>
    ({
      sendBatch: (batch: Iterable<{ body: MessageId }>) => {
        sent.push([name, Array.from(batch, ({ body }) => `${body.tenant}/${body.id}`)]);
        return Promise.resolve();
      },
    }) as unknown as Queue<MessageId>;
  const getByName = (name: string) => ({
    nudge: () => {
      nudged.push(name);
      return Promise.resolve();
    },
  });
  const queues = { COMMANDS_QUEUE: queue("commands"), EVENTS_QUEUE: queue("events") };
  return { env: { QUEUE_DRAIN: { getByName }, ...queues, ...more }, nudged, sent };
}

const HOME = { number: 0 };

const SENT = [
  { queue: "events" as const },
  { queue: "events" as const },
  { queue: "commands" as const, tenant: "t", ids: ["a", "b"] },
];

test("without a word it is pgmq: each queue's drain is nudged once", async () => {
  const { env, nudged, sent } = bindings();
  await messageQueueOf(env, HOME).announce(SENT);
  expect(nudged.toSorted()).toEqual(["commands/0", "events/0"]);
  expect(sent).toEqual([]);
});

test("with Cloudflare Queues ids are sent, a hundred at a time", async () => {
  const { env, nudged, sent } = bindings({ MESSAGE_BROKER: "cloudflare-queues" });
  const ids = Array.from({ length: 150 }, (_, n) => `id-${n}`);
  await messageQueueOf(env, HOME).announce([...SENT, { queue: "events", tenant: "t", ids }]);
  expect(sent.map(([queue, those]) => [queue, those.length])).toEqual([
    ["commands", 2],
    ["events", 100],
    ["events", 50],
  ]);
  expect(sent[0]).toEqual(["commands", ["t/a", "t/b"]]);
  expect(nudged).toEqual([]);
});

test("a broker that is none, or has no bindings, is said to be that", () => {
  const { env } = bindings();
  expect(() => messageQueueOf({ ...env, MESSAGE_BROKER: "kafka" }, HOME)).toThrow(
    /"kafka": it must be/,
  );
  const unbound = { ...env, MESSAGE_BROKER: "cloudflare-queues", EVENTS_QUEUE: undefined };
  expect(() => messageQueueOf(unbound, HOME)).toThrow(/npm run deploy/);
});

test("a deployment has queues bound only where they are the broker", () => {
  const configuration = readFileSync("wrangler.toml", "utf8");
  expect(usesCloudflareQueues(configuration)).toBe(false);
  const chosen = configuration.replace(
    'MESSAGE_BROKER = "pgmq"',
    'MESSAGE_BROKER = "cloudflare-queues"',
  );
  expect(usesCloudflareQueues(chosen)).toBe(true);
  for (const queue of ["commands", "events"]) {
    expect(withQueues(chosen)).toContain(
      `binding = "${queue.toUpperCase()}_QUEUE"\nqueue = "skein-${queue}"`,
    );
    expect(withQueues(chosen)).toContain(`[[queues.consumers]]\nqueue = "skein-${queue}"`);
  }
});
