/**
 * The workflow that delivers notifications: a run for each, in the tenant that is told, with attempts and
 * history like any other. Its action is executed by Skein itself.
 */
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { NOTIFY_STEP, NOTIFY_WORKFLOW } from "../../protocol/own-workflows.ts";

/** Tried again after five seconds, half a minute, two minutes, ten, fifty, four hours, and four times twelve. */
export const NOTIFY_DEFINITION: WorkflowDefinition = {
  name: NOTIFY_WORKFLOW,
  description: "Tells an endpoint that a run has ended.",
  steps: [
    {
      name: NOTIFY_STEP,
      timeoutMs: 30_000,
      retries: 10,
      backoff: { initialMs: 5_000, factor: 5, maxMs: 43_200_000, jitter: 0.2 },
    },
  ],
};
