/** What callers hear when the database or the shard can't do their call, or something is broken. */
import { beforeEach, expect, test, vi } from "vitest";
import { START_TIMEOUT_MS } from "../../durable-objects/dispatcher/limits.ts";
import { app } from "../../workers/api/app.ts";
import type { Environment } from "../../workers/environment.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { type Asked, ask, expectProblem } from "./answers.ts";

useVirtualTime();

beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => {}); // each of these is logged as an error
});

/** A call to a Worker whose surroundings are not as they should be. Its isolate knows the token. */
async function askBroken(
  world: World,
  path: string,
  broken: Partial<Environment>,
  more: Record<string, string> = {},
): Promise<Asked> {
  await world.call("GET", "/shards");
  const response = await app.request(
    `/api/v1${path}`,
    { headers: { authorization: `Bearer ${world.token}`, ...more } },
    { ...world.env, ...broken },
  );
  const { status, headers } = response;
  return { method: "GET", path, status, headers, body: await response.json() };
}

test("a database that can't be reached is said to be that, and when to try again", async () => {
  const world = await createWorld();
  const asked = await askBroken(world, "/runs", { NEON_ENDPOINT: "127.0.0.1:9" });
  await expectProblem(asked, "database_unavailable", /Try again in a moment/);
  expect(asked.headers.get("retry-after")).toBe("2");
});

test("a fault of our own tells its request's id, and nothing of itself", async () => {
  const world = await createWorld();
  const broken = {
    getByName: () => {
      throw new Error("secret-host");
    },
  } as unknown as Environment["DISPATCHER"];
  const asked = await askBroken(
    world,
    "/shards/0/session",
    { DISPATCHER: broken },
    { upgrade: "websocket" },
  );
  const problem = await expectProblem(asked, "internal_error", /ask with the request's id/);
  expect(JSON.stringify(problem)).not.toContain("secret-host");
});

test("a shard that can't be reached is said to be overloaded", async () => {
  const world = await createWorld();
  const asked = await askBroken(world, "/workers", {
    DISPATCHER: {
      getByName: () => ({ workers: () => Promise.reject(new Error("no shard")) }),
    } as unknown as Environment["DISPATCHER"],
  });
  await expectProblem(asked, "overloaded", /can't take the call now/);
});

test.each([
  ["a start", "/runs", /same idempotency key/],
  ["a cancellation", "", /a run is cancelled once/],
])("%s that is not made durable in time may still be", async (_what, path, detail) => {
  const world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "only" }] });
  const { id } = await world.startRun({ workflow: "job" });
  await world.settled();
  const held = await world.holdCommits();
  const asked = ask(world, "POST", path || `/runs/${id}/cancel`, path ? { workflow: "job" } : {});
  await expect.poll(() => held.countWaiting()).toBe(1);
  await world.advance(START_TIMEOUT_MS, { isStuck: true });
  await expectProblem(await asked, "database_unavailable", detail);
  await held.release();
  await world.settled();
});
