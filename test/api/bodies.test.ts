/** What every call with a body refuses, whatever it is for. A new call needs a sample here. */
import { beforeAll, describe, expect, test } from "vitest";
import { MAX_BODY_BYTES } from "../../protocol/limits.ts";
import { exportedRun } from "../support/exported-run.ts";
import { createWorld, type World } from "../support/world.ts";
import {
  ask,
  type Asked,
  expectNoTrace,
  expectProblem,
  listOperations,
  OPERATOR,
} from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

interface Sample {
  path: string;
  body: Record<string, unknown>;
  isOperator?: boolean;
}

const NO_FILTER = "0199f3a2-7c1e-7000-8a4b-5d6e7f8a0b0c";
const NO_RUN = "0199f3a2-7c1e-7000-8a4b-5d6e7f800000";
const NO_MESSAGE = "0199f3a2-7c1e-7000-8a4b-5d6e7f800001";

/** A call with a text in it, by operation. */
function samples(): Record<string, Sample> {
  return {
    registerWorkflow: {
      path: "/workflows/sample",
      body: { name: "sample", description: "TEXT", steps: [{ name: "only" }] },
    },
    startRun: { path: "/runs", body: { workflow: "sample", input: "TEXT" } },
    startRuns: { path: "/runs/bulk", body: { runs: [{ workflow: "sample", input: "TEXT" }] } },
    putLimit: { path: "/limits/sample", body: { description: "TEXT", concurrency: 1 } },
    createFilter: {
      path: "/filters",
      body: { workflow: "sample", expression: "true", payload: "TEXT" },
    },
    createFilters: {
      path: "/filters/bulk",
      body: { filters: [{ workflow: "sample", expression: "true", payload: "TEXT" }] },
    },
    changeFilter: { path: `/filters/${NO_FILTER}`, body: { payload: "TEXT" } },
    tryFilter: {
      path: "/filters/try",
      body: { expression: "true", payload: "TEXT", event: { key: "sample" } },
    },
    putNotification: {
      path: "/notifications/sample",
      body: { url: "https://a.test/x", workflows: ["TEXT"] },
    },
    putWebhook: {
      path: "/webhooks/sample",
      body: { provider: "github", description: "TEXT", secrets: ["one"] },
    },
    createSchedule: {
      path: "/schedules",
      body: { workflow: "sample", cron: "0 9 * * *", input: "TEXT" },
    },
    createSchedules: {
      path: "/schedules/bulk",
      body: { schedules: [{ workflow: "sample", cron: "0 9 * * *", input: "TEXT" }] },
    },
    changeSchedule: { path: `/schedules/${NO_FILTER}`, body: { input: "TEXT" } },
    deleteSchedules: { path: "/schedules/delete", body: { ids: [NO_MESSAGE] } },
    previewSchedule: { path: "/schedules/preview", body: { cron: "TEXT" } },
    triggerSchedule: {
      path: `/schedules/${NO_FILTER}/trigger`,
      body: { idempotencyKey: "TEXT" },
    },
    pauseWorkflow: { path: "/workflows/sample/pause", body: { mode: "hold" } },
    activateVersion: {
      path: "/workflows/sample/activate",
      body: { version: 1, reason: "TEXT" },
    },
    rollBack: { path: "/workflows/sample/rollback", body: { reason: "TEXT" } },
    promoteVersion: {
      path: "/workflows/sample/promotion",
      body: { version: 1, percent: 1, reason: "TEXT" },
    },
    cancelRun: { path: `/runs/${NO_RUN}/cancel`, body: { reason: "TEXT" } },
    cancelRuns: { path: "/runs/cancel", body: { metadata: { of: "TEXT" } } },
    replayRun: { path: `/runs/${NO_RUN}/replay`, body: { input: "TEXT" } },
    replayRuns: { path: "/runs/replay", body: { filter: { metadata: { of: "TEXT" } } } },
    publishEvent: { path: "/events", body: { key: "sample", payload: "TEXT" } },
    publishEvents: {
      path: "/events/bulk",
      body: { events: [{ key: "sample", payload: "TEXT" }] },
    },
    resendDeadMessages: { path: "/messages/dead/resend", body: { ids: [NO_MESSAGE] } },
    deleteDeadMessages: { path: "/messages/dead/delete", body: { ids: [NO_MESSAGE] } },
    replayEvent: { path: `/events/${NO_FILTER}/replay`, body: { idempotencyKey: "TEXT" } },
    checkReplay: {
      path: "/workflows/sample/check",
      body: { definition: { name: "sample", description: "TEXT", steps: [{ name: "only" }] } },
    },
    createImport: {
      path: "/imports",
      body: {
        ...exportedRun({ name: "sample", steps: [{ name: "only" }] }, { only: { output: "TEXT" } }),
      },
    },
    putRetention: { path: "/tenant/retention", body: { days: 1234 } },
    setTenantShards: { path: "/tenant/shards", body: { count: 12 } },
    replayEvents: { path: "/events/replay", body: { filter: { metadata: { of: "TEXT" } } } },
    createTenant: { path: "/admin/tenants", body: { name: "TEXT" }, isOperator: true },
    createToken: {
      path: `/admin/tenants/${world.tenant}/tokens`,
      body: { name: "TEXT" },
      isOperator: true,
    },
  };
}

