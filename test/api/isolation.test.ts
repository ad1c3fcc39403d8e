/**
 * What is one tenant's, another can't see, start or stop. Goes through every operation of the OpenAPI
 * document: a new one without a test here fails.
 */
import { beforeAll, describe, expect, test } from "vitest";
import type { ProblemCode } from "../../protocol/errors.ts";
import { createWorld, type World } from "../support/world.ts";
import { fromGithub } from "../support/signed-deliveries.ts";
import { ask, expectNoTrace, expectProblem, listOperations } from "./answers.ts";
import { deliver } from "./delivering.ts";
import { historyAttempts } from "./isolation-of-history.ts";

/** Whose things they are, and who tries to get at them. */
let owner: World;
let other: World;
let runs: string[];
let token: string;
/** The owner's worker. */
let session: string;
/** One of the owner's that is dead. */
let message: string;
/** Of the owner: a filter that can't be evaluated, and an event for which it was. */
let filter: string;
let event: string;
/** The owner's first run, as an import of the owner's. */
let imported: string;

const SECRET = "a-word-that-only-the-owner-has";

beforeAll(async () => {
  owner = await createWorld();
  other = await createWorld();
  await owner.register({ name: SECRET, events: [SECRET], steps: [{ name: "only" }] });
  const worker = await owner.connectWorker({ actions: [`${SECRET}:only`], slots: 1 });
  const start = {
    workflow: SECRET,
    input: SECRET,
    metadata: { of: SECRET },
    idempotencyKey: SECRET,
  };
  await owner.call("PUT", `/limits/${SECRET}`, { concurrency: 1 });
  await owner.call("PUT", `/webhooks/${SECRET}`, { provider: "github", secrets: [SECRET] });
  const first = await owner.startRun(start);
  const { task, attempt, ...rest } = await worker.receiveTask();
  const line = { level: "info" as const, message: SECRET, at: Date.now() };
  worker.say({ type: "log", task, attempt, first: 0, lines: [line] });
  worker.complete({ task, attempt, ...rest }, SECRET);
  await worker.receive("recorded");
  worker.say({ type: "drain" });
  session = worker.welcome?.session ?? "";
  runs = [first.id, (await owner.startRun({ workflow: SECRET })).id];
  await owner.call("PUT", `/notifications/${SECRET}`, { url: `https://${SECRET}.test/` });
  const condition = { workflow: SECRET, expression: "input.none", payload: SECRET };
  filter = (await owner.call<{ id: string }>("POST", "/filters", condition)).body.id;
  const published = { key: SECRET, payload: { of: SECRET } };
  event = (await owner.call<{ id: string }>("POST", "/events", published)).body.id;
  const [row] = await owner.sql("select id from v1.api_token where tenant_id = $1", [owner.tenant]);
  token = String(row?.["id"]);
  const [sent] = await owner.sql(
    `select v1.send_message($1, 'commands', 'probe', to_jsonb($2::text)) as id from generate_series(1, 2)`,
    [owner.tenant, SECRET],
  );
  message = String(sent?.["id"]);
  await owner.call("PUT", "/tenant/retention", { days: 1234 });
  const { body: document } = await owner.call("GET", `/runs/${runs[0]}/export`);
  imported = (await owner.call<{ id: string }>("POST", "/imports", document)).body.id;
  await owner.sql("select v1.bury_messages($1::jsonb)", [
    JSON.stringify([
      { id: message, tenant: owner.tenant, reason: { code: "refused", message: SECRET } },
    ]),
  ]);
});

