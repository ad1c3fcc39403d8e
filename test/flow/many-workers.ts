/**
 * One process with a worker for each of many tenants: the same workflow, steps and limits in all of them,
 * but each tenant's handlers know whose they are, and tell it.
 */
import { serveParent } from "../../local/child-side.ts";
import { z } from "zod";
import { Client, worker, type Worker, workflow } from "../../sdk/index.ts";

/** Stored in each tenant, under this one name. */
export const LIMIT = "one-at-a-time";

export interface ManyWorkersOptions {
  url: string;
  tenants: { name: string; token: string }[];
}

const AT_ONCE = 16; // workers that are being started

/** The input of every run, and the payload of every event: whose it is. */
const owned = z.object({ tenant: z.string() });

/** What the handlers have seen. */
export interface Seen {
  /** At once, of one tenant, under the limit that each has: the most. */
  mostAtOnce: number;
  /** Tenants whose first task ran at the same time. */
  tenantsAtOnce: number;
}

/** The same for every tenant, but for what its handlers know. */
function orderOf(tenant: string, take: () => Promise<void>) {
  const order = workflow({
    name: "order",
    input: owned,
    on: { events: ["order:placed"] },
    // Two runs of each event, which then have to share.
    filters: [1, 2].map((payload) => ({ expression: "input.tenant != ''", payload })),
  });
  const taken = order.step("take", {
    limits: [{ limit: LIMIT, key: "'everybody'" }],
    timeout: "5m",
    run: async ({ input }) => {
      await take();
      return { by: tenant, of: input.tenant };
    },
  });
  order.step("check", {
    parents: [taken],
    waitFor: { event: "order:checked" },
    run: ({ waited, parents }) => ({
      by: tenant,
      of: parents.take.of,
      told: waited?.met.map(({ event }) => event?.payload ?? null) ?? [],
    }),
  });
  return order;
}

/** For clients. */
export const order = orderOf("nobody", () => Promise.resolve());

// The test imports what is above; this is its child.
if (process.connected && process.argv[1] === import.meta.filename) {
  serveParent<ManyWorkersOptions, null>(async ({ url, tenants }, { log, fail }) => {
    const seen: Seen = { mostAtOnce: 0, tenantsAtOnce: 0 };
    const all = Promise.withResolvers<void>();
    const waiting = new Set<string>();

    /** The first task of each tenant waits for the first of every other: nothing may keep them apart. */
    const takerOf = (tenant: string): (() => Promise<void>) => {
      let running = 0;
      return async () => {
        seen.mostAtOnce = Math.max(seen.mostAtOnce, ++running);
        waiting.add(tenant);
        seen.tenantsAtOnce = Math.max(seen.tenantsAtOnce, waiting.size);
        if (waiting.size === tenants.length) all.resolve();
        await all.promise;
        running--;
      };
    };

    const workers: Worker[] = [];
    const left = [...tenants];
    const startSome = async (): Promise<void> => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        const { name, token } = next;
        const one = worker({
          workflows: [orderOf(name, takerOf(name))],
          slots: 4,
          name,
          client: new Client({ url, token }),
          signals: [],
          log: (level, line) => level === "warn" && log(`${name}: ${line}`),
        });
        await one.start();
        one.stopped.catch((error: unknown) => fail(new Error(String(error))));
        workers.push(one);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, startSome));
    return {
      ready: null,
      answers: { seen: () => Promise.resolve(seen) },
      close: async () => void (await Promise.all(workers.map((one) => one.stop({ graceMs: 0 })))),
    };
  });
}