const CALLS = [
  "registerWorkflow",
  "startRun",
  "startRuns",
  "putLimit",
  "createFilter",
  "createFilters",
  "changeFilter",
  "tryFilter",
  "putNotification",
  "putWebhook",
  "createSchedule",
  "createSchedules",
  "changeSchedule",
  "deleteSchedules",
  "previewSchedule",
  "triggerSchedule",
  "pauseWorkflow",
  "activateVersion",
  "rollBack",
  "promoteVersion",
  "cancelRun",
  "cancelRuns",
  "replayRun",
  "replayRuns",
  "publishEvent",
  "publishEvents",
  "resendDeadMessages",
  "deleteDeadMessages",
  "replayEvent",
  "replayEvents",
  "checkReplay",
  "createImport",
  "putRetention",
  "setTenantShards",
  "createTenant",
  "createToken",
];

test("every call with a body is tested here", async () => {
  const withBody = (await listOperations()).filter(({ operation }) => operation.requestBody);
  expect(withBody.map(({ operation }) => operation.operationId).toSorted()).toEqual(
    CALLS.toSorted(),
  );
});

async function send(call: string, body: unknown, type = "application/json"): Promise<Asked> {
  const sample = samples()[call];
  if (sample === undefined) throw new Error(`There is no sample of ${call}`);
  const operations = await listOperations();
  const { method } = operations.find(({ operation }) => operation.operationId === call) ?? {};
  const headers = { "content-type": type, ...(sample.isOperator && OPERATOR) };
  return await ask(world, method ?? "", sample.path, body, headers);
}

const textWith = (call: string, text: string): string =>
  JSON.stringify(samples()[call]?.body).replace(
    /"TEXT"|"hold"|"0199\S+0001"|1234|"count":12/,
    () => text,
  );