/** How the other tenant tries each operation on what is the owner's; by operation. */
const ATTEMPTS: Record<string, () => Promise<void>> = {
  registerWorkflow: async () => {
    const definition = { name: SECRET, steps: [{ name: "taken-over" }] };
    const { status, body } = await ask<{ id: string }>(
      other,
      "PUT",
      `/workflows/${SECRET}`,
      definition,
    );
    expect(status).toBe(201); // a workflow of its own, of the same name
    expect(JSON.stringify(await owner.call("GET", `/workflows/${SECRET}`))).not.toContain(body.id);
    await renewOther();
  },
  listWorkflows: () => seesNothing("/workflows"),
  readWorkflow: () => isNotFound(`/workflows/${SECRET}`, "workflow_not_found"),
  startRun: async () => {
    const asked = await ask(other, "POST", "/runs", { workflow: SECRET });
    await expectProblem(asked, "workflow_not_found", /No workflow/);
  },
  startRuns: async () => {
    const asked = await ask(other, "POST", "/runs/bulk", { runs: [{ workflow: SECRET }] });
    await expectProblem(asked, "workflow_not_found", /No workflow/);
  },
  listRuns: async () => {
    for (const query of ["", `workflow=${SECRET}`, `metadata.of=${SECRET}`, `cursor=${runs[1]}`]) {
      await seesNothing(`/runs?${query}`);
    }
  },
  readRun: async () => {
    for (const run of runs) await isNotFound(`/runs/${run}`, "run_not_found");
  },
  readRunResult: async () => {
    for (const run of runs) {
      await isNotFound(`/runs/${run}/result`, "run_not_found");
      await isNotFound(`/runs/${run}/result?waitMs=60000`, "run_not_found");
    }
  },
  cancelRun: () => isUnknown("POST", `/runs/${runs[1]}/cancel`, "run_not_found"),
  cancelRuns: async () => {
    for (const filter of [
      { workflow: SECRET },
      { state: "queued" },
      { until: "2100-01-01T00:00:00Z" },
    ]) {
      const { body } = await ask(other, "POST", "/runs/cancel", filter);
      expect(body).toEqual({ cancelled: 0, hasMore: false });
    }
  },
  replayRun: () => isUnknown("POST", `/runs/${runs[0]}/replay`, "run_not_found"),
  replayRuns: async () => {
    for (const filter of [
      { workflow: SECRET },
      { state: "completed" },
      { metadata: { of: SECRET } },
    ]) {
      const { status, body } = await ask(other, "POST", "/runs/replay", { filter });
      expect([status, body]).toEqual([201, { runs: [], nextCursor: null }]);
    }
  },
  ...historyAttempts({
    owner: () => owner,
    other: () => other,
    runs: () => runs,
    imported: () => imported,
    secret: SECRET,
    renewOther,
    seesNothing,
    isNotFound,
    isUnknown,
  }),
  pauseWorkflow: () =>
    isUnknown("PUT", `/workflows/${SECRET}/pause`, "workflow_not_found", { mode: "drop" }),
  listVersions: () => isNotFound(`/workflows/${SECRET}/versions`, "workflow_not_found"),
  readVersion: () => isNotFound(`/workflows/${SECRET}/versions/1`, "workflow_not_found"),
  diffVersions: () => isNotFound(`/workflows/${SECRET}/diff?from=1`, "workflow_not_found"),
  listWorkflowChanges: () => isNotFound(`/workflows/${SECRET}/changes`, "workflow_not_found"),
  activateVersion: () =>
    isUnknown("POST", `/workflows/${SECRET}/activate`, "workflow_not_found", { version: 1 }),
  rollBack: () => isUnknown("POST", `/workflows/${SECRET}/rollback`, "workflow_not_found"),
  promoteVersion: () =>
    isUnknown("PUT", `/workflows/${SECRET}/promotion`, "workflow_not_found", {
      version: 1,
      percent: 1,
    }),
  endPromotion: () => isUnknown("DELETE", `/workflows/${SECRET}/promotion`, "workflow_not_found"),
  putLimit: async () => {
    const { status } = await ask(other, "PUT", `/limits/${SECRET}`, { concurrency: 7 });
    expect(status).toBe(201);
    const { body } = await owner.call("GET", `/limits/${SECRET}`);
    expect(body).toMatchObject({ concurrency: 1 });
    await renewOther();
  },
  listLimits: () => seesNothing("/limits"),
  readLimit: () => isNotFound(`/limits/${SECRET}`, "limit_not_found"),
  deleteLimit: () => isUnknown("DELETE", `/limits/${SECRET}`, "limit_not_found"),
  createFilter: async () => {
    const filter = { workflow: SECRET, expression: "true" };
    await expectProblem(await ask(other, "POST", "/filters", filter), "workflow_not_found", /./);
  },
  createFilters: async () => {
    const filters = [{ workflow: SECRET, expression: "true" }];
    const asked = await ask(other, "POST", "/filters/bulk", { filters });
    await expectProblem(asked, "workflow_not_found", /./);
  },
  tryFilter: async () => {
    for (const [body, code] of [
      [{ filter, event: { key: "a" } }, "filter_not_found"],
      [{ expression: "true", event }, "event_not_found"],
    ] as const) {
      await expectProblem(await ask(other, "POST", "/filters/try", body), code, /./);
    }
  },
  listFilters: () => seesNothing("/filters"),
  readFilter: () => isNotFound(`/filters/${filter}`, "filter_not_found"),
  listFilterFailures: () => isNotFound(`/filters/${filter}/failures`, "filter_not_found"),
  changeFilter: () =>
    isUnknown("PATCH", `/filters/${filter}`, "filter_not_found", { expression: "false" }),
  deleteFilter: () => isUnknown("DELETE", `/filters/${filter}`, "filter_not_found"),
  listEvents: () => seesNothing("/events"),
  readEvent: () => isNotFound(`/events/${event}`, "event_not_found"),
  replayEvent: () => isUnknown("POST", `/events/${event}/replay`, "event_not_found"),
  replayEvents: async () => {
    const { status, body } = await ask(other, "POST", "/events/replay", {
      filter: { key: SECRET },
    });
    expect([status, body]).toEqual([201, { events: [], nextCursor: null }]);
  },
  putNotification: async () => {
    const body = { url: "https://taken-over.test/x" };
    const { status } = await ask(other, "PUT", `/notifications/${SECRET}`, body);
    expect(status).toBe(201); // one of its own, of the same name
    const { body: kept } = await owner.call("GET", `/notifications/${SECRET}`);
    expect(kept).toMatchObject({ url: `https://${SECRET}.test/` });
    await renewOther();
  },
  listNotifications: () => seesNothing("/notifications"),
  readNotification: () => isNotFound(`/notifications/${SECRET}`, "notification_not_found"),
  deleteNotification: () =>
    isUnknown("DELETE", `/notifications/${SECRET}`, "notification_not_found"),
  putWebhook: async () => {
    const webhook = { provider: "github", secrets: ["theirs"] };
    const { status, body } = await ask<{ path: string }>(
      other,
      "PUT",
      `/webhooks/${SECRET}`,
      webhook,
    );
    expect(status).toBe(201); // one of its own, of the same name, at another address
    expect(body.path).not.toContain(owner.tenant);
    const forged = await deliver(ownWebhook(), fromGithub("theirs", {}));
    await expectProblem(forged, "delivery_not_verified", /secret/);
    await renewOther();
  },
  listWebhooks: () => seesNothing("/webhooks"),
  readWebhook: () => isNotFound(`/webhooks/${SECRET}`, "webhook_not_found"),
  listWebhookFailures: () => isNotFound(`/webhooks/${SECRET}/failures`, "webhook_not_found"),
  deleteWebhook: () => isUnknown("DELETE", `/webhooks/${SECRET}`, "webhook_not_found"),
  receiveDelivery: async () => {
    const sent = fromGithub(SECRET, {});
    const theirs = { path: ownWebhook().path.replace(owner.tenant, other.tenant) };
    await expectProblem(await deliver(theirs, sent), "delivery_not_verified", /secret/);
    const withToken = { ...sent.headers, "x-hub-signature-256": `sha256=${other.token}` };
    for (const headers of [withToken, { authorization: `Bearer ${other.token}` }]) {
      const forged = await deliver(ownWebhook(), { ...sent, headers });
      await expectProblem(forged, "delivery_not_verified", /secret/);
    }
  },
  explainTask: async () => {
    for (const run of runs) {
      await isNotFound(`/tasks/${run.slice(0, 32)}0001/why`, "task_not_found");
    }
  },
  explainRun: async () => {
    for (const run of runs) await isNotFound(`/runs/${run}/why`, "run_not_found");
  },
  resumeWorkflow: () => isUnknown("DELETE", `/workflows/${SECRET}/pause`, "workflow_not_found"),
  listWorkers: async () => {
    expect(await readWorkers(owner)).toHaveLength(1);
    expect(await readWorkers(other)).toEqual([]);
  },
  pauseWorker: () => leavesWorkers("PUT", `/workers/${session}/pause`),
  resumeWorker: () => leavesWorkers("DELETE", `/workers/${session}/pause`),
  drainWorker: () => leavesWorkers("POST", `/workers/${session}/drain`),
  listRunLogs: () => isNotFound(`/runs/${runs[0]}/logs`, "run_not_found"),
  publishEvent: async () => {
    const event = { key: SECRET, idempotencyKey: SECRET };
    const { body } = await ask(other, "POST", "/events", event);
    expect(body).toMatchObject({ created: true, runs: [] });
  },
  publishEvents: async () => {
    const { body } = await ask(other, "POST", "/events/bulk", { events: [{ key: SECRET }] });
    expect(body).toMatchObject({ events: [{ created: true, runs: [] }] });
  },
  listQueues: async () => {
    const depths = async (of: World): Promise<number[]> => {
      const { body } = await of.call<{ items: { depth: number }[] }>("GET", "/queues");
      return body.items.map(({ depth }) => depth);
    };
    expect(await depths(owner)).toEqual([1, 0, 1]);
    expect(await depths(other)).toEqual([0, 0, 0]);
  },
  listDeadMessages: async () => {
    for (const query of ["", "?kind=probe", `?cursor=${runs[0]}`]) {
      await seesNothing(`/messages/dead${query}`);
    }
  },
  readDeadMessage: () => isNotFound(`/messages/dead/${message}`, "message_not_found"),
  resendDeadMessage: () =>
    isUnknown("POST", `/messages/dead/${message}/resend`, "message_not_found"),
  resendDeadMessages: () => changesNoMessage("/messages/dead/resend"),
  deleteDeadMessage: () => isUnknown("DELETE", `/messages/dead/${message}`, "message_not_found"),
  deleteDeadMessages: () => changesNoMessage("/messages/dead/delete"),
  listShards: async () => {
    const { body } = await ask(other, "GET", "/shards");
    expect(JSON.stringify(body)).not.toContain(owner.tenant);
  },
  readShard: async () => {
    const { body } = await ask(other, "GET", "/shards/0");
    expect(body).toMatchObject({ number: 0, sessions: 0, attempts: 0, readyTasks: 0 });
  },
  openSession: async () => {
    // The owner's second run is queued: a session at its shard would get it.
    const worker = await other.connectWorker({ actions: [`${SECRET}:only`] });
    await other.register({ name: "own", steps: [{ name: "x", action: `${SECRET}:only` }] });
    const { id } = await other.startRun({ workflow: "own" });
    const task = await worker.receiveTask({ run: id });
    const stolen = `${runs[1]?.slice(0, 32)}0001`;
    worker.complete({ ...task, task: stolen }, "forged");
    worker.complete(task);
    await worker.receive("recorded");
    for (const frame of worker.unread) {
      expect(frame).toMatchObject({ task: stolen, type: expect.stringMatching(/^(gone|stale)$/) });
    }
    await renewOther();
  },
  createTenant: () => isClosed("POST", "/admin/tenants", { name: "theirs" }),
  listTenants: () => isClosed("GET", "/admin/tenants"),
  createToken: () => isClosed("POST", `/admin/tenants/${owner.tenant}/tokens`, { name: "x" }),
  listTokens: () => isClosed("GET", `/admin/tenants/${owner.tenant}/tokens`),
  revokeToken: () => isClosed("DELETE", `/admin/tenants/${owner.tenant}/tokens/${token}`),
};

