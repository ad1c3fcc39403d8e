/** What a client says of webhooks: stores, reads, lists and deletes them, and asks what was refused. */
import { expect, onTestFinished, test } from "vitest";
import { Client, DefinitionError } from "../../sdk/index.ts";
import { FakeShard, problem, TOKEN } from "./fake-shard.ts";

async function createClient(): Promise<{ server: FakeShard; skein: Client }> {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  return { server, skein: new Client({ url: server.url, token: TOKEN, random: () => 0 }) };
}

test("a webhook is stored with what is said of it, and no more", async () => {
  const { server, skein } = await createClient();
  const stored = { name: "shop", path: "/api/v1/webhooks/t/shop", secretCount: 2 };
  server.on("PUT /webhooks/shop", () => ({ status: 201, body: stored }));
  const answer = await skein.webhooks.put("shop", {
    provider: "hmac",
    secrets: ["new", "old"],
    description: undefined,
    eventKey: '"shop:" + body.type',
    headers: ["x-topic"],
    tolerance: "1m",
    signature: { header: "x-sign", encoding: "base64", timestampHeader: "x-time" },
  });
  expect(answer).toEqual(stored);
  await skein.webhooks.put("shop", { provider: "hmac", signature: { header: "x-sign" } });
  expect(server.requestsTo("PUT /webhooks/shop").map(({ body }) => body)).toEqual([
    {
      provider: "hmac",
      secrets: ["new", "old"],
      eventKey: '"shop:" + body.type',
      headers: ["x-topic"],
      toleranceMs: 60_000,
      signature: { header: "x-sign", encoding: "base64", timestampHeader: "x-time" },
    },
    { provider: "hmac", signature: { header: "x-sign" } },
  ]);
});

test.each(["0s", "2d", "soon" as "1s"] as const)(
  "a tolerance of %s is refused before anything is sent",
  async (tolerance) => {
    const { server, skein } = await createClient();
    const put = skein.webhooks.put("pay", { provider: "stripe", secrets: ["a"], tolerance });
    await expect(put).rejects.toThrow(DefinitionError);
    await expect(put).rejects.toThrow('The tolerance of webhook "pay"');
    expect(server.requests).toEqual([]);
  },
);

test("webhooks are read, listed by pages, and deleted; and what was refused is told", async () => {
  const { server, skein } = await createClient();
  const stored = { name: "a/b", provider: "github", secretCount: 1 };
  const failure = { code: "wrong_signature", detail: null, at: "2026-01-31T12:00:00.000Z" };
  server.on("GET /webhooks/a%2Fb", () => ({ body: stored }));
  server.on("GET /webhooks/a%2Fb/failures", () => ({ body: { items: [failure] } }));
  server.on("GET /webhooks", () => ({ body: { items: [stored], nextCursor: "c2" } }));
  server.on("DELETE /webhooks/a%2Fb", () => ({ body: { name: "a/b" } }));
  expect(await skein.webhooks.get("a/b")).toEqual(stored);
  expect(await skein.webhooks.failures("a/b")).toEqual([failure]);
  expect(await skein.webhooks.list({ cursor: "c1", limit: 2 })).toEqual({
    items: [stored],
    nextCursor: "c2",
  });
  expect(Object.fromEntries(server.requestsTo("GET /webhooks")[0]?.query ?? [])).toEqual({
    cursor: "c1",
    limit: "2",
  });
  expect(await skein.webhooks.delete("a/b")).toBeUndefined();
});

test("a webhook that is not there says so", async () => {
  const { server, skein } = await createClient();
  server.on("GET /webhooks/none", () => problem(404, "webhook_not_found", 'No webhook "none"'));
  await expect(skein.webhooks.get("none")).rejects.toMatchObject({
    status: 404,
    code: "webhook_not_found",
  });
});
