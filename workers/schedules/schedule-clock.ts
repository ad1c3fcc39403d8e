/**
 * The clock of a tenant's schedules, with what it does. Class and binding names are permanent.
 */
import type { Context } from "hono";
import { Clock } from "../../durable-objects/schedule-clock.ts";
import { errorFields, type Logger } from "../../telemetry/log.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import type { AppTypes, Environment } from "../environment.ts";
import { reachClock } from "../tenant-objects.ts";
import { tendSchedules } from "./tend.ts";

export class ScheduleClock extends Clock<Environment> {
  constructor(context: DurableObjectState, env: Environment) {
    super(context, env, async (tenant, log) => await tendSchedules(env, tenant, log));
  }
}

/** Has a tenant's clock wake when something is due. One that can't be reached is nudged within a minute. */
export async function nudgeClock(
  env: Environment,
  log: Logger,
  tenant: string,
  due: number,
): Promise<void> {
  try {
    await reachClock(env, tenant, async (clock) => await clock.nudge(due));
  } catch (error) {
    log.warn("clock.not_nudged", { tenant_id: tenant, ...errorFields(error) });
  }
}

/** A definition has become the active one: what it declares is not known to its tenant's clock. */
export async function wakeForCrons(
  { env, var: { log, tenant } }: Context<AppTypes>,
  { crons = [] }: Pick<WorkflowDefinition, "crons">,
): Promise<void> {
  if (crons.length > 0) await nudgeClock(env, log, tenant, Date.now());
}