describe.each(CALLS)("%s", (call) => {
  test("refuses what is not JSON, and says what stops it from being JSON", async () => {
    await expectNoTrace(world, async () => {
      const asked = await send(call, '{"name": }');
      await expectProblem(asked, "malformed_json", /Unexpected token .* is not valid JSON/);
    });
  });

  test("refuses an empty body", async () => {
    await expectProblem(await send(call, ""), "malformed_json", /^The body is empty/);
  });

  test("refuses another content type and repeats it", async () => {
    await expectNoTrace(world, async () => {
      const asked = await send(call, samples()[call]?.body, "text/plain");
      await expectProblem(asked, "unsupported_media_type", /Got "text\/plain"\. Send JSON/);
    });
  });

  test("refuses JSON that is not an object", async () => {
    for (const [body, kind] of [
      ["[]", "an array"],
      ["null", "null"],
      ["7", "7"],
    ] as const) {
      const asked = await send(call, body);
      await expectProblem(
        asked,
        "invalid_request",
        RegExp(`^The body must be an object, not ${kind}`),
      );
    }
  });

  test("refuses a field it does not know, and names it", async () => {
    await expectNoTrace(world, async () => {
      const asked = await send(call, { ...samples()[call]?.body, priorty: 3 });
      const { errors } = await expectProblem(
        asked,
        "invalid_request",
        /In the body, priorty is not/,
      );
      expect(errors).toEqual([{ path: "priorty", message: expect.any(String) }]);
    });
  });

  test("refuses the character U+0000 and half a surrogate pair, and says where it is", async () => {
    await expectNoTrace(world, async () => {
      for (const escape of ["\\u0000", "\\ud83d", "\\uDE00"]) {
        const text = textWith(call, `"a${escape}"`);
        const detail = RegExp(`^Character ${text.indexOf(escape)} of the body .*\\${escape}`);
        await expectProblem(await send(call, text), "invalid_request", detail);
      }
    });
  });

  test("refuses a body nested without end", async () => {
    await expectNoTrace(world, async () => {
      const text = textWith(call, `${"[".repeat(100_000)}${"]".repeat(100_000)}`);
      await expectProblem(
        await send(call, text),
        "invalid_request",
        /nested 10000\d deep; at most 500/,
      );
    });
  });

  test("refuses a body over the limit, and names both", async () => {
    await expectNoTrace(world, async () => {
      const text = textWith(call, JSON.stringify("x".repeat(MAX_BODY_BYTES)));
      const detail = RegExp(`^The body is ${text.length} bytes; at most ${MAX_BODY_BYTES}`);
      await expectProblem(await send(call, text), "payload_too_large", detail);
    });
  });
});

test("the body's limit counts bytes, not characters", async () => {
  const text = textWith("startRun", JSON.stringify("€".repeat(MAX_BODY_BYTES / 3)));
  expect(text.length).toBeLessThan(MAX_BODY_BYTES);
  await expectProblem(await send("startRun", text), "payload_too_large", /^The body is/);
});

test("a call without a content type is told which to send", async () => {
  const asked = await send("startRun", "{}", "");
  await expectProblem(asked, "unsupported_media_type", /content-type: application\/json/);
});

test("a body that may be left out says nothing when it is", async () => {
  const { path } = samples()["cancelRun"] ?? { path: "" };
  await expectProblem(await ask(world, "POST", path), "run_not_found", /There is no run/);
  const asked = await ask(world, "POST", "/runs");
  await expectProblem(asked, "invalid_request", /In the body, workflow is missing/);
});

test("a content type may have parameters, a suffix and any case", async () => {
  for (const type of [
    "application/json; charset=utf-8",
    "application/JSON;charset=utf-8",
    "application/cloudevents+json",
  ]) {
    const { status, body } = await send("publishEvent", { key: "sample" }, type);
    expect(status, JSON.stringify(body)).toBe(201);
  }
});

test("escaped backslashes, whole surrogate pairs and deep but bounded nesting are stored as given", async () => {
  await world.register({ name: "sample", steps: [{ name: "only" }] });
  const nested = JSON.parse(`${"[".repeat(490)}${"]".repeat(490)}`);
  for (const input of ["\\u0000", "\\\\ud83d", "\u{1f9ff}", nested]) {
    const asked = await send("startRun", { workflow: "sample", input });
    expect(asked.status, JSON.stringify(asked.body)).toBe(201);
    expect(await world.readRun((asked.body as { id: string }).id)).toMatchObject({ input });
  }
  const escaped = await send("startRun", '{"workflow":"sample","input":"\\ud83e\\uddff"}');
  expect(await world.readRun((escaped.body as { id: string }).id)).toMatchObject({
    input: "\u{1f9ff}",
  });
});
