/**
 * A worker process of the stories. Tells its parent what it warns of, and `ready` once it is
 * connected. It ends when the worker has stopped.
 */
import { type Report, worker, type WorkerOptions } from "../../sdk/index.ts";
import { family, leaf } from "./children-workflows.ts";
import { blocking, flaky, mended, slow, trip } from "./failing-workflows.ts";
import { versioned } from "./versioned-workflow.ts";
import { parcels } from "./waiting-workflows.ts";
import { broken, chosen, clocked, counted, limited } from "./workflows.ts";

/** What a story says of its worker. */
export type WorkerSettings = Pick<
  WorkerOptions,
  "slots" | "name" | "heartbeat" | "reconnectGrace" | "activate"
> & {
  /** Which of the versioned workflow it has; undefined: none, but all others. */
  version?: number;
};

const { version, ...settings } = JSON.parse(process.env["SETTINGS"] ?? "{}") as WorkerSettings;
const others = [
  counted,
  limited,
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
const workflows = version === undefined ? others : [versioned(version)];
const log: Report = (level, line) => level === "warn" && process.send?.(line);
const made = worker({ slots: 20, ...settings, workflows, log });
await made.start();
process.send?.("ready");
await made.stopped;
process.disconnect();
