/**
 * Skein's own worker: executes the tasks of Skein's own workflows, and tells their shard what came of them.
 * Like any worker it may vanish: then an attempt runs out of time, and another follows.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { ShardName } from "../../durable-objects/dispatcher/shard-name.ts";
import type { OwnWorkerFrame } from "../../durable-objects/own-worker.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import { createLogger, errorFields } from "../../telemetry/log.ts";
import type { Environment } from "../environment.ts";
import { reachShard } from "../tenant-objects.ts";
import { deliver, type DeliveryOutcome } from "./deliver.ts";

/** A shard that has just died is there again at the next call. */
const MAX_REPORTS = 3;

export class OwnWorker extends WorkerEntrypoint<Environment> {
  execute(shard: ShardName, tasks: TaskFrame[]): void {
    for (const task of tasks) this.ctx.waitUntil(this.#execute(shard, task));
  }

  async #execute(shard: ShardName, { task, run, attempt, input }: TaskFrame): Promise<void> {
    const startedAt = Date.now();
    const outcome = await this.#deliver({ tenant: shard.tenant, run, input });
    const of = { task, attempt, shard: shard.shard };
    const times = { startedAt, finishedAt: Date.now() };
    await this.#report(
      shard,
      "error" in outcome
        ? { type: "failed", ...of, ...times, error: outcome.error }
        : { type: "completed", ...of, ...times, output: outcome.output },
    );
  }

  async #deliver(delivery: Parameters<typeof deliver>[1]): Promise<DeliveryOutcome> {
    try {
      return await deliver(this.env, delivery);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { error: { code: "handler_error", name: "NotDelivered", message } };
    }
  }

  async #report({ tenant, shard }: ShardName, frame: OwnWorkerFrame): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await reachShard(this.env, tenant, shard, async (stub) => {
          await stub.hearOwnWorker([frame]);
        });
      } catch (error) {
        if (tries < MAX_REPORTS) continue;
        const log = createLogger({ tenant_id: tenant, shard }, this.env.LOG_LEVEL);
        return log.warn("own_worker.not_heard", errorFields(error));
      }
    }
  }
}
