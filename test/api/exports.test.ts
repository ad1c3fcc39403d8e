/** A run as one document, and documents of runs that are brought here to be looked at. */
import { beforeEach, describe, expect, test } from "vitest";
import type { CreatedImport, RunExport } from "../../protocol/history-bodies.ts";
import type { PublishedEvent, StartedRun, WorkflowDefinition } from "../../protocol/http.ts";
import { MAX_EXPORT_BYTES } from "../../protocol/limits.ts";
import { pageOf } from "../../workers/api/fields.ts";
import {
  createdImportSchema,
  importSchema,
  importSummarySchema,
  runExportSchema,
} from "../../workers/api/history-schemas.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem, fetchPage } from "./answers.ts";

const ORDER: WorkflowDefinition = {
  name: "order",
  description: "Ships what was paid",
  events: ["order:placed"],
  steps: [
    { name: "charge", retries: 1, compensate: {} },
    { name: "gift", parents: ["charge"], runIf: "input.isGift" },
    { name: "ship", parents: ["charge", "gift"], waitFor: { event: "parcel:packed" } },
  ],
};

let world: World;
let worker: FakeWorker;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register(ORDER);
  worker = await world.connectWorker({
    actions: ["order:charge", "order:ship", "order:charge:compensate"],
  });
});

async function publish(key: string, payload: object): Promise<PublishedEvent> {
  const { body } = await world.call<PublishedEvent>("POST", "/events", { key, payload });
  return body;
}

/** A run that an event has started, of which the first attempt failed. */
async function charge(): Promise<{ run: string; event: string }> {
  const { id: event, runs } = await publish("order:placed", { isGift: false });
  worker.fail(await worker.receiveTask({ step: "charge" }), "card declined");
  await worker.receive("recorded");
  await world.advance(10_000);
  const { task, attempt, ...rest } = await worker.receiveTask({ step: "charge", attempt: 2 });
  const line = { level: "info" as const, message: "charged", at: Date.now() };
  worker.say({ type: "log", task, attempt, first: 0, lines: [line] });
  worker.complete({ task, attempt, ...rest }, { paid: 5 });
  await worker.receive("recorded");
  await world.settled();
  return { run: runs[0] ?? "", event };
}

async function finish(): Promise<{ run: string; event: string }> {
  const charged = await charge();
  await publish("parcel:packed", { weight: 2 });
  worker.complete(await worker.receiveTask({ step: "ship" }), "shipped");
  await worker.receive("recorded");
  return charged;
}

async function exportOf(run: string, query = ""): Promise<RunExport> {
  const asked = await ask(world, "GET", `/runs/${run}/export${query}`);
  return expectAnswer(asked, 200, runExportSchema) as RunExport;
}

describe("an export", () => {
  test("has everything: definition, event, attempts, outputs, waits, skips and logs", async () => {
    const { run, event } = await finish();
    const exported = await exportOf(run);
    expect(exported.run).toEqual(await world.readRun(run));
    expect(exported).toMatchObject({
      format: "skein.run",
      formatVersion: 1,
      isFinished: true,
      workflow: { name: "order" },
      version: { number: 1, definition: ORDER, checksum: expect.stringMatching(/^[0-9a-f]{64}$/) },
      event: { id: event, key: "order:placed", payload: { isGift: false } },
      timers: [],
      logs: [{ step: "charge", attempt: 2, message: "charged" }],
    });
    expect(exported.run.tasks).toMatchObject([
      { step: "charge", attempts: [{ outcome: "failed" }, { outcome: "completed" }] },
      { step: "gift", state: "skipped", error: { message: "Its runIf is false." } },
      { step: "ship", waited: { isMet: true, met: [{ event: { payload: { weight: 2 } } }] } },
    ]);
  });

  test("of a finished run is the same whenever it is made; without logs it says so", async () => {
    const { run } = await finish();
    const before = JSON.stringify(await exportOf(run));
    await world.register({ ...ORDER, description: "newer" });
    await world.advance(3_600_000);
    expect(JSON.stringify(await exportOf(run))).toBe(before);
    expect(await exportOf(run, "?logs=false")).toEqual({ ...JSON.parse(before), logs: null });
  });

  test("of a run that is going on says so, and what is to happen", async () => {
    const { id } = await world.startRun({ workflow: "order", input: { isGift: false } });
    worker.fail(await worker.receiveTask({ step: "charge" }), "card declined");
    await worker.receive("recorded");
    const exported = await exportOf(id);
    expect(exported).toMatchObject({ isFinished: false, event: null, run: { state: "running" } });
    expect(exported.timers).toEqual([
      { task: exported.run.tasks[0]?.id, kind: "retry", dueAt: exported.run.tasks[0]?.retryAt },
    ]);
  });

  test("of a replay names the original and what it reuses", async () => {
    const { run } = await finish();
    const again = await world.call<StartedRun>("POST", `/runs/${run}/replay`, { fromStep: "ship" });
    const exported = await exportOf(again.body.id);
    expect(exported.run.replayOf).toBe(run);
    expect(exported.reusedSteps).toEqual(["charge", "gift"]);
  });

  test("that would be too large is refused with its size, and with what may be left out", async () => {
    const { run } = await finish();
    const task = `${run.slice(0, 32)}0001`;
    await world.sql(
      `insert into v1.log_line (task_id, attempt, number, logged_at, level, message)
         select $1, 1, n, now(), 'info', repeat('x', 16000) from generate_series(1, 600) n`,
      [task],
    );
    const asked = await ask(world, "GET", `/runs/${run}/export`);
    await expectProblem(asked, "run_too_large", /\d+ of logs.*export\?logs=false/);
    expect((await exportOf(run, "?logs=false")).logs).toBeNull();
    await world.sql(
      "update v1.task_output set output = to_jsonb(repeat('x', 9000000)) where task_id = $1",
      [task],
    );
    const without = await ask(world, "GET", `/runs/${run}/export?logs=false`);
    await expectProblem(without, "run_too_large", /in parts/);
  });
});

