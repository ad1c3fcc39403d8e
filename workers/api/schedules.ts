/**
 * Schedules: stored, changed and tried out; what starts their runs is their tenant's clock.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { queryOverHttp } from "../../database/connect.ts";
import { connectReads } from "../../database/reads.ts";
import { listSchedules, readSchedule, type StoredSchedule } from "../../database/read-schedules.ts";
import type { PutScheduleRow } from "../../database/schedule-rows.ts";
import { changeSchedule, deleteSchedules, putSchedules } from "../../database/schedules.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import type { FieldError } from "../../protocol/errors.ts";
import { MAX_CRONS } from "../../protocol/limits.ts";
import type { ChangeSchedule, CreateSchedule } from "../../protocol/schedule-bodies.ts";
import { firstOf } from "../definitions/registration.ts";
import { startRow, workflowToStart } from "../definitions/start-row.ts";
import type { AppTypes } from "../environment.ts";
import { checkCron, cronOf, ticksAfter } from "../schedules/cron.ts";
import { nudgeClock } from "../schedules/schedule-clock.ts";
import { changeRow, localTime, putRow, shownSchedule, UTC } from "../schedules/stored.ts";
import { startAtShard } from "../shard-calls.ts";
import type { Broken } from "./limit-rules.ts";
import { refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { startedRuns } from "./runs.ts";
import * as routes from "./schedule-routes.ts";
import { brokenInAt, brokenInCron, brokenInOnce } from "./schedule-rules.ts";
import { queryOf, readsOf } from "./tenant-data.ts";

/** A clock that ticks often may move a schedule while its change is worked out; so often in a row it doesn't. */
const MAX_TRIES = 10;

const DEFAULT_PREVIEW = 10;

export const schedules = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(routes.createMany, async (context) => {
    const { schedules: asked } = context.req.valid("json");
    const findings = asked.flatMap((schedule, index) => wrongIn(schedule, `schedules[${index}].`));
    refuseFindings(findings);
    return context.json({ schedules: await store(context, asked) }, 201);
  })
  .openapi(routes.create, async (context) => {
    const asked = context.req.valid("json");
    refuseFindings(wrongIn(asked, ""));
    const [stored] = await store(context, [asked]);
    if (stored === undefined) throw new Error("A creation of one schedule created none");
    const { id, created } = stored;
    const schedule = shownSchedule(await readOr404(context, id), Date.now());
    return created
      ? context.json({ ...schedule, created }, 201, { location: `/api/v1/schedules/${id}` })
      : context.json({ ...schedule, created }, 200);
  })
  .openapi(routes.removeMany, async (context) => {
    const { ids } = context.req.valid("json");
    const { tenant, log } = context.var;
    const deleted = await deleteSchedules(queryOf(context), tenant, ids);
    log.info("schedules.deleted", { schedules: deleted.length });
    return context.json({ ids: deleted }, 200);
  })
  .openapi(routes.preview, (context) => {
    const { cron, timezone = UTC, after, count = DEFAULT_PREVIEW } = context.req.valid("json");
    refuseFindings(checkCron({ cron, timezone }));
    const from = after === undefined ? Date.now() : Date.parse(after);
    const ticks = ticksAfter(cronOf(cron, timezone), from, count).map((tick) => ({
      at: new Date(tick).toISOString(),
      local: localTime(tick, timezone),
    }));
    return context.json({ ticks }, 200);
  })
  .openapi(routes.list, async (context) => {
    const query = context.req.valid("query");
    const page = await listSchedules(readsOf(context), context.var.tenant, query);
    const now = Date.now();
    const items = page.items.map((schedule) => shownSchedule(schedule, now));
    return context.json({ ...page, items }, 200);
  })
  .openapi(routes.read, async (context) => {
    const schedule = await readOr404(context, context.req.valid("param").id);
    return context.json(shownSchedule(schedule, Date.now()), 200);
  })
  .openapi(routes.change, async (context) => {
    const { id } = context.req.valid("param");
    await changeStored(context, id, context.req.valid("json"));
    return context.json(shownSchedule(await readOr404(context, id), Date.now()), 200);
  })
  .openapi(routes.remove, async (context) => {
    const { id } = context.req.valid("param");
    refuseDeclared(await readOr404(context, id));
    const { tenant, log } = context.var;
    const [deleted] = await deleteSchedules(queryOf(context), tenant, [id]);
    if (deleted === undefined) refuseUnknown(id);
    log.info("schedule.deleted", { schedule_id: id });
    return context.json({ id }, 200);
  })
  .openapi(routes.trigger, async (context) => {
    const schedule = await readOr404(context, context.req.valid("param").id);
    const { idempotencyKey: k } = context.req.valid("json");
    const { input: i, metadata: m, id: sc, workflow: name } = schedule;
    const pr = schedule.priority ?? undefined;
    const started = await startAtShard(context.env, context.var.tenant, (definitions) => {
      const workflow = workflowToStart(definitions, name);
      const runs = [startRow(definitions, workflow, { i, m, k, pr, sc })];
      return { events: [], runs, bytes: JSON.stringify(i).length };
    });
    const [run] = startedRuns(started);
    if (run === undefined) throw new Error("A trigger of one run started none");
    return run.created
      ? context.json(run, 201, { location: `/api/v1/runs/${run.id}` })
      : context.json(run, 200);
  });

