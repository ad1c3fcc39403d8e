/**
 * The edge Worker's isolates: each has the edge's modules for itself, and so remembers on its own which
 * definitions, shards and tokens there are. What one has been told of, another knows nothing of.
 */
import type { app as App } from "../../workers/api/app.ts";
import type { everyMinute as EveryMinute } from "../../workers/cron/every-minute.ts";
import type { forgetDefinitions as ForgetDefinitions } from "../../workers/definitions/definitions.ts";
import { ISOLATE } from "./module-hooks.ts";

export interface Isolate {
  app: typeof App;
  everyMinute: typeof EveryMinute;
  forgetDefinitions: typeof ForgetDefinitions;
}

/** Two are enough to differ. */
const ISOLATES = 2;

export const isolates = await Promise.all(
  Array.from({ length: ISOLATES }, (_, number) => loadIsolate(number)),
);

async function loadIsolate(number: number): Promise<Isolate> {
  const load = async (path: string): Promise<unknown> =>
    await import(`../../workers/${path}?${ISOLATE}=${number}`);
  const { app } = (await load("api/app.ts")) as Isolate;
  const { everyMinute } = (await load("cron/every-minute.ts")) as Isolate;
  const { forgetDefinitions } = (await load("definitions/definitions.ts")) as Isolate;
  return { app, everyMinute, forgetDefinitions };
}
