/** Notifications: stored over the API, and delivered by runs of Skein's own workflow, signed. */
import { beforeEach, describe, expect, test } from "vitest";
import type { NotificationBody, StoredNotification } from "../../protocol/notification-bodies.ts";
import type { Attempt, Page, RunSummary } from "../../protocol/http.ts";
import { MAX_NOTIFICATIONS } from "../../protocol/limits.ts";
import { pageOf } from "../../workers/api/fields.ts";
import {
  notificationSchema,
  storedNotificationSchema,
} from "../../workers/api/notification-schemas.ts";
import { signedHeaders } from "../../workers/notifications/sign.ts";
import { FakeEndpoint, seen } from "../support/fake-endpoint.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";

let world: World;
let worker: FakeWorker;
let endpoint: FakeEndpoint;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "only" }] });
  worker = await world.connectWorker({ actions: ["job:only"], slots: 10 });
  endpoint = new FakeEndpoint();
  return () => endpoint.close();
});

async function put(rest: object = {}, name = "alerts"): Promise<StoredNotification> {
  const body = { url: endpoint.url, ...rest };
  const { status, body: stored } = await world.call<StoredNotification>(
    "PUT",
    `/notifications/${name}`,
    body,
  );
  expect(status, JSON.stringify(stored)).toBeLessThan(300);
  return stored;
}

/** A run that has ended so. */
async function end(how: "completed" | "failed" | "cancelled"): Promise<string> {
  const { id } = await world.startRun({ workflow: "job", metadata: { how } });
  const task = await worker.receiveTask({ run: id });
  if (how === "completed") worker.complete(task);
  else if (how === "failed") worker.fail(task, "no luck");
  else await world.call("POST", `/runs/${id}/cancel`);
  if (how !== "cancelled") await worker.receive("recorded");
  await world.settled();
  return id;
}

async function deliveries(): Promise<RunSummary[]> {
  const { body } = await world.call<Page<RunSummary>>("GET", "/runs?workflow=skein.notify");
  return body.items;
}

/** Runs that deliver, once so many have ended. */
async function delivered(count: number): Promise<RunSummary[]> {
  return await seen(`The end of ${count} deliveries`, async () => {
    const all = await deliveries();
    const ended = all.filter(({ finishedAt }) => finishedAt !== null);
    return ended.length === count ? all : undefined;
  });
}

/** The attempts of the only delivery, once so many have ended. */
async function attempted(count: number): Promise<Attempt[]> {
  return await seen(`The end of ${count} attempts`, async () => {
    const [delivery] = await deliveries();
    const attempts = delivery && (await world.readRun(delivery.id)).tasks[0]?.attempts;
    return attempts?.length === count ? attempts : undefined;
  });
}

describe("a notification", () => {
  test("tells its endpoint of a run that has failed, signed, by a run of its own", async () => {
    const { secret = "" } = await put();
    const run = await end("failed");
    const { body, headers } = await endpoint.receive();
    const message = JSON.parse(body) as NotificationBody;
    expect(message).toMatchObject({
      type: "run.failed",
      data: {
        id: run,
        workflow: "job",
        state: "failed",
        metadata: { how: "failed" },
        error: { step: "only", message: "no luck" },
      },
    });
    const id = headers.get("webhook-id") ?? "";
    const timestamp = Number(headers.get("webhook-timestamp"));
    expect(Math.abs(timestamp - Date.now() / 1_000)).toBeLessThan(60);
    const signed = await signedHeaders([secret], { id, timestamp, body });
    expect(headers.get("webhook-signature")).toBe(signed["webhook-signature"]);
    expect(await delivered(1)).toMatchObject([
      { id, state: "completed", metadata: { notification: "alerts" } },
    ]);
  });

  test("is of the ends that it asks for, and of workflows that it names", async () => {
    await put({ on: ["completed", "cancelled"] });
    await put({ on: ["completed"], workflows: ["other"] }, "others");
    await end("failed");
    const cancelled = await end("cancelled");
    const first = JSON.parse((await endpoint.receive()).body) as NotificationBody;
    expect([first.type, first.data.id]).toEqual(["run.cancelled", cancelled]);
    const completed = await end("completed");
    const second = JSON.parse((await endpoint.receive()).body) as NotificationBody;
    expect([second.type, second.data.id]).toEqual(["run.completed", completed]);
    expect(await delivered(2)).toHaveLength(2);
  });

  test("is tried again after a while, with the same id, until it is taken", async () => {
    await put();
    endpoint.answers.push(500, 302);
    await end("failed");
    const first = await endpoint.receive();
    await attempted(1);
    await world.advance(5_000);
    const second = await endpoint.receive();
    await attempted(2);
    await world.advance(25_000);
    const third = await endpoint.receive();
    const ids = [first, second, third].map(({ headers }) => headers.get("webhook-id"));
    expect(new Set(ids).size).toBe(1);
    const [delivery] = await delivered(1);
    expect(delivery).toMatchObject({ id: ids[0], state: "completed" });
    expect((await attempted(3)).map(({ error }) => error?.message)).toEqual([
      "The endpoint has answered 500. It is told by any status from 200 to 299.",
      "The endpoint has answered 302. It is told by any status from 200 to 299.",
      undefined,
    ]);
  });

  test("ends when its endpoint says that it is gone, until it is stored again", async () => {
    await put();
    endpoint.answers.push(410);
    await end("failed");
    await endpoint.receive();
    expect(await delivered(1)).toMatchObject([{ state: "failed" }]);
    const read = await ask(world, "GET", "/notifications/alerts");
    expect(expectAnswer(read, 200, notificationSchema).goneAt).not.toBeNull();
    await end("failed");
    expect(await deliveries()).toHaveLength(1);
    expect((await put()).goneAt).toBeNull();
    await end("failed");
    await endpoint.receive();
  });

  test("goes on when the shard has died while it was delivered", async () => {
    await put();
    const answer = endpoint.hold();
    await end("failed");
    await endpoint.receive();
    await world.crashShard();
    answer();
    await world.shard.nudge();
    expect(await delivered(1)).toMatchObject([{ state: "completed" }]);
    expect(await attempted(1)).toHaveLength(1);
  });

  test("is told of no run of its own, and of no child but where it names the workflow", async () => {
    await put({ on: ["completed", "failed"] });
    await world.register({ name: "parent", steps: [{ name: "only" }] });
    const parent = await world.connectWorker({ actions: ["parent:only"] });
    const { id } = await world.startRun({ workflow: "parent" });
    const task = await parent.receiveTask({ run: id });
    const children = [{ key: "k", workflow: "job", input: null, metadata: {} }];
    parent.say({ type: "spawn", task: task.task, attempt: 1, children });
    worker.complete(await worker.receiveTask());
    await worker.receive("recorded");
    parent.complete(task);
    const told = JSON.parse((await endpoint.receive()).body) as NotificationBody;
    expect(told.data).toMatchObject({ workflow: "parent", id });
    expect(await delivered(1)).toMatchObject([{ state: "completed" }]);
  });
});