/** What is wrong with a schedule that no schema can tell. */
function wrongIn({ cron, timezone = UTC }: CreateSchedule, path: string): FieldError[] {
  return cron === undefined ? [] : checkCron({ cron, timezone }, path);
}

async function store(
  { env, var: { tenant, log } }: Context<AppTypes>,
  asked: CreateSchedule[],
): Promise<{ id: string; created: boolean }[]> {
  const at = Date.now();
  const rows = asked.map((schedule) => putRow(schedule, at));
  const bounds = { mostCrons: MAX_CRONS, at };
  const reply = await putSchedules(queryOverHttp(databaseOf(env, tenant)), tenant, rows, bounds);
  if ("unknownWorkflows" in reply) {
    throw new ProblemError(
      "workflow_not_found",
      `No workflow ${listed(reply.unknownWorkflows)} is registered. GET /api/v1/workflows lists those that are.`,
    );
  }
  if ("taken" in reply) refuseTaken(reply.taken);
  if ("tooMany" in reply) {
    throw new ProblemError(
      "too_many_schedules",
      `There may be ${MAX_CRONS} crons. Delete some, or have one run see to several things.`,
    );
  }
  log.info("schedules.stored", { schedules: rows.length });
  await nudgeFor(env, log, tenant, rows);
  return reply.schedules;
}

async function nudgeFor(
  env: AppTypes["Bindings"],
  log: AppTypes["Variables"]["log"],
  tenant: string,
  rows: Pick<PutScheduleRow, "d">[],
): Promise<void> {
  let soonest = Number.POSITIVE_INFINITY;
  for (const { d: due } of rows) soonest = Math.min(soonest, due ?? soonest);
  if (soonest < Number.POSITIVE_INFINITY) await nudgeClock(env, log, tenant, soonest);
}

/** Works the change out on what is stored, again when that has changed meanwhile. */
async function changeStored(
  context: Context<AppTypes>,
  id: string,
  change: ChangeSchedule,
): Promise<void> {
  const { tenant, log } = context.var;
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    const stored = await readOr404(context, id);
    refuseChange(stored, change);
    const row = changeRow(stored, change, Date.now());
    const refused = await changeSchedule(queryOf(context), tenant, stored, row);
    if (refused === "exists") refuseTaken([change.name ?? ""]);
    if (refused === "moved") continue;
    log.info("schedule.changed", { schedule_id: id });
    await nudgeFor(context.env, log, tenant, [{ d: row.d }]);
    return;
  }
  throw new ProblemError("overloaded", "The schedule changes too often. Try again.", {
    headers: { "retry-after": "2" },
  });
}

function refuseChange(stored: StoredSchedule, change: ChangeSchedule): void {
  const { isEnabled: _isEnabled, ...others } = change;
  if (Object.keys(others).length > 0) refuseDeclared(stored);
  if (stored.endedAt !== null) {
    throw new ProblemError(
      "schedule_over",
      `It was over at ${stored.endedAt}${stored.lastRun === null ? "" : `, with run ${stored.lastRun}`}. Create another.`,
    );
  }
  const isOnce = stored.kind === "once";
  const { cron = stored.cron, timezone = stored.timezone, at } = change;
  const broken: Broken[] = isOnce ? brokenInOnce(others as CreateSchedule) : [];
  if (isOnce && change.cron !== undefined) {
    broken.push({ path: ["cron"], message: "is of another kind of schedule: create one" });
  }
  if (!isOnce && at !== undefined) {
    broken.push({ path: ["at"], message: "is of another kind of schedule: create one" });
  } else if (at !== undefined) {
    broken.push(...brokenInAt(at));
  }
  const { catchUpLimit, catchUp = stored.catchUp } = change;
  if (!isOnce && catchUpLimit !== undefined)
    broken.push(...brokenInCron({ catchUp, catchUpLimit }));
  const findings = broken.map(({ path, message }) => ({ path: path.join("."), message }));
  if (!isOnce && (change.cron ?? change.timezone) !== undefined) {
    findings.push(...checkCron({ cron: cron ?? "", timezone: timezone ?? UTC }));
  }
  refuseFindings(findings);
}

function refuseFindings(findings: FieldError[]): void {
  if (findings.length === 0) return;
  throw new ProblemError("invalid_request", firstOf(findings), { fields: findings });
}

async function readOr404(
  { env, var: { tenant } }: Context<AppTypes>,
  id: string,
): Promise<StoredSchedule> {
  return (
    (await readSchedule(connectReads(databaseOf(env, tenant)), tenant, id)) ?? refuseUnknown(id)
  );
}

function refuseDeclared({ isDeclared, workflow }: StoredSchedule): void {
  if (!isDeclared) return;
  throw new ProblemError(
    "schedule_declared",
    `The workflow "${workflow}" declares the schedule: change it there, and register the workflow again. Here it can be enabled and disabled.`,
  );
}

function refuseTaken(names: string[]): never {
  throw new ProblemError(
    "schedule_exists",
    `Its workflow has, or is to have, another schedule named ${listed(names)}. Give each a name of its own, or none.`,
  );
}

function refuseUnknown(id: string): never {
  throw new ProblemError(
    "schedule_not_found",
    `There is no schedule ${id}. GET /api/v1/schedules lists those that there are.`,
  );
}

function listed(names: string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}
