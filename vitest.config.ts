/**
 * Five kinds of test in one run. `pure`: decisions, the SDK, the shape of the code; no database.
 * `database`: SQL and the local stack, on real databases. `workerd`: the shard and the API inside
 * the platform's own runtime, with virtual time. `flow`: whole stories with real processes that get
 * killed. `simulation`: everything at once under a virtual clock, on new seeds each time.
 */
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** As `scripts/queue-bindings.ts` makes it. */
const QUEUE_CONSUMER = { maxBatchSize: 100, maxBatchTimeout: 0, maxRetries: 100 };

const DATABASES = ["./test/support/databases.ts"];

export default defineConfig({
  resolve: { alias: { "@skein/sdk": new URL("sdk/index.ts", import.meta.url).pathname } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "pure",
          include: [
            "test/*.test.ts",
            "test/chaos/{checker,ledger,recovery}.test.ts",
            "test/simulation/checks/*.test.ts",
            "test/{bench,dispatcher,examples,expressions,protocol,sdk,workers}/**/*.test.ts",
          ],
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: "database",
          include: ["test/{functions,local}/**/*.test.ts"],
          globalSetup: DATABASES,
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        extends: true,
        plugins: [
          cloudflareTest(({ inject }) => ({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                DATABASE_URL: inject("main").databaseUrl,
                NEON_ENDPOINT: inject("main").neon,
                OWNER_URL: inject("main").ownerUrl,
                ADMIN_SECRET: "operator-secret",
                LOG_LEVEL: "error",
              },
              // Miniflare's own, with which the other broker is held to the same tests.
              queueProducers: {
                COMMANDS_QUEUE: { queueName: "skein-commands" },
                EVENTS_QUEUE: { queueName: "skein-events" },
              },
              queueConsumers: {
                "skein-commands": QUEUE_CONSUMER,
                "skein-events": QUEUE_CONSUMER,
              },
            },
          })),
        ],
        test: {
          name: "workerd",
          include: [
            "test/{shard,api}/**/*.test.ts",
            "test/expressions/{conformance,evaluation,language}.test.ts", // in both runtimes
          ],
          globalSetup: DATABASES,
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: "flow",
          sequence: { groupOrder: 1 },
          include: ["test/flow/**/*.test.ts", "test/chaos/chaos.test.ts"],
          globalSetup: DATABASES,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false, // each has a stack of its own, and a machine may have two cores
        },
      },
      {
        extends: true,
        test: {
          name: "simulation",
          sequence: { groupOrder: 2 }, // after the others: it takes every core for minutes
          include: ["test/simulation/*.test.ts"],
          fileParallelism: false, // each runs a thread for each core
        },
      },
    ],
  },
});