describe("over the API", () => {
  test("it is stored, changed, listed, read and deleted, and its secret told once", async () => {
    const stored = await ask(world, "PUT", "/notifications/alerts", { url: endpoint.url });
    const { secret, ...shown } = expectAnswer(stored, 201, storedNotificationSchema);
    expect(secret).toMatch(/^whsec_/);
    expect(shown).toMatchObject({ on: ["failed"], workflows: null, goneAt: null });
    const change = { url: "https://other.example.com/x", on: ["completed"], workflows: ["job"] };
    const changed = await ask(world, "PUT", "/notifications/alerts", change);
    expect(expectAnswer(changed, 200, storedNotificationSchema)).toMatchObject(change);
    const list = await ask(world, "GET", "/notifications");
    expect(expectAnswer(list, 200, pageOf(notificationSchema)).items).toMatchObject([change]);
    expect(JSON.stringify([changed.body, list.body])).not.toContain("whsec_");
    const [row] = await world.sql("select secrets from v1.notification where tenant_id = $1", [
      world.tenant,
    ]);
    expect(row).toEqual({ secrets: [secret] });
    expect((await world.call("DELETE", "/notifications/alerts")).status).toBe(200);
    for (const method of ["GET", "DELETE"]) {
      const asked = await ask(world, method, "/notifications/alerts");
      await expectProblem(asked, "notification_not_found", /no notification "alerts"/);
    }
  });

  test.each([
    ["http://example.com/x", /https/],
    ["https://user:word@example.com", /without a name or password/],
    ["ftp://example.com", /https/],
    ["not an address", /https/],
  ])("the address %s is refused", async (url, says) => {
    await expectNoTrace(world, async () => {
      const asked = await ask(world, "PUT", "/notifications/alerts", { url });
      await expectProblem(asked, "invalid_request", says);
    });
  });

  test.each([["whsec_"], ["whsec_c2hvcnQ="], ["secret"], ["whsec_%%%"]])(
    "the secret %s is refused",
    async (secret) => {
      const body = { url: endpoint.url, secrets: [secret] };
      const asked = await ask(world, "PUT", "/notifications/alerts", body);
      await expectProblem(asked, "invalid_request", /base64 of 24 to 64 bytes/);
    },
  );

  test("there are only so many", async () => {
    await put();
    await world.sql(
      `insert into v1.notification (tenant_id, name, url, states, secrets)
         select $1, 'n' || n, 'https://a.example.com', '{failed}', '{x}' from generate_series(1, $2::integer) n`,
      [world.tenant, MAX_NOTIFICATIONS - 1],
    );
    const asked = await ask(world, "PUT", "/notifications/more", { url: endpoint.url });
    await expectProblem(asked, "too_many_notifications", /Delete one/);
    await put({ on: ["completed"] });
  });

  test("no workflow of somebody else has a name of Skein's own", async () => {
    const definition = { name: "skein.notify", steps: [{ name: "deliver" }] };
    const asked = await ask(world, "PUT", "/workflows/skein.notify", definition);
    await expectProblem(asked, "invalid_request", /must not begin with skein\./);
  });
});
