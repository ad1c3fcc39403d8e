/** What a client says of messages: how many wait, and what is done about the dead. */
import { expect, onTestFinished, test } from "vitest";
import { Client } from "../../sdk/index.ts";
import { FakeShard, problem, TOKEN } from "./fake-shard.ts";

async function createClient(): Promise<{ server: FakeShard; skein: Client }> {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  return { server, skein: new Client({ url: server.url, token: TOKEN, random: () => 0 }) };
}

test("queues and dead messages are read, by pages and by id", async () => {
  const { server, skein } = await createClient();
  server.on("GET /queues", () => ({ body: { items: [{ name: "dead", depth: 2 }] } }));
  server.on("GET /messages/dead", () => ({ body: { items: [], nextCursor: "c2" } }));
  server.on("GET /messages/dead/a", () => ({ body: { id: "a", body: 7 } }));
  expect(await skein.messages.queues()).toEqual([{ name: "dead", depth: 2 }]);
  const page = await skein.messages.dead.list({ kind: "event", limit: 2, cursor: "c1" });
  expect(page).toEqual({ items: [], nextCursor: "c2" });
  expect(Object.fromEntries(server.requestsTo("GET /messages/dead")[0]?.query ?? [])).toEqual({
    kind: "event",
    limit: "2",
    cursor: "c1",
  });
  expect(await skein.messages.dead.get("a")).toEqual({ id: "a", body: 7 });
});

test("a dead message is sent again, or deleted; of one that is not there the problem is told", async () => {
  const { server, skein } = await createClient();
  server.on("POST /messages/dead/a/resend", () => ({ body: { ids: ["a"] } }));
  server.on("DELETE /messages/dead/a", () => problem(404, "message_not_found", "None"));
  expect(await skein.messages.dead.resend("a")).toBeUndefined();
  await expect(skein.messages.dead.delete("a")).rejects.toMatchObject({
    status: 404,
    code: "message_not_found",
  });
});

test("many are sent again or deleted in calls of a thousand; those that were dead are told", async () => {
  const { server, skein } = await createClient();
  for (const what of ["resend", "delete"]) {
    server.on(`POST /messages/dead/${what}`, () => ({ body: { ids: ["id-0"] } }));
  }
  const ids = Array.from({ length: 1_001 }, (_, n) => `id-${n}`);
  expect(await skein.messages.dead.resendMany(ids)).toEqual(["id-0", "id-0"]);
  expect(await skein.messages.dead.deleteMany(ids)).toEqual(["id-0", "id-0"]);
  for (const what of ["resend", "delete"]) {
    const bodies = server.requestsTo(`POST /messages/dead/${what}`).map(({ body }) => body);
    expect(bodies).toEqual([{ ids: ids.slice(0, 1_000) }, { ids: ids.slice(1_000) }]);
  }
});