describe("an import", () => {
  const bring = (text: string) => ask<CreatedImport>(world, "POST", "/imports", text);

  test("is shown as the run was, and exported as the same bytes, by another tenant as well", async () => {
    const { run } = await finish();
    // Spaces, and an order of keys of its own.
    const text = JSON.stringify(
      Object.fromEntries(Object.entries(await exportOf(run)).toReversed()),
      null,
      1,
    );
    world = await createWorld();
    const asked = await bring(text);
    const created = expectAnswer(asked, 201, createdImportSchema);
    expect(asked.headers.get("location")).toBe(`/api/v1/imports/${created.id}`);
    const { created: _, ...summary } = created;
    expect(summary).toMatchObject({ run, workflow: "order", version: 1, state: "completed" });
    const read = expectAnswer(await ask(world, "GET", `/imports/${created.id}`), 200, importSchema);
    expect(read).toEqual({ ...summary, document: JSON.parse(text) });
    const response = await fetchPage(`/api/v1/imports/${created.id}/export`, {
      headers: { authorization: `Bearer ${world.token}` },
    });
    expect(await response.text()).toBe(text);
  });

  test("is no run, and nothing of it is executed", async () => {
    const { id } = await world.startRun({ workflow: "order", input: { isGift: false } });
    worker.fail(await worker.receiveTask({ step: "charge" }), "card declined");
    await worker.receive("recorded");
    const document = await exportOf(id);
    world = await createWorld();
    await world.register(ORDER);
    const other = await world.connectWorker({ actions: ["order:charge"] });
    expect((await bring(JSON.stringify(document))).status).toBe(201);
    await world.advance(86_400_000);
    expect(await other.unreadWhenQuiet()).toEqual([]);
    expect((await world.call("GET", "/runs")).body).toEqual({ items: [], nextCursor: null });
    await expectProblem(await ask(world, "GET", `/runs/${id}`), "run_not_found", /There is no run/);
  });

  test("of the same document again is the same import; deleted it is gone", async () => {
    const { run } = await finish();
    const text = JSON.stringify(await exportOf(run));
    const first = await bring(text);
    const again = expectAnswer(await bring(text), 200, createdImportSchema);
    expect(again).toEqual({ ...first.body, created: false });
    const second = await bring(` ${text}`);
    const list = async (query: string) =>
      expectAnswer(await ask(world, "GET", `/imports?${query}`), 200, pageOf(importSummarySchema));
    const newest = await list("limit=1");
    expect(newest.items.map(({ id }) => id)).toEqual([second.body.id]);
    const older = await list(`cursor=${newest.nextCursor}`);
    expect(older.items.map(({ id }) => id)).toEqual([first.body.id]);
    const path = `/imports/${first.body.id}`;
    expect(await world.call("DELETE", path)).toMatchObject({
      status: 200,
      body: { id: first.body.id },
    });
    for (const [method, at] of [
      ["GET", path],
      ["GET", `${path}/export`],
      ["DELETE", path],
    ] as const) {
      await expectProblem(await ask(world, method, at), "import_not_found", /There is no import/);
    }
  });

  test("is refused when it is not a whole document of a known format", async () => {
    const { run } = await finish();
    const document = await exportOf(run);
    for (const [broken, path] of [
      [{ ...document, formatVersion: 2 }, "formatVersion"],
      [{ ...document, format: "other" }, "format"],
      [{ ...document, run: { ...document.run, tasks: undefined } }, "run.tasks"],
      [{ ...document, run: { ...document.run, state: "lost" } }, "run.state"],
      [
        { ...document, version: { ...document.version, definition: { name: "order" } } },
        "version.definition.steps",
      ],
    ] as const) {
      await expectNoTrace(world, async () => {
        const asked = await bring(JSON.stringify(broken));
        const { errors } = await expectProblem(asked, "invalid_request", /^In the body/);
        expect(errors?.map((error) => error.path)).toEqual([path]);
      });
    }
  });

  test("has a bound, and so have all of a tenant's together", async () => {
    const { run } = await finish();
    const document = await exportOf(run);
    const large = { ...document, parentKey: "x".repeat(MAX_EXPORT_BYTES) };
    await expectProblem(
      await bring(JSON.stringify(large)),
      "payload_too_large",
      /^The document is \d+ bytes/,
    );
    await world.sql(
      `insert into v1.imported_run (id, tenant_id, checksum, run_id, workflow, version, state, bytes, document)
         select gen_random_uuid(), $1, n::text, $2, 'order', 1, 'completed', 1, '{}' from generate_series(1, 1000) n`,
      [world.tenant, run],
    );
    await expectProblem(
      await bring(JSON.stringify(document)),
      "too_many_imports",
      /Delete some first/,
    );
    await world.sql(
      "update v1.imported_run set bytes = 300000000 where tenant_id = $1 and checksum = '1'",
      [world.tenant],
    );
    await world.sql("delete from v1.imported_run where tenant_id = $1 and checksum <> '1'", [
      world.tenant,
    ]);
    await expectProblem(
      await bring(JSON.stringify(document)),
      "too_many_imports",
      /bytes together/,
    );
  });
});
