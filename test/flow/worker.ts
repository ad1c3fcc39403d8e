/**
 * A worker process of the stories. Tells its parent what it warns of, and `ready` once it is
 * connected. It ends when the worker has stopped.
 */
import { type Report, worker, type WorkerOptions } from "../../sdk/index.ts";
import { family, leaf } from "./children-workflows.ts";
import { blocking, flaky, mended, slow, trip } from "./failing-workflows.ts";
import { parcels } from "./waiting-workflows.ts";
import { broken, chosen, clocked, counted } from "./workflows.ts";

/** What a story says of its worker. */
export type WorkerSettings = Pick<WorkerOptions, "slots" | "name" | "heartbeat" | "reconnectGrace">;

const settings = JSON.parse(process.env["SETTINGS"] ?? "{}") as WorkerSettings;
const workflows = [
  counted,
  broken,
  chosen,
  clocked,
  flaky,
  slow,
  trip,
  mended,
  blocking,
  family,
  leaf,
  parcels,
];
const log: Report = (level, line) => level === "warn" && process.send?.(line);
const made = worker({ slots: 20, ...settings, workflows, log });
await made.start();
process.send?.("ready");
await made.stopped;
process.disconnect();