function ownWebhook(): { path: string } {
  return { path: `/api/v1/webhooks/${owner.tenant}/${SECRET}` };
}

/** Gives the other tenant a new life, so that nothing of its own is taken for the owner's. */
async function renewOther(): Promise<void> {
  other = await createWorld();
}

async function seesNothing(path: string): Promise<void> {
  const { status, body } = await ask(other, "GET", path);
  expect(status).toBe(200);
  expect(body).toEqual({ items: [], nextCursor: null });
}

async function isNotFound(path: string, code: ProblemCode): Promise<void> {
  expect((await owner.call("GET", path.replace("waitMs=60000", "waitMs=0"))).status).toBe(200);
  await expectProblem(await ask(other, "GET", path), code, /^(There is no|No) /);
}

async function isUnknown(
  method: string,
  path: string,
  code: ProblemCode,
  body?: object,
): Promise<void> {
  await expectProblem(await ask(other, method, path, body), code, /^(There is no|No) /);
}

async function readWorkers(of: World): Promise<unknown[]> {
  return (await of.call<{ items: unknown[] }>("GET", "/workers")).body.items;
}

async function leavesWorkers(method: string, path: string): Promise<void> {
  const before = await readWorkers(owner);
  await isUnknown(method, path, "worker_not_found");
  expect(await readWorkers(owner)).toEqual(before);
}

async function changesNoMessage(path: string): Promise<void> {
  const { body } = await ask(other, "POST", path, { ids: [message] });
  expect(body).toEqual({ ids: [] });
}

async function isClosed(method: string, path: string, body?: unknown): Promise<void> {
  for (const { token: theirs } of [other, owner]) {
    const headers = { authorization: `Bearer ${theirs}` };
    await expectProblem(
      await ask(other, method, path, body, headers),
      "unauthenticated",
      /ADMIN_SECRET/,
    );
  }
}

test("every operation is tried by another tenant here", async () => {
  const operations = (await listOperations()).map(({ operation }) => operation.operationId);
  expect(Object.keys(ATTEMPTS).toSorted()).toEqual(operations.toSorted());
});

describe("another tenant gets nothing of the owner's, and changes nothing of it, by", () => {
  test.each(Object.entries(ATTEMPTS))("%s", async (_operation, attempt) => {
    await expectNoTrace(owner, attempt);
  });
});

test("the owner's own idempotency keys still mean the owner's run", async () => {
  const again = await owner.startRun({ workflow: SECRET, idempotencyKey: SECRET });
  expect(again).toEqual({ id: runs[0], created: false });
});
