/** Notifications by the client. */
import { expect, onTestFinished, test } from "vitest";
import { Client } from "../../sdk/index.ts";
import { FakeShard, TOKEN } from "./fake-shard.ts";

test("a notification is stored, read, listed and deleted", async () => {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  const skein = new Client({ url: server.url, token: TOKEN, random: () => 0 });
  const path = "/notifications/a%20b";
  for (const asked of [`PUT ${path}`, `GET ${path}`, `DELETE ${path}`, "GET /notifications"]) {
    server.on(asked, () => ({ body: { secret: "whsec_x" } }));
  }
  const url = "https://hooks.example.com/x";
  expect(await skein.notifications.put("a b", { url })).toEqual({ secret: "whsec_x" });
  await skein.notifications.put("a b", {
    url,
    on: ["completed"],
    workflows: ["w"],
    secrets: ["s"],
  });
  await skein.notifications.get("a b");
  await skein.notifications.list({ limit: 3 });
  await skein.notifications.delete("a b");
  expect(server.requestsTo(`PUT ${path}`).map(({ body }) => body)).toEqual([
    { url },
    { url, on: ["completed"], workflows: ["w"], secrets: ["s"] },
  ]);
  expect(server.requestsTo(`DELETE ${path}`)).toHaveLength(1);
});
